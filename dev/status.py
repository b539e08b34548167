"""`make status`: the parts of the running stack, and the last run of each stream of the demo studio."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from dev.api import Api
from dev.errors import StackError
from dev.options import Options, is_locked
from dev.parts import Running, read_parts


def describe(options: Options, now: datetime) -> tuple[list[str], bool]:
    """The lines to print, and whether everything runs. Raises StackError if no stack is running."""
    if not is_locked(options):
        raise StackError(f"no stack is running in {options.local_dir}; start one with `make run`")
    found = read_parts(options.parts_file)
    if found is None:
        raise StackError(f"the stack in {options.local_dir} is still starting")
    url, parts = found
    lines = [f"AnselAI on {url}, data in {options.local_dir}", "", *_table(_part_rows(parts, now)), ""]
    try:
        lines += _table(_stream_rows(_streams(options, url), now))
    except StackError as error:
        return [*lines, str(error)], False
    return lines, all(part.alive for part in parts)


def _part_rows(parts: Iterable[Running], now: datetime) -> Iterable[Sequence[str]]:
    yield "part", "pid", "running since"
    for part in parts:
        yield part.name, str(part.pid), _moment(part.since, now) if part.alive else "has ended"


def _streams(options: Options, url: str) -> list[Mapping[str, Any]]:
    if not options.key_file.exists():
        return []
    status, answer = Api(int(url.rpartition(":")[2]), options.key_file.read_text()).call("GET", "/api/sync/status")
    if status != 200:
        raise StackError(f"the API returned {status} for GET /api/sync/status")
    return list(answer["items"])


def _stream_rows(streams: Iterable[Mapping[str, Any]], now: datetime) -> Iterable[Sequence[str]]:
    yield "stream", "state", "last sync"
    for stream in streams:
        last = stream["lastRun"]
        ended = last and (last["finishedAt"] or last["startedAt"] or last["queuedAt"])
        told = f"{last['status']}, {_moment(datetime.fromisoformat(ended), now)}" if last else "none yet"
        yield f"{stream['platform']} {stream['syncType']}", stream["state"], told


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in listed]


def _moment(at: datetime, now: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S} ({_ago(now - at)})"


def _ago(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if count := seconds // size:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "now"


def main() -> int:
    try:
        lines, running = describe(Options.from_environ(os.environ), datetime.now(UTC))
    except StackError as error:
        print(f"make status: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0 if running else 1


if __name__ == "__main__":
    sys.exit(main())
