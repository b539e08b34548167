"""How many runs of a stream a studio may start manually per day."""

from typing import Any

import pytest
from pg8000.native import Connection as Superuser

from chalicelib.services.streams import MAX_MANUAL_RUNS
from dev.sandbox import Sandbox
from tests.api.seeding import connect_google
from tests.conftest import Api

MAY = {"syncType": "bookings", "from": "2026-05-01", "to": "2026-05-31"}


@pytest.fixture
def google(api: Api, platforms: Sandbox) -> Api:
    connect_google(api)
    return api


def add_runs(superuser: Superuser, count: int, *, trigger: str = "manual", age: str = "1 hour") -> None:
    """Finished runs of bookings. The id of a run encodes its start."""
    superuser.run(
        """
        INSERT INTO sync_log (id, studio_id, connection_id, platform, stream, trigger, status, finished_at,
                              backfill_from, backfill_to)
        SELECT uuidv7(-:age::interval), c.studio_id, c.id, 'google', 'bookings', :trigger, 'failed', now(),
               CASE WHEN :trigger = 'backfill' THEN date '2026-05-01' END,
               CASE WHEN :trigger = 'backfill' THEN date '2026-05-31' END
        FROM platform_connection AS c, generate_series(1, :count::int)
        """,
        count=count,
        trigger=trigger,
        age=age,
    )


def start(api: Api, sync_type: str | None = "bookings") -> Any:
    return api.post("/api/sync/google", {"syncType": sync_type})


def test_manual_runs_of_a_stream_are_limited_per_day(google: Api, superuser: Superuser) -> None:
    add_runs(superuser, MAX_MANUAL_RUNS - 1)
    assert start(google).status == 202
    superuser.run("UPDATE sync_log SET status = 'cancelled', finished_at = now() WHERE status = 'queued'")
    refused = start(google)
    assert (refused.status, refused.json["code"]) == (429, "too_many_runs")
    assert "bookings" in refused.json["detail"]
    assert 22 * 3600 < int(refused.headers["Retry-After"]) <= 23 * 3600


@pytest.mark.parametrize("trigger", ["retry", "backfill"])
def test_retries_and_backfills_count_as_manual_runs(google: Api, superuser: Superuser, trigger: str) -> None:
    add_runs(superuser, MAX_MANUAL_RUNS, trigger=trigger)
    (run,) = google.get("/api/sync/log?limit=1").json["items"]
    for path, body in (
        ("/api/sync/google", {"syncType": "bookings"}),
        (f"/api/sync/log/{run['id']}/retry", None),
        ("/api/sync/google/backfill", MAY),
    ):
        refused = google.post(path, body)
        assert (refused.status, refused.json["code"]) == (429, "too_many_runs"), path


@pytest.mark.parametrize("others", [{"trigger": "schedule"}, {"age": "25 hours"}])
def test_scheduled_runs_and_runs_older_than_a_day_do_not_count(
    google: Api, superuser: Superuser, others: dict[str, str]
) -> None:
    add_runs(superuser, MAX_MANUAL_RUNS, **others)
    assert start(google).status == 202


def test_a_run_in_progress_is_returned_even_at_the_limit(google: Api, superuser: Superuser) -> None:
    (run,) = start(google).json["runs"]
    backfill = google.post("/api/sync/google/backfill", MAY)
    add_runs(superuser, MAX_MANUAL_RUNS)
    assert start(google).json["runs"] == [run]
    assert google.post("/api/sync/google/backfill", MAY).json == backfill.json


def test_a_sync_of_all_streams_starts_those_below_their_limit(google: Api, superuser: Superuser) -> None:
    add_runs(superuser, MAX_MANUAL_RUNS)
    assert [run["syncType"] for run in start(google, None).json["runs"]] == ["inquiries"]


def test_a_disconnected_stream_is_not_found_rather_than_at_its_limit(google: Api, superuser: Superuser) -> None:
    add_runs(superuser, MAX_MANUAL_RUNS)
    assert google.delete("/api/connections/google").status == 204
    assert (start(google).status, start(google).json["code"]) == (404, "connection_not_found")
