"""`python -m dev.stack` from the outside: what a newcomer sees, and what is left when it stops."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from dev.errors import StackError
from dev.ports import HOST, find_free_port
from dev.process import setpriv
from dev.stack import Options

ROOT = Path(__file__).parents[2]
PATIENCE = 90.0
"""For a loaded machine; a start takes a few seconds."""


class Stack:
    """A running stack and what it prints."""

    def __init__(self, local_dir: Path, port: int, **environ: str) -> None:
        self.local_dir = local_dir
        self.port = port
        env = {
            **os.environ,
            "PORT": str(port),
            "LOCAL_DIR": str(local_dir),
            "TICK_SECONDS": "1",
            "PLATFORM_SANDBOX_URL": "",
            **environ,
        }
        command = [sys.executable, "-m", "dev.stack"]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def key(self) -> str:
        found = re.search(r"API key +(\S+)", self.output)
        assert found, self.output
        return found[1]

    def await_output(self, text: str) -> None:
        wait_until(lambda: text in self.output or self.process.poll() is not None)
        assert text in self.output, self.output

    def children(self) -> list[psutil.Process]:
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def ask(self, method: str, path: str, *, key: str | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {key or self.key}"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as stream:
            for line in stream:
                self.output += line.decode()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


@contextmanager
def running(local_dir: Path, port: int, **environ: str) -> Iterator[Stack]:
    stack = Stack(local_dir, port, **environ)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.stop(signal.SIGTERM)


def one_line(local_dir: Path, port: int) -> str:
    """What a stack that cannot start says."""
    env = {**os.environ, "PORT": str(port), "LOCAL_DIR": str(local_dir)}
    command = [sys.executable, "-m", "dev.stack"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_stack_from_its_first_start_over_a_restart_to_a_start_after_a_kill(tmp_path: Path) -> None:
    """One story, since starts are what takes long: each one finds what the one before left."""
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
        assert_takes_an_operators_command(stack)
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
    assert stack.output.count("  curl ") == 5
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
    log = stack.local_dir / "logs" / "ticker.log"
    wait_until(lambda: "maintenance.done" in log.read_text())
    assert "maintenance.done" in log.read_text()
    assert "failed" not in log.read_text()


def assert_takes_an_operators_command(stack: Stack) -> None:
    env = {**os.environ, "LOCAL_DIR": str(stack.local_dir)}
    command = [sys.executable, "-m", "dev.admin", "studio", "list"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert [studio["name"] for studio in json.loads(done.stdout)["items"]] == ["Demo Studio"]
    assert (stack.local_dir / "secrets" / "admin.json").stat().st_mode & 0o777 == 0o600


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
    if not setpriv():  # the one who tells a child that its parent died
        for child in children:
            child.kill()
    assert psutil.wait_procs(children, PATIENCE)[1] == []


def test_a_taken_port_is_one_line_and_touches_nothing(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in one_line(tmp_path / "local", port)
    assert not (tmp_path / "local").exists()


@pytest.mark.parametrize("port", ["http", "0", "65536", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(StackError, match="PORT must be a number"):
        Options.from_environ({"PORT": port})


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "Not a directory" in one_line(tmp_path / "file" / "local", find_free_port())
