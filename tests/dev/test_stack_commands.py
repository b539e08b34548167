"""`make status`, `logs`, `psql` and `reset` without a running stack, and on a stopped stack's data."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev import psql, reset, show_logs, status
from dev.errors import StackError
from dev.options import Options, locked
from dev.parts import read_parts, write_parts
from dev.show_logs import Tail
from dev.status import describe

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options.from_environ({"LOCAL_DIR": str(tmp_path / "local")})


@pytest.fixture
def stopped(options: Options) -> Options:
    """A stopped stack's folder, with an unrelated file in it."""
    for folder in ("postgres", "secrets", "logs", "sandbox"):
        (options.local_dir / folder).mkdir(parents=True)
        (options.local_dir / folder / "content").touch()
    for name in ("env", "postgres.passwords", "lock", "parts.json"):
        (options.local_dir / name).touch()
    return options


@pytest.mark.parametrize("main", [status.main, psql.main], ids=["status", "psql"])
def test_without_a_stack_a_command_says_so(
    main: Callable[[], int], stopped: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_DIR", str(stopped.local_dir))
    monkeypatch.setattr("sys.argv", ["command"])
    assert main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"no stack is running in {stopped.local_dir}; start one with `make run`" in line


class TestStatus:
    def test_a_stack_that_has_started_no_part_yet_is_starting(self, options: Options) -> None:
        with locked(options), pytest.raises(StackError, match="is still starting"):
            describe(options, NOW)

    def test_a_part_that_has_ended_is_reported_and_the_command_fails(self, options: Options) -> None:
        child = subprocess.Popen(["sleep", "60"])
        with locked(options):
            write_parts(options.parts_file, options.url, {"api": os.getpid(), "queue": child.pid})
            child.kill()
            child.wait()
            lines, running = describe(options, NOW)
        assert not running
        assert any(line.startswith("api ") and "has ended" not in line for line in lines)
        assert any(line.split() == ["queue", str(child.pid), "has", "ended"] for line in lines)

    def test_a_process_that_reuses_a_parts_id_is_not_mistaken_for_it(self, options: Options) -> None:
        write_parts(options.parts_file, options.url, {"api": os.getpid()})
        written = json.loads(options.parts_file.read_bytes())
        written["parts"][0]["since"] -= 60
        options.parts_file.write_text(json.dumps(written))
        found = read_parts(options.parts_file)
        assert found is not None
        assert [part.alive for part in found[1]] == [False]

    def test_an_api_that_does_not_respond_is_reported_in_one_line(self, options: Options) -> None:
        options.key_file.parent.mkdir(parents=True)
        options.key_file.write_text("ansel_0_0")
        with locked(options):
            write_parts(options.parts_file, "http://127.0.0.1:1", {"api": os.getpid()})
            lines, running = describe(options, NOW)
        assert not running
        assert lines[-1].startswith("the API does not respond to GET /api/sync/status")

    @pytest.mark.parametrize(
        ("age", "told"),
        [
            (timedelta(seconds=-3), "now"),
            (timedelta(seconds=1), "1 second ago"),
            (timedelta(seconds=119), "1 minute ago"),
            (timedelta(hours=5), "5 hours ago"),
            (timedelta(days=2, hours=3), "2 days ago"),
        ],
    )
    def test_an_age_is_shown_in_its_largest_unit(self, age: timedelta, told: str) -> None:
        assert status._ago(age) == told


class TestLogs:
    def test_the_last_lines_of_each_log_are_shown(self, options: Options, capsys: pytest.CaptureFixture[str]) -> None:
        folder = options.log("api").parent
        folder.mkdir(parents=True)
        options.log("api").write_text("one\ntwo\nthree\n")
        options.log("worker-1").write_text("ready\n")
        show_logs.show(options, [], 2)
        assert capsys.readouterr().out.splitlines() == ["api      | two", "api      | three", "worker-1 | ready"]
        show_logs.show(options, ["worker-1"], 2)
        assert capsys.readouterr().out == "worker-1 | ready\n"

    def test_a_part_without_a_log_is_named_with_those_that_have_one(self, options: Options) -> None:
        options.log("api").parent.mkdir(parents=True)
        options.log("api").touch()
        with pytest.raises(StackError, match="there is no log of app; there are api"):
            show_logs.show(options, ["app"], 2)

    def test_a_folder_without_logs_says_how_to_get_some(self, options: Options) -> None:
        with pytest.raises(StackError, match="start a stack with `make run`"):
            show_logs.show(options, [], 2)

    def test_an_incomplete_line_is_held_back(self, tmp_path: Path) -> None:
        log = tmp_path / "api.log"
        log.write_text("whole\nha")
        tail = Tail(log)
        assert tail.last(5) == ["whole"]
        with log.open("a") as file:
            file.write("lf\n")
        assert tail.new() == ["half"]

    def test_a_rotated_log_is_read_from_its_new_start(self, tmp_path: Path) -> None:
        log = tmp_path / "api.log"
        log.write_text("old\n")
        tail = Tail(log)
        tail.last(5)
        log.rename(tmp_path / "api.old")
        assert tail.new() == []
        log.write_text("as long as before, or longer\n")
        assert tail.new() == ["as long as before, or longer"]


class TestReset:
    def test_it_deletes_a_stacks_data_and_leaves_other_files(self, stopped: Options) -> None:
        (stopped.local_dir / "notes").touch()
        assert reset.reset(stopped, ask=False).endswith("; kept what is not the stack's: notes")
        assert [path.name for path in stopped.local_dir.iterdir()] == ["notes"]

    def test_a_folder_without_other_files_is_deleted(self, stopped: Options) -> None:
        assert reset.reset(stopped, ask=False) == f"Deleted the local data in {stopped.local_dir}"
        assert not stopped.local_dir.exists()
        assert reset.reset(stopped, ask=False) == f"There is no local data in {stopped.local_dir}"

    def test_a_link_is_deleted_but_not_its_target(self, stopped: Options, tmp_path: Path) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "mine").touch()
        (stopped.local_dir / "postgres.new").symlink_to(elsewhere)
        reset.reset(stopped, ask=False)
        assert (elsewhere / "mine").exists()

    def test_it_refuses_while_a_stack_runs(self, stopped: Options) -> None:
        with locked(stopped), pytest.raises(StackError, match="a stack is running in"):
            reset.reset(stopped, ask=False)
        assert (stopped.local_dir / "postgres").exists()

    def test_it_asks_first_and_needs_a_terminal(self, stopped: Options) -> None:
        with pytest.raises(StackError, match="YES=1 deletes without asking"):
            reset.reset(stopped, ask=True)
        assert (stopped.local_dir / "postgres").exists()

    @pytest.mark.parametrize(("answer", "deleted"), [("yes", True), ("Y", True), ("", False), ("no", False)])
    def test_it_follows_the_answer(self, answer: str, deleted: bool, stopped: Options) -> None:
        controller, terminal = os.openpty()
        env = {**os.environ, "LOCAL_DIR": str(stopped.local_dir)}
        command = [sys.executable, "-m", "dev.reset"]
        asked = subprocess.Popen(command, env=env, stdin=terminal, stdout=subprocess.PIPE, text=True)
        os.write(controller, f"{answer}\n".encode())
        assert asked.communicate(timeout=60)[0].rpartition("] ")[2].startswith("Deleted" if deleted else "Nothing")
        assert (asked.returncode, stopped.local_dir.exists()) == (0, not deleted)
        os.close(controller)
        os.close(terminal)


def test_an_unknown_role_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["dev.psql", "--role", "root"])
    assert psql.main() == 1
    assert (
        capsys.readouterr().err
        == "make psql: ROLE must be one of postgres, owner, api, tick, sync, maintenance, admin, not 'root'\n"
    )
