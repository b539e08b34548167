"""`make logs`: the last lines of the parts' logs, then what they write until Ctrl-C, with the part's name."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dev.errors import StackError
from dev.options import Options, is_locked

POLL_SECONDS = 0.3
MOST_BYTES = 1_000_000
"""Bytes at the end of a log that are searched for its last lines."""


class Tail:
    """A log that is followed from its end; after rotation it is read from the start."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._path = path
        self._position = 0
        self._inode = 0
        self._rest = b""

    def last(self, count: int) -> list[str]:
        size = self._path.stat().st_size
        self._position = max(0, size - MOST_BYTES)
        lines = self.new()
        return lines[-count:] if count else []

    def new(self) -> list[str]:
        """The complete lines written since the last call."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_size < self._position or (self._inode and status.st_ino != self._inode):
                    self._position, self._rest = 0, b""
                self._inode = status.st_ino
                file.seek(self._position)
                read = file.read()
        except FileNotFoundError:  # rotated just now; the next call finds the new one
            return []
        self._position += len(read)
        *lines, self._rest = (self._rest + read).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


def find(options: Options, names: Sequence[str]) -> list[Tail]:
    """The logs of these parts, or of all if none is named. Raises StackError for one that does not exist."""
    paths = {path.stem: path for path in sorted(options.log("any").parent.glob("*.log"))}
    if not paths:
        raise StackError(f"there are no logs in {options.local_dir}; start a stack with `make run`")
    if unknown := [name for name in names if name not in paths]:
        raise StackError(f"there is no log of {', '.join(unknown)}; there are {', '.join(paths)}")
    return [Tail(paths[name]) for name in names or paths]


def show(options: Options, names: Sequence[str], count: int) -> None:
    """Continues for as long as the stack runs."""
    tails = find(options, names)
    width = max(len(tail.name) for tail in tails)
    lines = [(tail, line) for tail in tails for line in tail.last(count)]
    while True:
        for tail, line in lines:
            print(f"{tail.name:{width}} | {line}", flush=True)
        if not is_locked(options):
            return
        time.sleep(POLL_SECONDS)
        lines = [(tail, line) for tail in tails for line in tail.new()]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make logs", description=__doc__)
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("parts", nargs="*")
    chosen = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored
    try:
        show(Options.from_environ(os.environ), chosen.parts, max(0, chosen.lines))
    except StackError as error:
        print(f"make logs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass  # the way to stop it
    except BrokenPipeError:  # the reading program closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
