"""The obvious handlers beside ours, in this process and on the same rows.

Ours keeps a key it has looked up for a while, so it is measured both ways; the others look theirs up each time.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack, closing
from functools import partial
from statistics import median
from typing import Any
from uuid import UUID

from app import app
from benchmarks import handlers, obvious, timing
from benchmarks.handlers import CONNECTIONS, LOG, TOKENS, bearer_of, context, event
from benchmarks.obvious import Handler
from benchmarks.server import Server
from benchmarks.table import Row, Table
from chalicelib.data.connections import LIST_CONNECTIONS
from chalicelib.data.postgres.database import read
from chalicelib.data.sync.run_lists import AFTER_ALL, LIST_RUNS
from chalicelib.services.authentication import authenticate, forget_callers

OURS, OURS_COLD, BASE = "ours", "ours, key looked up", "SQLAlchemy session, psycopg 3"
Event = dict[str, Any]
Taken = Mapping[str, list[float]]


def measure(quick: bool, server: Server) -> list[Table]:
    rounds, samples, runs = (2, 10, 500) if quick else (10, 100, 100_000)
    with ExitStack() as stack:
        stack.enter_context(handlers.quiet())
        studio_id, bearer = _filled(server, runs)
        peers: dict[str, Handler] = {
            OURS: app,
            OURS_COLD: app,
            BASE: stack.enter_context(obvious.sqlalchemy_handlers(server)),
            "plain pg8000": stack.enter_context(obvious.pg8000_handlers(server)),
        }
        requests = {
            "list": event("GET", CONNECTIONS, bearer),
            "save": event("PUT", f"{CONNECTIONS}/meta", bearer, TOKENS, route=obvious.SAVE),
            "sync log": event("GET", LOG, bearer),
        }
        for work in ("list", "sync log"):
            _compare(peers, requests[work])
        taken = {
            work: timing.interleaved(
                {name: partial(_body, peer, request) for name, peer in peers.items()},
                rounds=rounds,
                samples=samples,
                prepare={
                    **dict.fromkeys(peers, _nothing),
                    OURS: partial(authenticate, bearer),
                    OURS_COLD: forget_callers,
                },
            )
            for work, request in requests.items()
        }
        floor = timing.interleaved(
            {
                "list": lambda: read(studio_id, LIST_CONNECTIONS, connection=None),
                "sync log": lambda: read(studio_id, LIST_RUNS, before=AFTER_ALL, limit=obvious.PAGE + 1),
            },
            rounds=rounds,
            samples=samples,
        )
    return [_table(taken, floor, rounds * samples, runs)]


def _filled(server: Server, runs: int) -> tuple[UUID, str]:
    """A studio with four connections and a log, among twenty others."""
    with closing(server.connect(server.urls.superuser)) as superuser:
        for _ in range(21):
            studio_id = server.new_studio()
            bearer = bearer_of(studio_id)
            for platform, tokens in handlers.CONNECTED.items():
                created = app(event("POST", CONNECTIONS, bearer, {"platform": platform, **tokens}), context())
                assert created["statusCode"] == 201, created
        superuser.run(handlers.INSERT_RUNS, studio_id=studio_id, count=runs)
        superuser.run("VACUUM ANALYZE")
    return studio_id, bearer


def _body(handler: Handler, request: Event) -> str:
    response = handler(request, context())
    assert response["statusCode"] == 200, response
    body: str = response["body"]
    return body


def _compare(peers: Mapping[str, Handler], request: Event) -> None:
    """That all return the same items."""
    ours, *others = (json.loads(_body(peer, request))["items"] for peer in peers.values())
    assert all(items == ours for items in others)


def _nothing() -> None:
    pass


def _table(taken: Mapping[str, Taken], floor: Taken, samples: int, runs: int) -> Table:
    rows: list[Row] = []
    for work, by_peer in taken.items():
        base = median(by_peer[BASE])
        rows += [(work, name, median(times) * 1000, median(times) / base) for name, times in by_peer.items()]
        if work in floor:
            rows.append((work, "our statement alone", median(floor[work]) * 1000, median(floor[work]) / base))
    title = f"The obvious handlers beside ours ({samples:,} requests each, a log of {runs:,} runs)"
    note = (
        "All return the same items. The obvious handlers look the API key up at each request; their role bypasses"
        " row-level security."
    )
    return Table(title, ("work", "handler", "p50 ms", "times SQLAlchemy"), rows, [note])
