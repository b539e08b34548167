"""The parts of the stack: awaited, restarted when killed, and given up on when they end immediately."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from dev import process
from dev.errors import StackError
from dev.supervisor import Part, Supervisor

WORKING = "import time; print('part ready', flush=True); time.sleep(60)"


def make_part(folder: Path, program: str) -> Part:
    return Part("part", ["-c", program], dict(os.environ), folder / "part.log")


def test_parts_are_stopped_when_the_block_ends(tmp_path: Path) -> None:
    part = make_part(tmp_path, WORKING)
    with Supervisor() as parts:
        parts.start(part)
        parts.wait_ready()
        assert part.child
        child = psutil.Process(part.child.pid)
    assert not child.is_running()


def test_a_part_that_ignores_the_stop_signal_is_killed_with_its_children(tmp_path: Path) -> None:
    stubborn = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', {WORKING!r}]); time.sleep(60)"
    )
    part = make_part(tmp_path, stubborn)
    part.start()
    part.wait_ready()
    assert part.child
    family = [psutil.Process(part.child.pid), *psutil.Process(part.child.pid).children()]
    process.stop(part.child, (signal.SIGTERM, 0.1))
    assert len(family) == 2
    assert psutil.wait_procs(family, 10)[1] == []


def test_a_part_that_ends_before_it_is_ready_is_one_clear_line(tmp_path: Path) -> None:
    with Supervisor() as parts:
        parts.start(make_part(tmp_path, "raise ValueError('no luck')"))
        with pytest.raises(StackError, match="the part did not start: ValueError: no luck") as caught:
            parts.wait_ready()
    assert "\n" not in str(caught.value)


def test_a_killed_part_is_restarted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = make_part(tmp_path, WORKING)
    with Supervisor() as parts:
        parts.start(part)
        parts.wait_ready()
        assert part.child
        part.child.kill()
        part.child.wait()
        parts.revive()
        parts.wait_ready()
    assert "the part ended (by SIGKILL); starting it again" in capsys.readouterr().out


def test_a_part_that_keeps_ending_at_once_stops_the_stack(tmp_path: Path) -> None:
    part = make_part(tmp_path, "print('part ready', flush=True); raise SystemExit('out of luck')")
    with Supervisor() as parts:
        parts.start(part)
        parts.wait_ready()
        assert part.child
        part.child.wait()
        with pytest.raises(StackError, match=r"with exit code 1.* right after it was started: out of luck"):
            parts.revive()


def test_a_long_log_is_rotated(tmp_path: Path) -> None:
    part = make_part(tmp_path, WORKING)
    with part.log.open("wb") as file:
        file.truncate(20_000_001)
    part.start()
    part.wait_ready()
    part.stop()
    assert part.log.stat().st_size < 100
    assert part.log.with_suffix(".old").stat().st_size == 20_000_001


def test_a_program_that_fails_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="the errand failed: no way"):
        process.run("errand", ["-c", "raise SystemExit('no way')"], tmp_path / "log", dict(os.environ))
