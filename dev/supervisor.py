"""The parts of a running stack: child processes with their own logs, restarted if they end unexpectedly."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from dev import process
from dev.errors import StackError

READY = re.compile(rb"^\w+ ready", re.MULTILINE)
READY_SECONDS = 60.0
SHORT_LIFE_SECONDS = 5.0
MAX_LOG_BYTES = 20_000_000
FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM)
STOP = ((signal.SIGTERM, 10.0),)


@dataclass
class Part:
    """A child that prints a line `<name> ready ...` when it can be used."""

    name: str
    arguments: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    log: Path
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    _logged: int = 0

    def start(self) -> None:
        self._logged = self.log.stat().st_size if self.log.exists() else 0
        if self._logged > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".old"))
            self._logged = 0
        self.started_at = time.monotonic()
        self.child = process.spawn([sys.executable, *self.arguments], self.log, self.env)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not READY.search(self._output()):
            if self.ended() is not None:
                raise StackError(f"the {self.name} did not start: {process.last_line(self.log)} (see {self.log})")
            if time.monotonic() > deadline:
                raise StackError(f"the {self.name} was not ready within {READY_SECONDS:.0f} seconds (see {self.log})")
            time.sleep(0.02)

    def ended(self) -> int | None:
        """The exit code, if it has ended."""
        return self.child.poll() if self.child else None

    def stop(self) -> None:
        if self.child is not None:
            process.stop(self.child, *STOP)
            self.child = None

    def _output(self) -> bytes:
        with self.log.open("rb") as file:
            file.seek(self._logged)
            return file.read()


class Supervisor:
    """A context manager that stops the parts in reverse order of their start."""

    def __init__(self) -> None:
        self._parts: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in reversed(self._parts):
            part.stop()

    def start(self, *parts: Part) -> None:
        for part in parts:
            self._parts.append(part)
            part.start()

    def wait_ready(self) -> None:
        for part in self._parts:
            part.wait_ready()

    def pids(self) -> dict[str, int]:
        return {part.name: part.child.pid for part in self._parts if part.child is not None}

    def revive(self) -> bool:
        """Restarts parts that have ended; returns whether there were any. Raises StackError if one keeps ending."""
        revived = False
        for part in self._parts:
            code = part.ended()
            if code is None:
                continue
            how = f"the {part.name} ended ({_describe(code)})"
            if code not in FROM_OUTSIDE and time.monotonic() - part.started_at < SHORT_LIFE_SECONDS:
                raise StackError(f"{how} right after it was started: {process.last_line(part.log)} (see {part.log})")
            print(f"{how}; starting it again (see {part.log})", flush=True)
            part.stop()
            part.start()
            revived = True
        return revived


def _describe(code: int) -> str:
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
