"""The resident memory of a worker over one very long run, page by page; it should stay flat.

As `python -m benchmarks.memory` it is that worker: a process that invokes `execute_run` until the run is done.
"""

import json
import os
import subprocess
import sys
import time
from statistics import median
from typing import Any
from uuid import UUID

import psutil

from benchmarks import studios
from benchmarks.server import ROOT, Server
from benchmarks.table import Row, Table
from chalicelib import logs
from chalicelib.services.sync.execute import execute_run
from chalicelib.services.sync.leases import YIELD_MS

PAGE = 1000
MEBIBYTE = 2**20
QUARTERS = ("first", "second", "third", "last")
NOTE = (
    "One run of the bookings stream, a full read, in one process over {invocations} invocations that each yield "
    "when their time is up; sampled at each page. Before the first page the process took {start:.0f} MiB, after "
    "it {one:.0f}; the first yield imports boto3. {rate:,.0f} records per second, with the source generating each "
    "page again."
)


def measure(quick: bool, server: Server) -> list[Table]:
    pages, milliseconds = (20, 500) if quick else (1000, 10_000)
    with studios.at_work():
        studio_id = studios.connect(server, f"bulk-{pages * PAGE}")
        run_id = studios.queue_run(studio_id, "bookings")
        found = _run(studio_id, run_id, milliseconds)
        _check(server, studio_id, pages * PAGE)
    return [_table(found, pages)]


def _run(studio_id: UUID, run_id: UUID, milliseconds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.memory", str(studio_id), str(run_id), str(milliseconds)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _check(server: Server, studio_id: UUID, expected: int) -> None:
    superuser = server.connect(server.urls.superuser)
    try:
        found = superuser.run("SELECT count(*) FROM booking WHERE studio_id = :id", id=str(studio_id))
        superuser.run("TRUNCATE studio CASCADE")
    finally:
        superuser.close()
    assert found == [[expected]]


def _table(found: dict[str, Any], pages: int) -> Table:
    samples = [each / MEBIBYTE for each in found["samples"]]
    size = len(samples) // len(QUARTERS)
    parts = [samples[number * size : (number + 1) * size] for number in range(len(QUARTERS))]
    first = median(parts[0])
    rows: list[Row] = [
        (f"{name} quarter", median(part), max(part), median(part) / first)
        for name, part in zip(QUARTERS, parts, strict=True)
    ]
    title = f"Memory of a worker over a run of {pages * PAGE:,} records"
    columns = ("part of the run", "MiB, median", "MiB, max", "times the first quarter")
    rate, start = pages * PAGE / found["seconds"], found["start"] / MEBIBYTE
    note = NOTE.format(invocations=found["invocations"], start=start, one=samples[0], rate=rate)
    return Table(title, columns, rows, [note])


class Meter:
    """Takes a sample whenever the worker asks how much time is left, which is about once per page."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._deadline = 0.0
        self.start = self.now()
        self.samples: list[int] = []

    def now(self) -> int:
        return int(self._process.memory_info().rss)

    def begin(self, milliseconds: int) -> None:
        """A new invocation, which works for this long before it yields."""
        self._deadline = time.monotonic() * 1000 + YIELD_MS + milliseconds

    def remaining_ms(self) -> int:
        self.samples.append(self.now())
        return int(self._deadline - time.monotonic() * 1000)


def main() -> None:
    studio_id, run_id, milliseconds = UUID(sys.argv[1]), UUID(sys.argv[2]), int(sys.argv[3])
    logs.configure("ERROR")
    meter = Meter()
    started, invocations, outcome = time.perf_counter(), 0, "handed_over"
    while outcome == "handed_over":
        invocations += 1
        meter.begin(milliseconds)
        outcome = execute_run(studio_id, run_id, meter.remaining_ms)
    assert outcome == "succeeded", outcome
    seconds = time.perf_counter() - started
    print(json.dumps({"samples": meter.samples, "start": meter.start, "invocations": invocations, "seconds": seconds}))


if __name__ == "__main__":
    main()
