"""Waits requested by platforms: none is longer than a day, and the studio or an operator can end each of them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pg8000.native
import pytest

from chalicelib import clock
from chalicelib.errors import CircuitOpen, NotFound, QuotaSpent, RateLimited, RefreshInProgress, TransientFault
from chalicelib.platforms.core.quota import Usage
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.registry import LOADED
from chalicelib.services.operations import throttle_control
from chalicelib.services.operations.throttle_control import clear_throttles, list_throttles
from chalicelib.services.throttling.retries import (
    LONGEST_BACKOFF,
    LONGEST_WAIT,
    MAX_ATTEMPTS_WITHOUT_PROGRESS,
    delay_after,
    time_until,
)
from dev.sandbox import Sandbox, issue_token
from tests.conftest import Api, Database, Queue, Studios
from tests.services import administration
from tests.services.administration import forget, plenty, time_for
from tests.services.conftest import Studio, connect, execute

as_administrator = administration.as_administrator

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
CALENDAR = "www.googleapis.com"
EVENTS = "/calendar/v3/calendars/"
DAILY_LIMIT = {"error": {"code": 403, "errors": [{"reason": "dailyLimitExceeded"}]}}
FAR = {
    "seconds": {"Retry-After": "9999999"},
    "a date": {"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"},
}


@pytest.fixture
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


@pytest.mark.usefixtures("fixed")
@pytest.mark.parametrize(
    ("moment", "wait"),
    [
        (NOW + timedelta(seconds=90), timedelta(seconds=90)),
        (NOW - timedelta(hours=1), timedelta()),
        (NOW + timedelta(hours=24), timedelta(days=1)),
        (NOW + timedelta(days=3650), timedelta(days=1)),
        (datetime.max.replace(tzinfo=UTC), timedelta(days=1)),
        (datetime.min.replace(tzinfo=UTC), timedelta()),
    ],
)
def test_a_wait_is_never_longer_than_a_day(moment: datetime, wait: timedelta) -> None:
    assert time_until(moment) == wait


@pytest.mark.usefixtures("fixed")
@pytest.mark.parametrize("kind", [RateLimited, QuotaSpent, CircuitOpen, RefreshInProgress])
def test_a_requested_wait_is_respected_without_ever_giving_up(kind: Callable[..., Any]) -> None:
    error = kind(resume_at=NOW + timedelta(minutes=7))
    assert delay_after(error, attempts=99, attempts_without_progress=99) == timedelta(minutes=7)


@pytest.mark.usefixtures("fixed")
def test_a_transient_error_with_a_time_is_retried_then_but_not_before_its_backoff() -> None:
    later = delay_after(TransientFault(resume_at=NOW + timedelta(hours=2)), attempts=1, attempts_without_progress=1)
    assert later == timedelta(hours=2)
    at_once = delay_after(TransientFault(resume_at=NOW), attempts=1, attempts_without_progress=1)
    assert at_once is not None
    assert timedelta() < at_once <= LONGEST_BACKOFF
    far = TransientFault(resume_at=NOW + timedelta(days=30))
    assert delay_after(far, attempts=1, attempts_without_progress=1) == LONGEST_WAIT
    assert delay_after(far, attempts=1, attempts_without_progress=MAX_ATTEMPTS_WITHOUT_PROGRESS) is None


def waits(run: dict[str, Any]) -> timedelta:
    assert run["status"] == "deferred"
    return datetime.fromisoformat(run["resumeAt"]) - datetime.now(UTC)  # today: the database uses the current time


def limit(platforms: Sandbox, *, times: int | None = 1, **fault: Any) -> None:
    defaults: dict[str, Any] = {"status": 429, "headers": {"Retry-After": "9999999"}}
    platforms.add_fault(kind="status", host=CALENDAR, path=EVENTS, times=times, **{**defaults, **fault})


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("headers", FAR.values(), ids=list(FAR))
def test_a_run_is_deferred_for_a_day_at_most(
    studio: Studio,
    platforms: Sandbox,
    superuser: pg8000.native.Connection,
    status: int,
    headers: dict[str, str],
) -> None:
    limit(platforms, status=status, headers=headers)
    assert timedelta(hours=23) < waits(studio.sync("bookings")) <= LONGEST_WAIT
    blocked = superuser.run("SELECT max(blocked_until) <= now() + interval '1 day' FROM account_quota")
    assert blocked == [[True if status == 429 else None]]


def test_a_run_waits_for_the_token_endpoint_as_long_as_it_asks(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio = connect(api, queue, lifetime=0)
    platforms.add_fault(kind="status", status=503, host="oauth2.googleapis.com", headers={"Retry-After": "7200"})
    assert timedelta(minutes=119) < waits(studio.sync("bookings")) <= timedelta(hours=2)
    superuser.run("UPDATE sync_log SET resume_at = now(); UPDATE platform_connection SET refresh_at = now()")
    platforms.add_fault(kind="status", status=429, host="oauth2.googleapis.com", headers={"Retry-After": "9999999"})
    execute(studio, studio.api.get("/api/sync/log").json["items"][0]["id"])
    ((ahead,),) = superuser.run("SELECT refresh_at - now() FROM platform_connection")
    assert timedelta(hours=23) < ahead <= LONGEST_WAIT


def test_usage_reported_in_headers_blocks_for_a_day_at_most(
    studio: Studio, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(headers: Any, now: datetime) -> list[Usage]:
        return [Usage("app", 0.99, now + timedelta(days=400)), Usage("account", 0.99, now + timedelta(days=400))]

    monkeypatch.setitem(LOADED, "google", msgspec.structs.replace(GOOGLE, usage=usage))
    assert studio.sync("bookings")["status"] == "succeeded"
    for table in ("app_quota", "account_quota"):
        assert superuser.run(f"SELECT blocked_until <= now() + interval '1 day' FROM {table}") == [[True]]
    assert waits(studio.sync("bookings")) <= LONGEST_WAIT


def test_a_reconnect_ends_the_waits_of_the_account(studio: Studio, platforms: Sandbox) -> None:
    limit(platforms)
    run = studio.sync("bookings")
    assert waits(run) > timedelta(hours=23)
    grant = issue_token("studio")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": 3600}
    assert studio.api.put("/api/connections/google", tokens).status == 200
    assert execute(studio, run["id"]) == "succeeded"


def test_disconnecting_and_connecting_again_ends_the_waits(studio: Studio, queue: Queue, platforms: Sandbox) -> None:
    limit(platforms)
    studio.sync("bookings")
    assert studio.api.delete("/api/connections/google").status == 204
    queue.receive()
    again = connect(studio.api, queue)
    assert again.sync("bookings")["status"] == "succeeded"


def test_a_token_refresh_ends_no_wait(studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection) -> None:
    limit(platforms)
    run = studio.sync("bookings")
    superuser.run("UPDATE platform_connection SET token_expires_at = now()")
    assert studio.api.post("/api/connections/google/test").json["valid"] is True
    assert waits(studio.run(run["id"])) > timedelta(hours=23)


def test_cancelling_a_waiting_run_allows_the_next_sync(studio: Studio, platforms: Sandbox) -> None:
    limit(platforms)
    run = studio.sync("bookings")
    assert studio.start("bookings")["id"] == run["id"], "without a cancel, a manual sync returns the waiting run"
    assert studio.api.delete(f"/api/sync/log/{run['id']}").status == 200
    assert studio.sync("bookings")["status"] == "succeeded"


def test_cancelling_ends_neither_other_accounts_waits_nor_global_ones(
    api: Api, studios: Studios, queue: Queue, platforms: Sandbox
) -> None:
    studio, other = connect(api, queue), connect(studios.new(), queue)
    limit(platforms, times=2)
    run, waiting = studio.sync("bookings"), other.sync("bookings")
    studio.api.delete(f"/api/sync/log/{run['id']}")
    assert waits(other.run(waiting["id"])) > timedelta(hours=23)
    limit(platforms, status=403, body=DAILY_LIMIT)
    studio.sync("bookings")
    deferred = studio.start("bookings")
    studio.api.delete(f"/api/sync/log/{deferred['id']}")
    assert studio.sync("bookings")["error"]["code"] == "quota_spent"


@pytest.fixture
def limited(api: Api, studios: Studios, queue: Queue, platforms: Sandbox) -> tuple[Studio, Studio]:
    """Two studios delayed by a limit of the application."""
    first, second = connect(api, queue), connect(studios.new(), queue)
    limit(platforms, status=403, body=DAILY_LIMIT)
    assert first.sync("bookings")["error"]["code"] == "platform_rate_limited"
    assert second.sync("bookings")["error"]["code"] == "quota_spent"
    return first, second


def test_an_operator_sees_what_delays_runs(
    limited: tuple[Studio, Studio], as_administrator: Database, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    superuser.run(
        "INSERT INTO platform_circuit VALUES ('google', 'gmail', 12, now() + interval '1 minute');"
        "INSERT INTO account_quota (studio_id, connection_id, api, blocked_until)"
        f" VALUES ('{limited[1].id}', '{limited[1].connection()['id']}', 'gmail', now() + interval '1 hour')"
    )
    throttles = list_throttles(100)
    assert [(each.scope, each.api, each.failures_in_row) for each in throttles.shared] == [
        ("app", "calendar", None),
        ("circuit", "gmail", 12),
    ]
    assert [(each.studio_id, each.platform, each.api) for each in throttles.accounts] == [
        (limited[1].id, "google", "gmail")
    ]
    assert str(throttles.accounts[0].connection_id) == limited[1].connection()["id"]
    assert sorted((each.platform, each.code, each.runs, each.studios) for each in throttles.runs) == [
        ("google", "platform_rate_limited", 1, 1),
        ("google", "quota_spent", 1, 1),
    ]
    assert list_throttles(1).accounts == throttles.accounts


def test_an_operator_can_end_a_limit_of_the_application(
    limited: tuple[Studio, Studio],
    as_administrator: Database,
    superuser: pg8000.native.Connection,
) -> None:
    superuser.run("UPDATE sync_log SET resume_at = now() + interval '1 day', enqueue_at = now() + interval '1 day'")
    cleared = clear_throttles("google", None, plenty)
    assert (cleared.quotas, cleared.runs, cleared.complete) == (1, 2, True)
    assert list_throttles(100).shared == []
    due = superuser.run("SELECT resume_at = enqueue_at AND resume_at <= now() + interval '5 minutes' FROM sync_log")
    assert due == [[True], [True]]
    superuser.run("UPDATE sync_log SET resume_at = now()")
    for studio in limited:
        run_id = superuser.run("SELECT id::text FROM sync_log WHERE studio_id = :id", id=studio.id)[0][0]
        assert execute(studio, run_id) == "succeeded"
    assert clear_throttles("google", None, plenty).runs == 0


def test_a_command_out_of_time_is_incomplete_and_can_be_resumed(
    limited: tuple[Studio, Studio],
    as_administrator: Database,
    superuser: pg8000.native.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(throttle_control, "BATCH", 1)
    superuser.run("UPDATE sync_log SET resume_at = now() + interval '1 day'")
    first = clear_throttles("google", None, time_for(steps=1))
    assert (first.runs, first.complete) == (1, False)
    second = clear_throttles("google", None, plenty)
    assert (second.runs, second.complete) == (1, True)


def test_an_operator_can_end_the_wait_of_one_studio(
    api: Api, studios: Studios, queue: Queue, platforms: Sandbox, as_administrator: Database
) -> None:
    studio, other = connect(api, queue), connect(studios.new(), queue)
    limit(platforms, times=2)
    run, waiting = studio.sync("bookings"), other.sync("bookings")
    cleared = clear_throttles("google", studio.id, plenty)
    assert (cleared.quotas, cleared.runs, cleared.complete) == (1, 1, True)
    assert [message["id"] for message in queue.receive()] == [run["id"]]
    assert execute(studio, run["id"]) == "succeeded"
    assert waits(other.run(waiting["id"])) > timedelta(hours=23)


def test_an_unknown_platform_or_studio_is_rejected(as_administrator: Database) -> None:
    with pytest.raises(NotFound, match="platform"):
        clear_throttles("myspace", None, plenty)
    with pytest.raises(NotFound, match="Studio"):
        clear_throttles("google", UUID(int=7), plenty)


def test_the_output_for_operators_contains_no_customer_text(
    limited: tuple[Studio, Studio], as_administrator: Database
) -> None:
    output = msgspec.json.decode(msgspec.json.encode(list_throttles(100)))
    assert set(output) == {"shared", "accounts", "runs"}
    assert "Linden" not in json.dumps(output)
    forget()
