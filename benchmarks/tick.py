"""The tick: of many schedules, 1,000 due ones are claimed, their runs created and their messages sent."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pg8000.native

from benchmarks import null_queue, timing
from benchmarks.handlers import quiet
from benchmarks.profiler import Profiler, Watched
from benchmarks.server import Server, configure
from benchmarks.table import Row, Table
from chalicelib import work_queue
from chalicelib.data.postgres.driver import PgConnection, Statement
from chalicelib.services.scheduling.schedules import start_due_runs

DUE, WARM_UP = 1_000, 10
STREAMS = 5
"""Schedules per studio."""
CLAIM, START, LOOK, SEND, OTHERS = "claim", "start runs", "look for more", "send", "others"
STATEMENTS = (CLAIM, START, LOOK, OTHERS)
CROSS_TENANT = {"claim_due_schedules": CLAIM, "start_scheduled_runs": START, "enqueue_lost_runs": LOOK}
FILL = (
    "INSERT INTO studio (id, name, time_zone) SELECT uuidv7(), 'Benchmark', 'Europe/Berlin'"
    " FROM generate_series(1, :studios)",
    """
    INSERT INTO platform_connection (studio_id, platform, access_token) SELECT id, 'google', '' FROM studio
    """,
    """
    INSERT INTO sync_schedule (studio_id, connection_id, platform, stream, frequency, next_run_at)
    SELECT c.studio_id, c.id, c.platform, 'stream-' || number, 'every 168 hours', now() + random() * interval '1 day'
           + interval '1 hour'
    FROM platform_connection AS c, generate_series(1, :streams) AS number
    """,
)
MAKE_DUE = """
    UPDATE sync_schedule SET next_run_at = now() - random() * interval '5 minutes'
    WHERE id = ANY(ARRAY(SELECT id FROM sync_schedule ORDER BY random() LIMIT :due))
"""
NOTE = (
    "Medians of {samples}, alternating between databases that differ only in size. Statements: the claim, the runs "
    "with the schedules' next windows, and those that find nothing more. Sends: {due:,} messages, ten per request, to "
    "a queue on this machine that discards them, so they show this process's own part. Next windows are computed here. "
    "The frequencies are in hours: those in days have the claim look up the time zones of their studios."
)


@dataclass
class Fleet:
    """A database with this many schedules."""

    size: int
    url: str = field(repr=False)
    superuser: pg8000.native.Connection = field(repr=False)
    watches: list[Profiler] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def measure(quick: bool, server: Server) -> list[Table]:
    sizes, samples = ((2_000, 4_000), 1) if quick else ((10_000, 100_000, 1_000_000), 7)
    with ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(null_queue.in_use())
        stack.callback(configure, DATABASE_URL=server.urls.joint)
        fleets = [stack.enter_context(_fleet(server, size)) for size in sizes]
        for turn in range(samples + 1):
            for fleet in fleets[turn % len(fleets) :] + fleets[: turn % len(fleets)]:
                _tick(fleet)
                if (
                    turn == 0
                ):  # the first time includes connecting, importing, and reading from disk what was just written
                    fleet.watches.clear()
                    fleet.seconds.clear()
    return [_table(fleets, samples)]


@contextmanager
def _fleet(server: Server, size: int) -> Iterator[Fleet]:
    urls = server.new_database(f"ansel_{size}")
    superuser = server.connect(urls.superuser)
    superuser.run("SET session_replication_role = replica")  # these rows are valid, so foreign keys need not be checked
    make_studios, make_connections, make_schedules = FILL
    superuser.run(make_studios, studios=size // STREAMS)
    superuser.run(make_connections)
    superuser.run(make_schedules, streams=STREAMS)
    superuser.run("RESET session_replication_role")
    superuser.run("VACUUM ANALYZE")
    yield Fleet(size, urls.joint, superuser)
    superuser.close()
    _drop(server, f"ansel_{size}")


def _drop(server: Server, name: str) -> None:
    superuser = server.connect(server.urls.superuser)
    try:
        superuser.run(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        superuser.close()


def _tick(fleet: Fleet) -> None:
    """The first tick of a connection prepares its functions, so an untimed small one runs first."""
    configure(DATABASE_URL=fleet.url)
    for count in (WARM_UP, DUE):
        fleet.superuser.run("DELETE FROM sync_log")
        fleet.superuser.run(MAKE_DUE, due=count)
        watch = Profiler()
        with watch.watching(WATCHED):
            seconds = timing.seconds(start_due_runs)
        ((started,),) = fleet.superuser.run("SELECT count(*) FROM sync_log")
        assert started >= count  # a schedule's next window may begin meanwhile
    assert {CLAIM, START} <= watch.stages.keys()
    fleet.watches.append(watch)
    fleet.seconds.append(seconds)


def _function(connection: PgConnection, statements: Sequence[Statement], **kwargs: Any) -> str:
    return next((stage for name, stage in CROSS_TENANT.items() if name in statements[0].sql), OTHERS)


WATCHED = (
    Watched(PgConnection, "pipeline_all", _function),
    Watched(PgConnection, "execute_simple", OTHERS),
    Watched(work_queue, "enqueue", SEND),
)


def _table(fleets: Sequence[Fleet], samples: int) -> Table:
    rows: list[Row] = []
    smallest = 0.0
    for fleet in fleets:
        stages = {name: median(watch.wall(name) for watch in fleet.watches) * 1000 for name in (*STATEMENTS, SEND)}
        in_statements = sum(stages[name] for name in STATEMENTS)
        smallest = smallest or in_statements
        whole = median(fleet.seconds) * 1000
        windows = median(map(_unwatched, fleet.seconds, fleet.watches)) * 1000
        statement_stages = (
            stages[CLAIM],
            stages[START],
            stages[LOOK] + stages[OTHERS],
            in_statements,
            in_statements / smallest,
        )
        rows.append((f"{fleet.size:,}", *statement_stages, windows, stages[SEND], whole))
    columns = ("schedules", "claim, ms", "start runs, ms", "other statements, ms", "all statements, ms")
    more = (f"times {rows[0][0]}", "next windows, ms", "sends, ms", "whole tick, ms")
    title = f"A tick that finds {DUE:,} due schedules"
    return Table(title, (*columns, *more), rows, [NOTE.format(samples=samples, due=DUE)])


def _unwatched(seconds: float, watch: Profiler) -> float:
    return seconds - sum(stage.wall for stage in watch.stages.values())
