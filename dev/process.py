"""Child processes: started with a log file, ended when their parent dies, stopped with a timeout."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from subprocess import DEVNULL

from dev.errors import StackError

ROOT = Path(__file__).parents[1]


def spawn(
    command: Sequence[str], log: Path, env: Mapping[str, str], *, on_orphaned: signal.Signals = signal.SIGTERM
) -> subprocess.Popen[bytes]:
    """Starts a child in its own session, so that Ctrl-C reaches only the parent, which stops children in order.

    Where the system supports it, the child receives `on_orphaned` if the starting thread dies without stopping it.
    """
    argv = [*_tether(on_orphaned), *command]
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            return subprocess.Popen(
                argv, stdin=DEVNULL, stdout=output, stderr=output, env=env, cwd=ROOT, start_new_session=True
            )
    except OSError as error:
        raise StackError(f"{Path(command[0]).name} cannot be started: {reason(error)}") from error


def run(name: str, arguments: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
    """Runs Python with these arguments and waits for it. Raises StackError if it fails."""
    child = spawn([sys.executable, *arguments], log, env)
    try:
        if child.wait():
            raise StackError(f"the {name} failed: {last_line(log)} (see {log})")
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes], *steps: tuple[signal.Signals, float]) -> None:
    """Sends the child each signal in turn, waiting the given seconds each time; finally kills its whole group."""
    for number, timeout in steps:
        if child.poll() is not None:
            break
        child.send_signal(number)
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            continue
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS returns EPERM for a group of zombies
        pass
    child.wait()


def reason(error: OSError) -> str:
    """The operating system's error in one short line."""
    if error.errno == errno.ENOSPC:
        return f"the disk is full ({error.filename or 'no space left'})"
    return f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"


def last_line(log: Path) -> str:
    """The last line, where programs and tracebacks give the reason for their end."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")


@cache
def setpriv() -> str | None:
    """util-linux's setpriv; BusyBox's lacks the options used here."""
    program = shutil.which("setpriv")
    if program is None:
        return None
    usage = subprocess.run([program, "--help"], capture_output=True, text=True, check=False).stdout
    return program if "--pdeathsig" in usage and "--ambient-caps" in usage else None


def _tether(number: signal.Signals) -> list[str]:
    program = setpriv()
    return [program, "--pdeathsig", number.name.removeprefix("SIG"), "--"] if program else []
