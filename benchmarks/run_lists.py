"""The sync log: a page of a long log beside the same page of a short one, for filters that match much and little."""

from functools import partial
from statistics import median
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pg8000.native

from app import app
from benchmarks import timing
from benchmarks.handlers import CONNECTED, CONNECTIONS, LOG, bearer_of, context, event, quiet
from benchmarks.server import Server
from benchmarks.table import Table
from dev.invocation import request_event

INSERT_RUNS = """
    INSERT INTO sync_log (id, studio_id, connection_id, platform, stream, trigger, status, finished_at)
    SELECT uuidv7((n - 2000000) * interval '1 minute'), c.studio_id, c.id, c.platform, 'stream_' || chr(97 + n % 5),
           'schedule', CASE WHEN n < 20 THEN 'cancelled' WHEN n % 50 = 0 THEN 'failed' ELSE 'succeeded' END, now()
    FROM generate_series(1, :runs) AS n JOIN platform_connection AS c ON c.studio_id = :studio_id
      AND c.platform = CASE WHEN n BETWEEN 30 AND 39 THEN 'pinterest' WHEN n % 2 = 0 THEN 'google' ELSE 'meta' END
"""
"""Pinterest's runs and the cancelled ones are the oldest."""
FILTERS: tuple[dict[str, str], ...] = (
    {},
    {"platform": "google"},
    {"platform": "pinterest"},
    {"syncType": "stream_b"},
    {"status": "succeeded"},
    {"status": "failed"},
    {"status": "cancelled"},
    {"status": "running"},
    {"status": "failed", "platform": "pinterest"},
)


def measure(quick: bool, server: Server) -> list[Table]:
    sizes, rounds, samples = ((500, 1_000), 1, 3) if quick else ((100_000, 1_000_000), 5, 40)
    superuser = server.connect(server.urls.superuser)
    try:
        with quiet():
            bearers = [_studio(server, superuser, size) for size in sizes]
            superuser.run("VACUUM ANALYZE")
            cases = [(each, bearer) for each in FILTERS for bearer in bearers]
            calls = {str(number): partial(app, _event(*case), context()) for number, case in enumerate(cases)}
            for call in calls.values():
                answer = call()
                assert answer["statusCode"] == 200, answer
            taken = timing.interleaved(calls, rounds=rounds, samples=samples)
    finally:
        superuser.close()
    return [_table(sizes, [median(times) * 1000 for times in taken.values()])]


def _studio(server: Server, superuser: pg8000.native.Connection, runs: int) -> str:
    """Its authorization."""
    studio_id: UUID = server.new_studio()
    bearer = bearer_of(studio_id)
    for platform, tokens in CONNECTED.items():
        created = app(event("POST", CONNECTIONS, bearer, {"platform": platform, **tokens}), context())
        assert created["statusCode"] == 201, created
    superuser.run("DELETE FROM sync_log WHERE studio_id = :studio_id", studio_id=studio_id)
    superuser.run(INSERT_RUNS, studio_id=studio_id, runs=runs)
    return bearer


def _event(filters: dict[str, str], bearer: str) -> dict[str, Any]:
    return request_event("GET", LOG, {"Authorization": bearer}, query={name: [text] for name, text in filters.items()})


def _table(sizes: tuple[int, int], times: list[float]) -> Table:
    rows = [
        (urlencode(filters) or "none", short, long, long / short)
        for filters, short, long in zip(FILTERS, times[::2], times[1::2], strict=True)
    ]
    columns = ("filter", *(f"{size:,} runs, p50 ms" for size in sizes), "ratio")
    note = "Whole requests with a cached key; 50 runs at most. The rare platform and the cancelled runs are the oldest."
    return Table("A first page of the sync log", columns, rows, [note])
