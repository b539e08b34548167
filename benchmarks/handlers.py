"""Requests through `app.app` in this process, as Lambda calls it, and a Chalice route that returns a constant."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TextIO
from uuid import UUID

import pg8000.native
from chalice.app import Chalice

from app import app
from benchmarks import timing
from benchmarks.server import Server
from benchmarks.table import Row, Table
from benchmarks.timing import percentile
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.logs import JsonFormatter
from chalicelib.services.api_keys import create_api_key
from chalicelib.services.authentication import authenticate, forget_callers
from dev.invocation import Context, request_event

CONNECTIONS = "/api/connections"
LOG = "/api/sync/log"
TOKENS = {"accessToken": "ya29." + "a" * 120, "refreshToken": "1//0" + "b" * 99, "expiresIn": 3600}
CONNECTED: dict[str, dict[str, Any]] = {"google": TOKENS, "meta": TOKENS, "pinterest": TOKENS, "website": {}}
INSERT_RUNS = """
    INSERT INTO sync_log (studio_id, connection_id, platform, stream, trigger, status, window_at, queued_at, started_at,
                          finished_at, duration_ms, attempts, pages, records_seen, records_unchanged, api_calls)
    SELECT c.studio_id, c.id, c.platform, 'posts', 'schedule', 'succeeded', at, at, at, at + interval '2 s', 2000,
           1, 3, 250, 250, 3
    FROM platform_connection AS c, generate_series(1, :count) AS n,
         LATERAL (SELECT timestamptz '2026-01-01' + n * interval '5 minutes' AS at)
    WHERE c.studio_id = :studio_id AND c.platform = 'meta'
"""

bare = Chalice(app_name="bare", configure_logs=False, env={})


@bare.route(CONNECTIONS)
def constant() -> dict[str, object]:
    return {"items": [], "nextCursor": None}


@dataclass(frozen=True)
class Case:
    """A request, and what runs before each one."""

    name: str
    call: Callable[[], Any]
    status: int = 200
    prepare: Callable[[], object] = lambda: None


def measure(quick: bool, server: Server) -> list[Table]:
    rounds, samples, runs = (2, 10, 500) if quick else (10, 100, 20_000)
    superuser = server.connect(server.urls.superuser)
    try:
        with quiet():
            cases = [Case("bare Chalice route", partial(bare, event("GET", CONNECTIONS), context()))]
            cases += _reads(server, superuser, runs)
            cases += _writes(server, superuser)
            statements = {case.name: _check(case) for case in cases}
            taken = timing.interleaved(
                {case.name: case.call for case in cases},
                rounds=rounds,
                samples=samples,
                prepare={case.name: case.prepare for case in cases},
            )
    finally:
        superuser.close()
    return [_table(taken, statements, rounds * samples)]


def _reads(server: Server, superuser: pg8000.native.Connection, runs: int) -> Iterator[Case]:
    studio_id = server.new_studio()
    bearer = bearer_of(studio_id)
    for platform, tokens in CONNECTED.items():
        created = app(event("POST", CONNECTIONS, bearer, {"platform": platform, **tokens}), context())
        assert created["statusCode"] == 201, created
    superuser.run(INSERT_RUNS, studio_id=studio_id, count=runs)
    superuser.run("ANALYZE")
    for path, name in ((CONNECTIONS, f"of {len(CONNECTED)}"), (LOG, f"50 of {runs:,}")):
        call = partial(app, event("GET", path, bearer), context())
        yield Case(f"GET {path} ({name})", call, prepare=forget_callers)
        yield Case(f"GET {path} ({name}), key cached", call, prepare=partial(authenticate, bearer))


def _writes(server: Server, superuser: pg8000.native.Connection) -> Iterator[Case]:
    studio_id = server.new_studio()
    bearer = bearer_of(studio_id)

    def disconnected() -> None:
        superuser.run("DELETE FROM platform_connection WHERE studio_id = :id", id=studio_id)

    def unseen() -> None:
        disconnected()
        forget_callers()

    def seen() -> None:
        disconnected()
        authenticate(bearer)

    call = partial(app, event("POST", CONNECTIONS, bearer, {"platform": "google", **TOKENS}), context())
    yield Case(f"POST {CONNECTIONS}", call, 201, unseen)
    yield Case(f"POST {CONNECTIONS}, key cached", call, 201, seen)


def _check(case: Case) -> tuple[int, int]:
    """Statements and round trips of one request, which must have succeeded."""
    case.prepare()
    with query_statistics() as statistics:
        answer = case.call()
    assert answer["statusCode"] == case.status, answer
    statements = [sql for sql in statistics.statements if not sql.startswith(("BEGIN", "COMMIT"))]
    return len(statements), statistics.round_trips


def _table(taken: dict[str, list[float]], statistics: dict[str, tuple[int, int]], samples: int) -> Table:
    base = median(next(iter(taken.values())))
    rows: list[Row] = [
        (name, median(times) * 1000, percentile(times, 99) * 1000, median(times) / base, *statistics[name])
        for name, times in taken.items()
    ]
    title = f"Requests in one process, from the API Gateway event to the response ({samples:,} each)"
    columns = ("request", "p50 ms", "p99 ms", "times bare", "statements", "round trips")
    note = "The key is looked up in the database unless it says cached; BEGIN and COMMIT are not counted as statements."
    return Table(title, columns, rows, [note])


def bearer_of(studio_id: UUID) -> str:
    return f"Bearer {create_api_key(studio_id, 'benchmark', ['admin']).reveal()}"


def context() -> Context:
    return Context("ansel", 30.0)


@contextmanager
def quiet(lines: TextIO | None = None) -> Iterator[None]:
    """Log lines are formatted and written as usual, but to `lines`, or discarded."""
    root = logging.getLogger()
    before = root.handlers[:]
    with open(os.devnull, "w") as nowhere:
        handler = logging.StreamHandler(lines or nowhere)
        handler.setFormatter(JsonFormatter())
        root.handlers[:] = [handler]
        try:
            yield
        finally:
            root.handlers[:] = before


def event(
    method: str, path: str, bearer: str = "", body: Mapping[str, object] | None = None, *, route: str = ""
) -> dict[str, Any]:
    return request_event(
        method, path, {"Authorization": bearer}, None if body is None else json.dumps(body), route=route
    )
