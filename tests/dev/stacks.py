"""A stack of `python -m dev.stack` as a process, and its output."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from dev.ports import HOST

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 90.0
"""Generous for a loaded machine; a start takes a few seconds."""


class Stack:
    """A running stack and its output."""

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
        code = self.process.wait(WAIT_SECONDS)
        self._reader.join()
        return code

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as stream:
            for line in stream:
                self.output += line.decode()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {WAIT_SECONDS:.0f} seconds"
        time.sleep(0.02)


@contextmanager
def running(local_dir: Path, port: int, **environ: str) -> Iterator[Stack]:
    stack = Stack(local_dir, port, **environ)
    try:
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.stop(signal.SIGTERM)


def run_module(module: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the Makefile to its end, without a terminal."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def one_line(local_dir: Path, port: int, **environ: str) -> str:
    """The error of a stack that cannot start."""
    done = run_module("dev.stack", PORT=str(port), LOCAL_DIR=str(local_dir), **environ)
    assert done.returncode == 1
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) == 1, lines
    return lines[0]
