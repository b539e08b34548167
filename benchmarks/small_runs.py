"""The fixed cost of a run: one worker doing incremental syncs that find nothing or very little new."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from statistics import mean, median
from time import perf_counter, thread_time
from uuid import UUID, uuid4

from benchmarks import studios
from benchmarks.server import Server
from benchmarks.source import Source
from benchmarks.table import Row, Table
from benchmarks.timing import percentile
from chalicelib.data.postgres.database import read
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.data.sync.runs import FIND_RUN
from chalicelib.workers.sync import sync
from dev.invocation import Context, message_event

STUDIOS = 20
EVENTS = 100
"""Events in each studio's calendar, and threads in its mailbox."""
CASES = (("bookings", 0), ("bookings", 1), ("bookings", 3), ("inquiries", 0), ("inquiries", 1), ("inquiries", 3))
AIM = 20
NOTE = (
    f"From the SQS event to the return of the worker's handler, including log lines, for {STUDIOS} studios in turn; "
    "includes the source's own time. BEGIN and COMMIT are not counted as statements; BEGIN takes no round trip of "
    f"its own. Gmail is called once for the history and once for each thread. Target: at least {AIM} runs per second."
)


@dataclass
class Sample:
    """How long runs of one kind took, in seconds, and what one of them did."""

    seconds: list[float] = field(default_factory=list)
    at_work: list[float] = field(default_factory=list)
    statements: int = 0
    commits: int = 0
    round_trips: int = 0
    api_calls: int = 0


def measure(quick: bool, server: Server) -> list[Table]:
    rounds = 2 if quick else 200
    samples = {case: Sample() for case in CASES}
    with studios.at_work() as running:
        fleet = [(studios.connect(server, account), account) for account in _accounts()]
        for studio_id, _ in fleet:
            for stream in ("bookings", "inquiries"):
                _work(studio_id, stream, Sample())  # from here on they are incremental
        for turn, _ in zip(_turns(fleet), range(rounds * len(CASES)), strict=False):
            studio_id, account, (stream, changes) = turn
            _change(running, account, stream, changes)
            _work(studio_id, stream, samples[stream, changes], changes)
    return [_table(samples, rounds)]


def _accounts() -> list[str]:
    return [f"bulk-{EVENTS + number}" for number in range(STUDIOS)]


def _turns(fleet: Sequence[tuple[UUID, str]]) -> Iterator[tuple[UUID, str, tuple[str, int]]]:
    """Each case in turn, with a different studio each time."""
    for number in count():
        studio_id, account = fleet[number % len(fleet)]
        yield studio_id, account, CASES[number % len(CASES)]


def _change(running: Source, account: str, stream: str, changes: int) -> None:
    counted = {"events" if stream == "bookings" else "messages": changes}
    running.change(account, edition=uuid4().int % 1_000_000, **counted)


def _work(studio_id: UUID, stream: str, sample: Sample, changes: int | None = None) -> None:
    run_id = studios.queue_run(studio_id, stream)
    event = message_event({"kind": "run", "id": str(run_id), "studioId": str(studio_id)})
    context = Context("ansel-local-sync", 900.0)
    with query_statistics() as statistics:
        started, cpu_started = perf_counter(), thread_time()
        sync(event, context)
        sample.seconds.append(perf_counter() - started)
        sample.at_work.append(thread_time() - cpu_started)
    run = read(studio_id, FIND_RUN, run_id=run_id)
    assert run is not None
    assert run.status == "succeeded", run
    assert changes in (None, run.records.seen), run
    commits = [sql for sql in statistics.statements if sql.startswith("COMMIT")]
    opened = [sql for sql in statistics.statements if sql.startswith("BEGIN")]
    sample.statements = len(statistics.statements) - len(commits) - len(opened)
    sample.commits, sample.round_trips, sample.api_calls = len(commits), statistics.round_trips, run.api_calls


def _table(samples: dict[tuple[str, int], Sample], rounds: int) -> Table:
    rows: list[Row] = []
    for (stream, changes), of in samples.items():
        counts = (of.statements, of.commits, of.round_trips, of.api_calls)
        rows.append((f"{stream}, {changes} new", *_speed(of), *counts))
    together = Sample(
        [each for of in samples.values() for each in of.seconds],
        [each for of in samples.values() for each in of.at_work],
    )
    rows.append(("all", *_speed(together), None, None, None, None))
    title = f"Small runs, by one worker ({rounds} each)"
    measured_in = ("runs per second", "ms p50", "ms p99", "own CPU ms")
    return Table(title, ("run", *measured_in, "statements", "commits", "round trips", "API calls"), rows, [NOTE])


def _speed(of: Sample) -> tuple[float, ...]:
    seconds = of.seconds
    return 1 / mean(seconds), median(seconds) * 1000, percentile(seconds, 99) * 1000, mean(of.at_work) * 1000
