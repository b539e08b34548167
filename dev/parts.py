"""The processes of a running stack, recorded for commands in another terminal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from dev.private import write_private


@dataclass(frozen=True)
class Running:
    """A part that the stack started, and whether its process still exists."""

    name: str
    pid: int
    since: datetime
    alive: bool


def write_parts(path: Path, url: str, pids: Mapping[str, int]) -> None:
    parts = [{"name": name, "pid": pid, "since": _created(pid)} for name, pid in pids.items()]
    write_private(path, json.dumps({"url": url, "parts": parts}))


def read_parts(path: Path) -> tuple[str, list[Running]] | None:
    """The stack's URL and its parts; None before the first one was started."""
    try:
        written: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return written["url"], [_read(part) for part in written["parts"]]


def _read(part: Mapping[str, Any]) -> Running:
    pid, since = part["pid"], part["since"]
    # Process ids are reused; one with another start time belongs to an unrelated process.
    return Running(part["name"], pid, datetime.fromtimestamp(since, UTC), bool(since) and _created(pid) == since)


def _created(pid: int) -> float:
    """The process's start time, in Unix time; 0 if it has ended."""
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else round(process.create_time(), 2)
    except psutil.Error:
        return 0.0
