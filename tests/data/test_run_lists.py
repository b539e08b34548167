"""Lists of runs: whatever the filters match, a page costs the same in a long log as in a short one."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.postgres.driver import PgConnection
from chalicelib.data.postgres.query import Query
from chalicelib.data.sync.run_lists import AFTER_ALL, LIST_ACTIVE_RUNS, LIST_ENDED_RUNS, LIST_RUNS, LIST_RUNS_OF_STREAMS
from chalicelib.data.sync.runs import Run
from chalicelib.services.sync.runs import list_runs
from tests.conftest import Database
from tests.data.explained import CUSTOM, GENERIC, pages_touched
from tests.data.rows import connection_of, new_studio

RUNS, TIMES, LIMIT = 500, 20, 51
INSERT = """
    INSERT INTO sync_log (id, studio_id, connection_id, platform, stream, trigger, status, finished_at)
    SELECT uuidv7((n - 1000000) * interval '1 minute'), :studio, c.id, c.platform,
           CASE WHEN c.platform = 'google' AND n % 2 = 0 THEN 'inquiries' WHEN c.platform = 'google' THEN 'bookings'
           ELSE 'posts' END, 'schedule',
           CASE WHEN c.platform = 'pinterest' OR n % 7 = 0 THEN 'failed' WHEN n < 20 THEN 'cancelled'
           WHEN n = 21 THEN 'running' ELSE 'succeeded' END, now()
    FROM generate_series(1, :runs) AS n JOIN platform_connection AS c ON c.studio_id = :studio
      AND c.platform = CASE WHEN n BETWEEN 30 AND 39 THEN 'meta' WHEN n BETWEEN 50 AND 59 THEN 'pinterest'
                       ELSE 'google' END
"""
"""Nearly all runs are of Google's streams and succeeded. Those of the other platforms are old, as are the cancelled and
the active one; Pinterest's have all failed."""
FILTERS: dict[str, tuple[Query[list[Run]], dict[str, str]]] = {
    "all": (LIST_RUNS, {}),
    "a frequent platform": (LIST_RUNS_OF_STREAMS, {"platform": "google"}),
    "a rare platform": (LIST_RUNS_OF_STREAMS, {"platform": "meta"}),
    "a platform without runs": (LIST_RUNS_OF_STREAMS, {"platform": "yelp"}),
    "a rare stream": (LIST_RUNS_OF_STREAMS, {"stream": "posts"}),
    "a frequent stream": (LIST_RUNS_OF_STREAMS, {"stream": "inquiries"}),
    "an unknown stream": (LIST_RUNS_OF_STREAMS, {"stream": "none"}),
    "a rare connection": (LIST_RUNS_OF_STREAMS, {"connection": "pinterest"}),
    "a rare status": (LIST_ENDED_RUNS, {"status": "cancelled"}),
    "a frequent status": (LIST_ENDED_RUNS, {"status": "succeeded"}),
    "a status that a platform never has": (LIST_ENDED_RUNS, {"status": "succeeded", "platform": "pinterest"}),
    "a status in a rare stream": (LIST_ENDED_RUNS, {"status": "failed", "stream": "posts"}),
    "an active status": (LIST_ACTIVE_RUNS, {"status": "running"}),
    "an active status that no run has": (LIST_ACTIVE_RUNS, {"status": "deferred", "connection": "meta"}),
}
PLACES: dict[str, Callable[[list[UUID]], UUID]] = {
    "first page": lambda ids: AFTER_ALL,
    "a page in the middle": lambda ids: ids[len(ids) // 2],
    "a page at the end": lambda ids: ids[-5],
}


@pytest.fixture(scope="module")
def logs(database: Database) -> Iterator[tuple[UUID, UUID]]:
    """A studio with a short log and one with a log that is many times as long, and newer."""
    superuser = database.connect()
    superuser.run("TRUNCATE studio CASCADE")
    made = new_studio("short"), new_studio("long")
    for studio_id, runs in zip(made, (RUNS, RUNS * TIMES), strict=True):
        for platform in ("google", "meta", "pinterest"):
            connection_of(studio_id, platform)
        superuser.run(INSERT, studio=studio_id, runs=runs)
    superuser.run("VACUUM ANALYZE")
    yield made
    superuser.run("TRUNCATE studio CASCADE")
    superuser.close()


def values(studio_id: UUID, filters: dict[str, str]) -> dict[str, Any]:
    """Parameters for the filters; a connection is named by its platform."""
    named = {"platform": None, "connection": None, "stream": None, "status": None, **filters}
    if named["connection"]:
        named["connection"] = str(connection_of(studio_id, named["connection"]))
    return named


def ids(superuser: pg8000.native.Connection, studio_id: UUID) -> list[UUID]:
    """Of all runs, newest first."""
    found = superuser.run("SELECT id FROM sync_log WHERE studio_id = :id ORDER BY id DESC", id=studio_id)
    return [run_id for (run_id,) in found or ()]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
def test_a_page_of_a_long_log_touches_no_more_than_one_of_a_short_log(
    connection: PgConnection,
    superuser: pg8000.native.Connection,
    logs: tuple[UUID, UUID],
    name: str,
    place: str,
    mode: str,
) -> None:
    query, filters = FILTERS[name]
    short, long = (
        pages_touched(
            connection,
            query,
            studio_id,
            {**values(studio_id, filters), "before": PLACES[place](ids(superuser, studio_id)), "limit": LIMIT},
            mode,
        )
        for studio_id in logs
    )
    assert long <= 1.2 * short + 10
    assert long <= 150


@pytest.mark.parametrize("name", FILTERS)
def test_pages_together_have_the_runs_that_match_and_in_their_order(logs: tuple[UUID, UUID], name: str) -> None:
    studio_id, _ = logs
    filters = values(studio_id, FILTERS[name][1])
    anything = dict.fromkeys(filters)
    all_runs = list_runs(studio_id, **_named(anything), before=None, limit=RUNS + 1)
    assert len(all_runs) == RUNS
    listed: list[Run] = []
    while page := list_runs(studio_id, **_named(filters), before=listed[-1].id if listed else None, limit=20):
        listed.extend(page)
    assert listed == [run for run in all_runs if _matches(run, filters)]


def _named(filters: dict[str, Any]) -> dict[str, Any]:
    """As the service names them."""
    connection = filters["connection"]
    rest = {name: filters[name] for name in ("platform", "status")}
    return {**rest, "sync_type": filters["stream"], "connection": UUID(connection) if connection else None}


def _matches(run: Run, filters: dict[str, Any]) -> bool:
    of_run = (run.platform, str(run.connection_id), run.sync_type, run.status)
    wanted = (filters["platform"], filters["connection"], filters["stream"], filters["status"])
    return all(value in (None, have) for have, value in zip(of_run, wanted, strict=True))
