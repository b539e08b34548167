"""The pool: starts, kills and watches the harness's worker and ticker processes."""

import json
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from chaos.queue import Queue
from dev import process
from dev.errors import StackError
from dev.postgres import Urls

LAMBDA_SECONDS = 60.0


class _Worker(NamedTuple):
    pid: int
    terms: dict[str, float]


class WorkerPool:
    """A context manager; no process outlives it, even if the harness itself is killed."""

    def __init__(self, env: Mapping[str, str], urls: Urls, queue: Queue, log_dir: Path) -> None:
        self._env = dict(env)
        self._logins = {"worker": urls.sync, "refresher": urls.sync, "ticker": urls.tick}
        self._queue = queue
        self._log_dir = log_dir
        self._hired = 0
        self._workers: dict[str, _Worker] = {}
        self._tickers: list[int] = []

    def __enter__(self) -> Self:
        self._log_dir.mkdir(parents=True, exist_ok=True)
        with (self._log_dir / "fork_server.log").open("ab") as log:
            self._fork_server = subprocess.Popen(
                [sys.executable, "-m", "chaos.fork_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._env,
                cwd=process.ROOT,
                start_new_session=True,
            )
        if self._hear() != "fork_server ready":
            raise StackError(f"the fork_server did not start (see {self._log_dir / 'fork_server.log'})")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process.stop(self._fork_server)
        for pipe in (self._fork_server.stdin, self._fork_server.stdout):
            if pipe is not None:
                pipe.close()

    def start_worker(self, *, timeout_seconds: float = LAMBDA_SECONDS, skew_seconds: float = 0.0) -> str:
        """Starts another worker; returns its name."""
        self._hired += 1
        name = f"worker-{self._hired}"
        terms = {"timeout_seconds": timeout_seconds, "skew_seconds": skew_seconds}
        pid = self._fork("worker", {"queue_url": self._queue.url_of(name), **terms})
        self._workers[name] = _Worker(pid, terms)
        return name

    def start_ticker(self, seconds: float = 0.2) -> None:
        self._tickers.append(self._fork("ticker", {"seconds": seconds}))

    def ensure_ticker(self) -> None:
        if not self._tickers:
            self.start_ticker()

    def refresh(self, **options: Any) -> int:
        """Starts a process whose threads need a connection's token; returns its id, for `reap`."""
        return self._fork("refresher", options)

    def reap(self, pid: int) -> None:
        """Kills it, unless it has already ended."""
        self._kill(pid)

    def kill_busy(self, chance: random.Random) -> bool:
        """SIGKILLs a worker that is processing a message, if there is one; an identical one replaces it."""
        busy = sorted(self._workers.keys() & self._queue.holders())
        if not busy:
            return False
        worker = self._workers.pop(chance.choice(busy))
        self._kill(worker.pid)
        self.start_worker(**worker.terms)
        return True

    def stop_worker(self) -> None:
        for pid in (*(worker.pid for worker in self._workers.values()), *self._tickers):
            self._kill(pid)
        self._workers.clear()
        self._tickers.clear()

    def count_logged(self, event: str) -> int:
        """How often processes of this pool, and of other pools with the same logs, have logged the event."""
        logs = (path.read_text() for path in self._log_dir.glob("*ers.log"))
        return sum(log.count(f'"event": "{event}"') for log in logs)

    def _fork(self, role: str, options: dict[str, Any]) -> int:
        env = {**self._env, "DATABASE_URL": self._logins[role]}
        order = {"role": role, "options": options, "env": env, "log": str(self._log_dir / f"{role}s.log")}
        pid: int = self._order(order)["pid"]
        return pid

    def _kill(self, pid: int) -> None:
        self._order({"kill": pid})

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._fork_server.stdin is not None
        self._fork_server.stdin.write(json.dumps(order).encode() + b"\n")
        self._fork_server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._hear() or "null") or {}
        return answer

    def _hear(self) -> str:
        assert self._fork_server.stdout is not None
        return self._fork_server.stdout.readline().decode().rstrip("\n")
