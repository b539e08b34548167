"""GET /api/sync/status: the state of each stream, and why."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.postgres.database import read
from chalicelib.data.sync.stream_status import StreamState
from chalicelib.errors import TokenRevoked
from chalicelib.services.connections import state as connection_state
from dev.sandbox import Sandbox
from tests.api.seeding import connect_google, insert
from tests.api.working import execute_run
from tests.conftest import Api

Sql = Callable[..., Any]
CALENDAR = "www.googleapis.com"
WAITING_SINCE = {"queued": "queued_at", "running": "lease_expires_at", "deferred": "resume_at"}


@pytest.fixture
def connected(api: Api, platforms: Sandbox) -> Api:
    connect_google(api)
    return api


@pytest.fixture
def sql(connected: Api, superuser: pg8000.native.Connection) -> Sql:
    return partial(superuser.run)


def bookings(api: Api) -> dict[str, Any]:
    return next(item for item in api.get("/api/sync/status").json["items"] if item["syncType"] == "bookings")


def state_of(api: Api) -> tuple[str, str | None, str | None]:
    """State, code of the reason, and when it resumes."""
    item = bookings(api)
    assert item["reason"] is None or item["reason"]["message"]
    return item["state"], item["reason"] and item["reason"]["code"], item["resumesAt"]


def start(api: Api) -> UUID:
    answer = api.post("/api/sync/google", {"syncType": "bookings"})
    assert answer.status == 202, answer.text
    return UUID(answer.json["runs"][0]["id"])


def work(api: Api) -> str:
    return execute_run(api.studio_id, start(api), lambda: 60_000)


def fail(api: Api, sql: Sql) -> None:
    start(api)
    sql(
        """
        UPDATE sync_log SET status = 'failed', finished_at = now(), error_code = 'platform_contract_changed',
            error_message = 'The platform sent an unexpected response'
        """
    )


def pause(api: Api, sql: Sql) -> None:
    assert api.post("/api/sync/google/schedule/pause", {"syncType": "bookings"}).status == 200


def refuse_deletions(api: Api, sql: Sql) -> None:
    sql(
        "INSERT INTO account_position (studio_id, connection_id, stream, account_id, refused_deletions)"
        " SELECT studio_id, id, 'bookings', id, 37 FROM platform_connection"
    )


def queue(api: Api, sql: Sql) -> None:
    start(api)


def lease(api: Api, sql: Sql) -> None:
    sql(
        """
        UPDATE sync_log SET status = 'running', attempts = 3, lease_expires_at = now() + interval '1 minute'
        WHERE status = 'queued'
        """
    )


def defer(api: Api, sql: Sql, *, code: str = "platform_unavailable") -> None:
    sql(
        """
        UPDATE sync_log SET status = 'deferred', resume_at = now() + interval '5 minutes', error_code = :code,
            error_message = 'Later', lease_expires_at = NULL
        WHERE status IN ('running', 'deferred')
        """,
        code=code,
    )


def forget(api: Api, sql: Sql) -> None:
    sql("UPDATE sync_log SET resume_at = now() - interval '11 minutes' WHERE status = 'deferred'")


def fail_connection(api: Api, sql: Sql) -> None:
    stored = read(api.studio_id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert stored is not None
    connection_state.fail_connection(stored, TokenRevoked())


LADDER: list[tuple[str, str | None, Callable[[Api, Sql], None]]] = [
    ("failing", "platform_contract_changed", fail),
    ("paused", "paused", pause),
    ("needs_confirmation", "deletions_refused", refuse_deletions),
    ("queued", None, queue),
    ("running", None, lease),
    ("deferred", "platform_unavailable", defer),
    ("throttled", "quota_spent", partial(defer, code="quota_spent")),
    ("stuck", "no_worker", forget),
    ("broken", "token_revoked", fail_connection),
]
"""Events that happen to a stream in turn; none undoes those before it."""
ACTIONS = {
    "failing": "contact_support",
    "paused": "resume",
    "needs_confirmation": "confirm_deletions",
    "deferred": "wait",
    "throttled": "wait",
    "stuck": "contact_support",
    "broken": "reconnect",
}


def test_the_most_severe_state_is_reported(connected: Api, sql: Sql) -> None:
    assert state_of(connected)[:2] == ("idle", None)
    for state, code, happen in LADDER:
        happen(connected, sql)
        assert state_of(connected)[:2] == (state, code)
        reason = bookings(connected)["reason"]
        assert reason is None or reason["action"] == ACTIONS[state]
    assert {"idle", *(state for state, *_ in LADDER)} == set(get_args(StreamState))


def test_an_idle_stream_resumes_at_its_next_window(connected: Api) -> None:
    assert bookings(connected)["resumesAt"] == bookings(connected)["nextRunAt"] is not None
    assert connected.delete("/api/sync/google/schedule?syncType=bookings").status == 204
    assert state_of(connected) == ("idle", None, None)


def test_after_a_failed_run_the_status_says_why_and_when_the_next_one_is(connected: Api, sql: Sql) -> None:
    fail(connected, sql)
    item = bookings(connected)
    assert item["reason"] == {
        "code": "platform_contract_changed",
        "message": "The platform sent an unexpected response",
        "action": "contact_support",
    }
    assert item["resumesAt"] == item["nextRunAt"] is not None


def test_a_cancelled_run_is_not_a_failure(connected: Api) -> None:
    assert connected.delete(f"/api/sync/log/{start(connected)}").status == 200
    assert state_of(connected)[:2] == ("idle", None)


@pytest.mark.parametrize("code", ["platform_rate_limited", "quota_spent", "platform_down"])
def test_a_run_held_back_by_limits_is_throttled(connected: Api, sql: Sql, code: str) -> None:
    start(connected)
    lease(connected, sql)
    defer(connected, sql, code=code)
    (resume_at,) = sql("SELECT resume_at FROM sync_log")[0]
    state, reason, resumes_at = state_of(connected)
    assert (state, reason, datetime.fromisoformat(resumes_at or "")) == ("throttled", code, resume_at)


def test_a_rate_limit_shows_as_throttled_until_it_ends(connected: Api, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=429, headers={"Retry-After": "1800"}, host=CALENDAR)
    assert work(connected) == "deferred"
    state, reason, resumes_at = state_of(connected)
    assert (state, reason) == ("throttled", "platform_rate_limited")
    assert resumes_at == connected.get("/api/sync/log?limit=1").json["items"][0]["resumeAt"]


def test_a_transient_error_shows_as_deferred_with_the_attempts_so_far(connected: Api, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=503, host=CALENDAR)
    assert work(connected) == "deferred"
    assert state_of(connected)[:2] == ("deferred", "platform_unavailable")
    assert bookings(connected)["running"]["attempts"] == 1


@pytest.mark.parametrize("status", WAITING_SINCE)
@pytest.mark.parametrize(("minutes", "stuck"), [(9, False), (11, True)])
def test_a_run_without_a_worker_for_ten_minutes_is_stuck(
    connected: Api, sql: Sql, status: str, minutes: int, stuck: bool
) -> None:
    start(connected)
    sql(
        f"""
        UPDATE sync_log SET status = :status, {WAITING_SINCE[status]} = now() - interval '{minutes} minutes',
            error_code = CASE WHEN :status = 'deferred' THEN 'platform_unavailable' END, error_message = 'Later'
        """,
        status=status,
    )
    state, reason, resumes_at = state_of(connected)
    assert state == ("stuck" if stuck else status)
    if stuck:
        assert (reason, resumes_at) == ("no_worker", None)


def test_a_yielded_run_that_no_worker_resumes_is_stuck(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    connect_google(api, "bulk-1500")
    run = start(api)
    assert execute_run(api.studio_id, run, lambda: 1_000) == "handed_over"
    assert state_of(api) == ("running", None, None)
    superuser.run("UPDATE sync_log SET lease_expires_at = lease_expires_at - interval '11 minutes'")
    assert state_of(api)[:2] == ("stuck", "no_worker")
    assert execute_run(api.studio_id, run, lambda: 60_000) == "succeeded"


def test_a_long_run_with_a_live_worker_is_not_stuck(connected: Api, sql: Sql) -> None:
    start(connected)
    lease(connected, sql)
    sql("UPDATE sync_log SET queued_at = now() - interval '3 hours', started_at = now() - interval '2 hours'")
    assert state_of(connected) == ("running", None, None)


def test_refused_deletions_are_counted_with_how_to_confirm_them(connected: Api, sql: Sql) -> None:
    refuse_deletions(connected, sql)
    item = bookings(connected)
    assert (item["refusedDeletions"], item["resumesAt"]) == (37, None)
    assert item["reason"]["message"].startswith("37 records were missing from the last complete read")
    path = f"/api/sync/google?connection={item['connectionId']}"
    assert f'POST {path} {{"syncType": "bookings", "confirmDeletions": true}}' in item["reason"]["message"]


def test_a_broken_connection_shows_the_platforms_reason(connected: Api, sql: Sql) -> None:
    fail_connection(connected, sql)
    item = bookings(connected)
    assert (item["state"], item["resumesAt"], item["connectionStatus"]) == ("broken", None, "revoked")
    message = "The platform no longer accepts this connection"
    assert item["reason"] == {"code": "token_revoked", "message": message, "action": "reconnect"}


def test_an_expired_unrefreshable_token_shows_before_any_sync_fails(connected: Api, sql: Sql) -> None:
    sql("UPDATE platform_connection SET refresh_token = NULL, token_expires_at = now()")
    item = bookings(connected)
    assert (item["state"], item["connectionStatus"]) == ("broken", "active")
    assert item["reason"]["code"] == "token_expired"


def test_a_backfill_is_shown_separately_from_the_live_run(connected: Api, superuser: pg8000.native.Connection) -> None:
    live = start(connected)
    backfill = insert(
        superuser,
        "sync_log",
        studio_id=connected.studio_id,
        connection_id=UUID(connected.get("/api/connections/google").json["id"]),
        platform="google",
        stream="bookings",
        trigger="backfill",
        status="running",
        backfill_from=datetime(2025, 1, 1, tzinfo=UTC).date(),
        backfill_to=datetime(2025, 1, 10, tzinfo=UTC).date(),
    )
    item = bookings(connected)
    assert (item["state"], item["running"]["id"], item["lastRun"]["id"]) == ("queued", str(live), str(live))
    assert item["backfill"] == {
        "id": str(backfill),
        "status": "running",
        "from": "2025-01-01",
        "to": "2025-01-10",
        "progress": 0.0,
    }
    assert connected.delete(f"/api/sync/log/{live}").status == 200
    superuser.run("UPDATE sync_log SET status = 'failed', finished_at = now() WHERE trigger = 'backfill'")
    item = bookings(connected)
    assert (item["state"], item["running"], item["lastRun"]["id"]) == ("idle", None, str(live))
    assert item["backfill"] is None


def test_another_streams_run_does_not_affect_the_status(connected: Api, sql: Sql) -> None:
    assert connected.post("/api/sync/google", {"syncType": "inquiries"}).status == 202
    sql("UPDATE sync_log SET queued_at = now() - interval '1 hour'")
    assert state_of(connected)[:2] == ("idle", None)
