"""Refreshes: one worker refreshes, the others read the result; idle grants are kept alive; no error kills one."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from math import inf
from typing import Any
from uuid import UUID, uuid4

import pg8000.native
import pytest

from chalicelib import clock
from chalicelib.data.connection_state import LEASE_REFRESH
from chalicelib.data.connections import FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.postgres.database import read, transaction
from chalicelib.errors import Misconfigured, RefreshInProgress, TokenExpired, TokenRevoked, Unavailable
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.services.connections import refresh
from chalicelib.services.connections import state as connection_state
from chalicelib.services.connections.clients import WAIT_SECONDS, Session
from chalicelib.services.connections.refresh import Refresh
from chalicelib.services.connections.tokens import Tokens, open_tokens
from chalicelib.services.sync.execute import execute_run
from chalicelib.services.throttling.retries import MAX_ATTEMPTS_WITHOUT_PROGRESS
from chalicelib.settings import get_settings
from chalicelib.workers.tick import tick
from dev.invocation import Context, schedule_event
from dev.sandbox import CLIENT_SECRET, Sandbox, issue_token, meta, pinterest
from tests.conftest import Api, Queue, database_time, from_now, paused_streams
from tests.services.conftest import PLENTY_MS, Studio, connect

TOKEN_HOST = "oauth2.googleapis.com"
AWAY_WHEN_TOKENS_ARE_STORED = """
    CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION USING ERRCODE = 'cannot_connect_now';
    END $$;
    CREATE TRIGGER away BEFORE UPDATE ON platform_connection FOR EACH ROW
    WHEN (NEW.token_generation <> OLD.token_generation) EXECUTE FUNCTION away()
"""


@pytest.fixture
def expired(api: Api, queue: Queue, platforms: Sandbox) -> Studio:
    """Connected with an expired access token."""
    return connect(api, queue, lifetime=0)


def stored(studio: Studio, platform: str = "google") -> StoredConnection:
    connection = read(studio.id, FIND_STORED_CONNECTION, platform=platform, connection=None)
    assert connection is not None
    return connection


def session(stored: StoredConnection, **limits: Any) -> Session:
    return Session(stored, get_platform(stored.platform), **limits)


def refreshing(stored: StoredConnection, *, seconds_left: Callable[[], float] = lambda: inf) -> Refresh:
    return Refresh(stored, get_platform(stored.platform), wait_seconds=WAIT_SECONDS, seconds_left=seconds_left)


def refreshes(platforms: Sandbox) -> int:
    return sum(request["path"].endswith(("/token", "/access_token")) for request in platforms.requests.list())


def other(api: Api, queue: Queue, platform: str, grant: Any) -> Studio:
    """Connected to another platform than Google."""
    tokens = {"accessToken": grant.access_token, "refreshToken": getattr(grant, "refresh_token", None)}
    body = {"platform": platform, "expiresIn": grant.expires_in, **tokens}
    assert api.post("/api/connections", {name: value for name, value in body.items() if value}).status == 201
    return Studio(api, queue, "studio")


def events(studio: Studio, platform: str = "google") -> list[tuple[str, str | None]]:
    items = studio.api.get(f"/api/connections/{platform}/events").json["items"]
    return [(item["kind"], item["code"]) for item in items]


def tick_and_refresh(studio: Studio) -> list[str]:
    """One minute's tick, and a worker that serves its messages for refreshes."""
    tick(schedule_event("tick"), Context("tick", 60))
    refresh_messages = [message for message in studio.queue.receive() if message["kind"] == "refresh"]
    return [refresh.refresh_idle(UUID(each["studioId"]), UUID(each["id"])) for each in refresh_messages]


def test_a_valid_token_is_used_without_a_refresh(studio: Studio, platforms: Sandbox) -> None:
    session(stored(studio)).client()
    assert refreshes(platforms) == 0


def test_a_refresh_stores_the_new_token_and_keeps_the_refresh_token(expired: Studio, platforms: Sandbox) -> None:
    before = open_tokens(stored(expired))
    session(stored(expired)).client()
    after = stored(expired)
    assert after.token_generation == 2
    assert open_tokens(after).access != before.access
    assert open_tokens(after).refresh == before.refresh
    assert after.token_expires_at is not None
    assert after.token_expires_at > database_time() + timedelta(minutes=50)


def test_many_workers_needing_the_same_token_make_one_refresh(expired: Studio, platforms: Sandbox) -> None:
    connection = stored(expired)
    with ThreadPoolExecutor(8) as pool:
        clients = list(pool.map(lambda _: session(connection).client(), range(16)))
    assert len(clients) == 16
    assert refreshes(platforms) == 1
    assert stored(expired).token_generation == 2


def test_a_worker_without_the_lease_waits_for_the_new_token(
    expired: Studio, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = stored(expired)
    with transaction(expired.id) as tx:
        tx.run(LEASE_REFRESH, id=connection.id, token_generation=1, owner=uuid4(), lease_seconds=60)
    refreshed = Tokens(access=Secret("ya29.refreshed"), refresh=Secret("1//0kept"), expires_at=None, scopes=None)
    assert connection_state.replace_tokens(connection, refreshed)
    session(connection).client()
    assert refreshes(platforms) == 0


def test_the_lease_of_a_killed_worker_is_taken_over_when_it_expires(expired: Studio, platforms: Sandbox) -> None:
    connection = stored(expired)
    with transaction(expired.id) as tx:
        tx.run(LEASE_REFRESH, id=connection.id, token_generation=1, owner=uuid4(), lease_seconds=0)
    session(connection).client()
    assert refreshes(platforms) == 1


def refresh_elsewhere(studio: Studio) -> StoredConnection:
    """Another worker takes the lease and is still refreshing."""
    connection = stored(studio)
    with transaction(studio.id) as tx:
        tx.run(LEASE_REFRESH, id=connection.id, token_generation=1, owner=uuid4(), lease_seconds=60)
    return connection


def never_sleep(seconds: float) -> None:
    raise AssertionError(f"waited {seconds} seconds")


def test_a_request_waits_only_briefly_for_another_workers_refresh(expired: Studio, platforms: Sandbox) -> None:
    connection = refresh_elsewhere(expired)
    with pytest.raises(RefreshInProgress):
        session(connection, wait_seconds=2 * refresh.POLL_SECONDS).client()
    with pytest.raises(RefreshInProgress), clock.deadline(in_seconds=0):
        session(connection).client()
    assert refreshes(platforms) == 0


def test_a_run_is_deferred_while_another_worker_refreshes(
    expired: Studio, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch, superuser: pg8000.native.Connection
) -> None:
    monkeypatch.setattr(time, "sleep", never_sleep)
    monkeypatch.setattr(refresh, "COME_BACK_AFTER", timedelta())  # no message is delayed past the end of the test
    connection = refresh_elsewhere(expired)
    run = expired.start("bookings")
    for attempt in range(1, MAX_ATTEMPTS_WITHOUT_PROGRESS + 3):
        superuser.run("UPDATE sync_log SET resume_at = now()")
        assert execute_run(expired.id, UUID(run["id"]), lambda: PLENTY_MS) == "deferred"
        waiting = expired.run(run["id"])
        assert (waiting["status"], waiting["error"]["code"], waiting["attempts"]) == (
            "deferred",
            "token_being_refreshed",
            attempt,
        )
        wait = from_now(waiting["resumeAt"])
        assert wait <= refresh.COME_BACK_AFTER
    assert superuser.run("SELECT attempts_without_progress FROM sync_log") == [[0]]
    assert superuser.run("SELECT count(*) FROM platform_circuit") == [[0]]
    assert {message["id"] for message in expired.queue.receive()} == {run["id"]}
    grant = issue_token("studio")
    refreshed = Tokens(Secret(grant.access_token), Secret(grant.refresh_token), None, None, expires_in=3600)
    assert connection_state.replace_tokens(connection, refreshed)
    superuser.run("UPDATE sync_log SET resume_at = now()")
    assert execute_run(expired.id, UUID(run["id"]), lambda: PLENTY_MS) == "succeeded"
    assert refreshes(platforms) == 0


def test_a_still_valid_token_is_used_while_another_worker_refreshes_it(
    api: Api, queue: Queue, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", never_sleep)
    studio = connect(api, queue, lifetime=200)
    refresh_elsewhere(studio)
    assert studio.api.post("/api/connections/google/test").json["valid"] is True
    assert refreshes(platforms) == 0


def test_an_idle_grant_being_refreshed_by_another_worker_is_skipped(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, superuser: pg8000.native.Connection
) -> None:
    monkeypatch.setattr(time, "sleep", never_sleep)
    due(superuser)
    connection = refresh_elsewhere(studio)
    assert refresh.refresh_idle(studio.id, connection.id) == "failed"


def test_a_rotated_token_is_stored_once_the_database_is_back_in_time(
    api: Api, queue: Queue, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch, superuser: pg8000.native.Connection
) -> None:
    waits: list[float] = []

    def bring_it_back(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            superuser.run("DROP FUNCTION away() CASCADE")

    studio = other(api, queue, "pinterest", pinterest.issue_token("studio", lifetime=1))
    monkeypatch.setattr(time, "sleep", bring_it_back)
    superuser.run(AWAY_WHEN_TOKENS_ARE_STORED)
    refreshing(stored(studio, "pinterest"), seconds_left=lambda: 60).refresh()
    assert waits == list(refresh.STORE_WAITS[:2])
    assert stored(studio, "pinterest").token_generation == 2


def test_storing_a_rotated_token_is_retried_only_until_the_deadline(
    api: Api, queue: Queue, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch, superuser: pg8000.native.Connection
) -> None:
    waits: list[float] = []
    studio = other(api, queue, "pinterest", pinterest.issue_token("studio", lifetime=1))
    monkeypatch.setattr(time, "sleep", waits.append)
    superuser.run(AWAY_WHEN_TOKENS_ARE_STORED)
    with pytest.raises(Unavailable):
        refreshing(stored(studio, "pinterest"), seconds_left=lambda: 1.5 - sum(waits)).refresh()
    superuser.run("DROP FUNCTION away() CASCADE")
    assert waits == [0.1, 0.5]


def test_a_revoked_grant_is_detected_on_the_first_attempt(expired: Studio, platforms: Sandbox) -> None:
    platforms.google.revoke("studio")
    with pytest.raises(TokenRevoked):
        session(stored(expired)).client()
    assert refreshes(platforms) == 1


def test_an_outage_of_the_token_endpoint_breaks_no_connection(expired: Studio, platforms: Sandbox) -> None:
    for status in (500, 503, 429):
        platforms.add_fault(kind="status", status=status, host=TOKEN_HOST)
        run = expired.sync("bookings")
        assert run["status"] == "deferred"
        expired.api.put("/api/connections/google", {"scopes": []})
        assert expired.connection()["status"] == "active"
        with transaction(expired.id) as tx:
            from chalicelib.data.postgres.query import Query

            cancel: Query[None] = Query("UPDATE sync_log SET status = 'cancelled' WHERE status = 'deferred'")
            tx.run(cancel)


def test_invalid_grant_is_ignored_if_the_tokens_were_replaced_meanwhile(expired: Studio, platforms: Sandbox) -> None:
    """The studio reconnects while the old refresh token is being rejected."""
    stale = stored(expired)
    platforms.google.revoke("studio")
    grant = issue_token("studio")
    fresh = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token, "expiresIn": 3600}
    expired.api.put("/api/connections/google", fresh)
    session(stale).client()
    assert expired.connection()["status"] == "active"


def test_a_connection_without_a_refresh_token_cannot_be_refreshed(
    expired: Studio, superuser: pg8000.native.Connection
) -> None:
    superuser.run("UPDATE platform_connection SET refresh_token = NULL, token_expires_at = now() - interval '1 hour'")
    with pytest.raises(TokenExpired):
        session(stored(expired)).client()


def test_without_an_oauth_client_the_connection_is_misconfigured(
    expired: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_CLIENT_ID")
    monkeypatch.delenv("GOOGLE_CLIENT_SECRET")
    get_settings.cache_clear()
    with pytest.raises(Misconfigured):
        session(stored(expired)).client()
    connection = expired.connection()
    assert (connection["status"], connection["statusReason"]["action"]) == ("misconfigured", "contact_support")


@pytest.mark.parametrize("platform", ["pinterest", "meta"])
def test_a_grant_is_refreshed_as_its_platform_requires(
    api: Api, queue: Queue, platforms: Sandbox, platform: str
) -> None:
    vendor = {"pinterest": pinterest, "meta": meta}[platform]
    studio = other(api, queue, platform, vendor.issue_token("studio", lifetime=200))
    before = open_tokens(stored(studio, platform))
    session(stored(studio, platform)).client()
    after = stored(studio, platform)
    assert after.token_generation == 2
    assert open_tokens(after).access != before.access
    assert (open_tokens(after).refresh == before.refresh) is (platform == "meta")
    assert after.expires_in is not None
    assert after.expires_in > 20 * 86400


def test_a_rotated_refresh_token_is_stored_with_its_own_expiry(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio = other(api, queue, "pinterest", pinterest.issue_token("studio", lifetime=1))
    for generation in (2, 3):
        refreshing(stored(studio, "pinterest")).refresh()
        assert stored(studio, "pinterest").token_generation == generation
    (days,) = superuser.run("SELECT refresh_token_expires_at - now() FROM platform_connection")[0]
    assert timedelta(days=59) < days <= timedelta(days=60)


def test_a_dead_token_is_not_sent_to_a_platform_that_refreshes_only_valid_ones(
    api: Api, queue: Queue, platforms: Sandbox
) -> None:
    studio = other(api, queue, "meta", meta.issue_token("studio"))
    platforms.meta.revoke("studio")
    assert api.post("/api/connections/meta/test").json["valid"] is False
    assert refreshes(platforms) == 0
    assert stored(studio, "meta").status in ("expired", "revoked")


def test_the_old_client_secret_is_tried_while_the_new_one_is_not_live(
    expired: Studio, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CLIENT_SECRET", f"GOCSPX-not-live-yet,{CLIENT_SECRET}")
    get_settings.cache_clear()
    session(stored(expired)).client()
    assert (refreshes(platforms), stored(expired).token_generation) == (2, 2)


def test_a_rejected_client_is_recorded_once_and_recovers_by_itself(expired: Studio, platforms: Sandbox) -> None:
    platforms.google.set_client_secrets(["another"])
    for _ in range(2):
        assert expired.sync("bookings")["error"]["code"] == "platform_misconfigured"
    assert expired.connection()["status"] == "misconfigured"
    assert paused_streams(expired.api) == {"bookings": False, "inquiries": False}
    platforms.google.set_client_secrets([CLIENT_SECRET])
    assert expired.sync("bookings")["status"] == "succeeded"
    assert expired.connection()["status"] == "active"
    assert events(expired) == [
        ("recovered", "platform_misconfigured"),
        ("misconfigured", "platform_misconfigured"),
        ("connected", None),
    ]


def test_a_still_valid_token_is_used_while_it_cannot_be_refreshed(api: Api, queue: Queue, platforms: Sandbox) -> None:
    studio = connect(api, queue, lifetime=200)
    platforms.add_fault(kind="status", status=503, host=TOKEN_HOST, path="/token")
    assert studio.sync("bookings")["status"] == "succeeded"
    assert studio.connection()["statusReason"]["action"] == "wait"


def due(superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE platform_connection SET refresh_at = now()")
    superuser.run("UPDATE platform_circuit SET open_until = now() WHERE open_until IS NOT NULL")


def test_an_idle_grant_is_refreshed_when_due(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    assert tick_and_refresh(studio) == []
    due(superuser)
    assert tick_and_refresh(studio) == ["refreshed"]
    assert (stored(studio).token_generation, refreshes(platforms)) == (2, 1)
    ((days,),) = superuser.run("SELECT refresh_at - now() FROM platform_connection")
    assert timedelta(days=28) < days <= timedelta(days=30)
    assert events(studio) == [("connected", None)], "a refresh creates no event"


def test_a_second_message_for_a_refresh_is_dropped(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    due(superuser)
    assert tick_and_refresh(studio) == ["refreshed"]
    assert refresh.refresh_idle(studio.id, stored(studio).id) == "dropped"
    assert refreshes(platforms) == 1


def test_a_lost_refresh_is_re_enqueued_after_fifteen_minutes(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    due(superuser)
    assert refresh.enqueue_due_refreshes() == 1
    assert refresh.enqueue_due_refreshes() == 0
    superuser.run("UPDATE platform_connection SET refresh_at = refresh_at - interval '15 minutes'")
    assert refresh.enqueue_due_refreshes() == 1


def test_a_dead_idle_grant_breaks_the_connection(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.revoke("studio")
    due(superuser)
    assert tick_and_refresh(studio) == ["failed"]
    connection = studio.connection()
    assert (connection["status"], connection["statusReason"]["action"]) == ("revoked", "reconnect")
    assert events(studio)[0] == ("failed", "token_revoked")
    due(superuser)
    assert tick_and_refresh(studio) == []


def test_an_outage_of_three_days_postpones_refreshes_and_warns_once(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="status", status=500, host=TOKEN_HOST, times=None)
    due(superuser)
    waited: list[timedelta] = []
    while sum(waited, timedelta()) < timedelta(hours=6):
        assert tick_and_refresh(studio) == ["failed"]
        ((wait,),) = superuser.run("SELECT refresh_at - now() FROM platform_connection")
        assert timedelta() < wait <= timedelta(hours=1)
        waited.append(wait)
        due(superuser)
    connection = studio.connection()
    assert (connection["status"], connection["statusReason"]["code"]) == ("active", "refresh_failing")
    assert events(studio) == [("warning", "refresh_failing"), ("connected", None)]
    platforms.clear_faults()
    assert tick_and_refresh(studio) == ["refreshed"]
    assert studio.connection()["statusReason"]["action"] == "none"


def test_a_connection_shows_that_it_is_being_refreshed(studio: Studio) -> None:
    connection = stored(studio)
    with transaction(studio.id) as tx:
        tx.run(LEASE_REFRESH, id=connection.id, token_generation=1, owner=uuid4(), lease_seconds=60)
    assert studio.connection()["status"] == "refreshing"
    assert studio.sync("bookings")["status"] == "succeeded"


def test_the_databases_clock_decides_when_a_token_expires(studio: Studio, platforms: Sandbox) -> None:
    with clock.at(database_time() + timedelta(days=1)):
        session(stored(studio)).client()
    assert refreshes(platforms) == 0
