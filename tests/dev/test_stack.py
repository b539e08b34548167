"""`python -m dev.stack` from the outside: what a new developer sees, and what remains when it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from dev.ports import HOST, find_free_port
from dev.process import setpriv
from tests.deploy.projects import CHALICE
from tests.dev.stacks import ROOT, WAIT_SECONDS, Stack, one_line, run_module, running, wait_until


def test_a_stack_starts_restarts_and_recovers_from_a_kill(tmp_path: Path) -> None:
    """One scenario, because starts are slow: each one continues with what the previous one left."""
    local_dir = tmp_path / "local"
    with running(local_dir, find_free_port(), PLATFORM_SANDBOX_URL="http://127.0.0.1:9") as stack:
        stack.await_output("AnselAI is running")
        key = stack.key
        assert_has_a_studio_but_no_demo_connection(stack)
        assert "another stack is running" in one_line(local_dir, find_free_port())
        assert_stops_clean(stack)

    with running(local_dir, find_free_port()) as stack:
        stack.await_output("AnselAI is running")
        assert stack.key == key
        assert_tells_how_to_use_it(stack)
        runs = assert_has_a_synced_demo_connection(stack)
        assert_is_maintained(stack)
        assert_answers_through_chalices_own_server(stack)
        assert_takes_an_operators_command(stack)
        assert_says_how_it_is(stack)
        assert_shows_its_logs(stack)
        assert_opens_its_database(stack)
        assert_is_not_deleted(stack)
        assert_starts_a_killed_worker_again(stack)
        assert_leaves_nothing_behind_when_killed(stack)

    with running(local_dir, find_free_port()) as stack:
        stack.await_output("AnselAI is running")
        assert stack.key == key
        assert "Connecting" not in stack.output
        assert runs <= assert_has_a_synced_demo_connection(stack)


def assert_has_a_studio_but_no_demo_connection(stack: Stack) -> None:
    assert stack.ask("GET", "/api/connections") == (200, {"items": [], "nextCursor": None})
    assert not [child for child in stack.children() if "dev.sandbox" in child.cmdline()]


def assert_tells_how_to_use_it(stack: Stack) -> None:
    env_file = stack.local_dir / "env"
    lines = stack.output.splitlines()
    assert lines[lines.index("Try, in another terminal:") + 1] == f"  . {env_file}"
    assert stack.output.count("  curl ") == 5
    assert stack.output.count(stack.key) == 1
    assert max(map(len, lines)) < 160
    assert env_file.stat().st_mode & 0o777 == 0o600
    assert env_file.read_text() == f"ANSEL_URL=http://127.0.0.1:{stack.port}\nANSEL_API_KEY={stack.key}\n"


def assert_has_a_synced_demo_connection(stack: Stack) -> set[str]:
    """The ids of the runs that succeeded."""
    connections = stack.ask("GET", "/api/connections")[1]["items"]
    assert [(item["platform"], item["status"]) for item in connections] == [("google", "active")]
    runs = stack.ask("GET", "/api/sync/log?status=succeeded&limit=100")[1]["items"]
    assert {run["syncType"] for run in runs} == {"bookings", "inquiries"}
    return {run["id"] for run in runs}


def assert_is_maintained(stack: Stack) -> None:
    log = stack.local_dir / "logs" / "maintenance.log"
    wait_until(lambda: "maintenance.done" in log.read_text())
    assert "maintenance.done" in log.read_text()
    assert "failed" not in log.read_text()


def assert_answers_through_chalices_own_server(stack: Stack) -> None:
    port, address = find_free_port(), stack.port
    command = [sys.executable, "-c", CHALICE, "local", "--stage", "local", "--no-autoreload", "--port", str(port)]
    env = {**os.environ, "LOCAL_DIR": str(stack.local_dir), "DATABASE_URL": "of somebody else", "AWS_PROFILE": "theirs"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as served:
        try:
            wait_until(lambda: is_open(port) or served.poll() is not None)
            stack.port = port
            assert stack.ask("GET", "/api/health")[1]["status"] == "ok"
            assert_has_a_synced_demo_connection(stack)
        finally:
            stack.port = address
            served.kill()
    assert (stack.local_dir / "secrets" / "api.json").stat().st_mode & 0o777 == 0o600


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0


def assert_takes_an_operators_command(stack: Stack) -> None:
    done = run_module("dev.admin", "studio", "list", LOCAL_DIR=str(stack.local_dir))
    assert [studio["name"] for studio in json.loads(done.stdout)["items"]] == ["Demo Studio"]
    assert (stack.local_dir / "secrets" / "admin.json").stat().st_mode & 0o777 == 0o600


def assert_says_how_it_is(stack: Stack) -> None:
    done = show_status(stack)
    assert f"http://127.0.0.1:{stack.port}" in done
    assert stack.key not in done
    parts = {line[0] for line in map(str.split, done.splitlines()) if len(line) > 1 and line[1].isdigit()}
    assert parts == {"postgres", "queue", "sandbox", "deliver", "api", "worker-1", "worker-2", "ticker", "maintenance"}
    # A scheduled run may have begun since: then a stream shows that run until it has ended.
    wait_until(lambda: succeeded_streams(show_status(stack)) == {("google", "bookings"), ("google", "inquiries")})


def show_status(stack: Stack) -> str:
    done = run_module("dev.status", LOCAL_DIR=str(stack.local_dir))
    assert done.returncode == 0, done.stderr
    return done.stdout


def succeeded_streams(status: str) -> set[tuple[str, ...]]:
    return {tuple(line.split()[:2]) for line in status.splitlines() if "succeeded," in line}


def assert_shows_its_logs(stack: Stack) -> None:
    command = [sys.executable, "-m", "dev.show_logs", "--lines", "1", "api", "queue"]
    env = {**os.environ, "LOCAL_DIR": str(stack.local_dir)}
    shown = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    assert shown.stdout
    with shown, shown.stdout as lines:
        first = [next(lines), next(lines)]
        stack.ask("GET", "/api/followed")
        followed = next(line for line in lines if "/api/followed" in line or '"status": 404' in line)
        shown.send_signal(signal.SIGINT)
        try:
            assert shown.wait(WAIT_SECONDS) == 0
        finally:
            shown.kill()
    assert [line.split()[0] for line in (*first, followed)] == ["api", "queue", "api"]


def assert_opens_its_database(stack: Stack) -> None:
    def ask(role: str, sql: str) -> str:
        done = run_module("dev.psql", "--role", role, "-tA", LOCAL_DIR=str(stack.local_dir), SQL=sql)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert ask("postgres", "SELECT current_user, count(*) > 0 FROM booking") == "postgres|t"
    assert ask("api", "SELECT current_user, count(*) > 0 FROM booking") == "ansel_api|t"
    assert ask("owner", "SELECT 'it''s \"here\"'") == 'it\'s "here"'


def assert_is_not_deleted(stack: Stack) -> None:
    done = run_module("dev.reset", "--yes", LOCAL_DIR=str(stack.local_dir))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"make reset: a stack is running in {stack.local_dir}; stop it with Ctrl-C first\n"


def assert_starts_a_killed_worker_again(stack: Stack) -> None:
    next(child for child in stack.children() if "dev.worker" in child.cmdline()).kill()
    stack.await_output("ended (by SIGKILL); starting it again")


def assert_stops_clean(stack: Stack) -> None:
    children = stack.children()
    assert stack.stop() == 0
    assert [child for child in children if child.is_running()] == []


def assert_leaves_nothing_behind_when_killed(stack: Stack) -> None:
    children = stack.children()
    stack.process.kill()
    stack.finish()
    if not setpriv():  # the system that notifies a child of its parent's death
        for child in children:
            child.kill()
    assert psutil.wait_procs(children, WAIT_SECONDS)[1] == []


def test_a_port_in_use_is_one_line_and_changes_nothing(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in one_line(tmp_path / "local", port)
    assert not (tmp_path / "local").exists()


def test_an_invalid_variable_is_named_in_one_line_and_nothing_is_started(tmp_path: Path) -> None:
    local_dir = tmp_path / "local"
    assert one_line(local_dir, find_free_port(), TICK_SECONDS="foo").startswith(
        "make run: TICK_SECONDS must be a number"
    )
    assert one_line(local_dir, find_free_port(), LOG_LEVEL="loud").startswith("make run: LOG_LEVEL must be one of")
    assert not local_dir.exists()


def test_a_file_instead_of_a_folder_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    line = one_line(tmp_path / "file", find_free_port())
    assert line == f"make run: LOCAL_DIR {tmp_path / 'file'} is a file, not a folder"
