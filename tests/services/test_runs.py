"""Runs from start to end against the sandbox platforms, with and without disturbances."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pg8000.native
import pytest

from chalicelib import clock
from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.query import Query
from chalicelib.errors import Unavailable
from chalicelib.services.sync import execute as sync_execute
from chalicelib.services.sync import leases
from chalicelib.services.throttling.retries import MAX_ATTEMPTS_WITHOUT_PROGRESS
from dev.sandbox import Sandbox
from tests.conftest import Api, Queue, database_time, from_now, paused_streams
from tests.services.conftest import CALENDAR, EVENTS, PLENTY_MS, Studio, connect, execute, make_due, scalar

CUT_AMID_A_PAGE = """
    CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        PERFORM pg_terminate_backend(pg_backend_pid());
        RETURN NEW;
    END $$;
    CREATE TRIGGER cut BEFORE INSERT ON booking FOR EACH ROW
    WHEN (NEW.client_email = 'client1500@example.com') EXECUTE FUNCTION cut()
"""
CUT_CONNECTIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename LIKE 'ansel%' AND datname = current_database()
"""


def test_the_first_sync_stores_the_calendar_and_the_next_nothing_new(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    first = studio.sync("bookings")
    assert (first["status"], first["trigger"], first["fullRead"], first["error"]) == ("succeeded", "manual", True, None)
    assert first["records"]["created"] == first["records"]["seen"] > 10
    assert first["records"]["created"] == scalar(superuser, "SELECT count(*) FROM booking")
    assert first["apiCalls"] >= first["pages"] >= 1
    second = studio.sync("bookings")
    assert (second["status"], second["fullRead"], second["records"]["seen"]) == ("succeeded", False, 0)


def test_the_first_sync_stores_the_mailbox_and_marks_answered_inquiries(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    run = studio.sync("inquiries")
    assert run["status"] == "succeeded"
    statuses = dict(superuser.run("SELECT status, count(*) FROM inquiry GROUP BY status"))
    assert set(statuses) == {"new", "contacted"}
    assert sum(statuses.values()) == run["records"]["created"]
    assert (
        scalar(superuser, "SELECT count(*) FROM inquiry WHERE (status = 'contacted') <> (contacted_at IS NOT NULL)")
        == 0
    )


def test_changes_since_the_last_sync_are_counted_by_kind(studio: Studio, platforms: Sandbox) -> None:
    added = platforms.google.add_event({"summary": "Wedding Adams"})
    studio.sync("bookings")
    platforms.google.add_event({"summary": "Portrait Beck"})
    platforms.google.update_event(added["id"], {"summary": "Wedding Adams and Cole"})
    run = studio.sync("bookings")
    assert run["records"] == {"seen": 2, "created": 1, "updated": 1, "unchanged": 0, "deleted": 0, "setAside": 0}
    platforms.google.delete_event(added["id"])
    run = studio.sync("bookings")
    assert run["records"] == {"seen": 1, "created": 0, "updated": 0, "unchanged": 0, "deleted": 1, "setAside": 0}


def test_an_expired_cursor_leads_to_a_full_read_in_the_same_run(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    event = platforms.google.add_event({"summary": "Wedding Davis"})
    before = studio.sync("bookings")["records"]["created"]
    platforms.google.delete_event(event["id"])
    platforms.google.expire_sync_tokens("studio")
    run = studio.sync("bookings")
    assert (run["status"], run["fullRead"], run["attempts"]) == ("succeeded", True, 1)
    assert run["records"] == {
        "seen": before,
        "created": 0,
        "updated": 0,
        "unchanged": before - 1,
        "deleted": 1,
        "setAside": 0,
    }
    status = scalar(superuser, "SELECT status FROM booking WHERE title = 'Wedding Davis'")
    assert status == "cancelled"
    assert scalar(superuser, "SELECT count(*) FROM sync_seen") == 0
    assert studio.sync("bookings")["records"]["seen"] == 0


def test_an_expired_mail_history_leads_to_a_full_read_that_keeps_leads(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    before = studio.sync("inquiries")["records"]["created"]
    platforms.google.expire_history("studio")
    platforms.google.add_message(subject="Are you free in June?")
    run = studio.sync("inquiries")
    assert (run["status"], run["fullRead"]) == ("succeeded", True)
    assert (run["records"]["created"], run["records"]["unchanged"], run["records"]["deleted"]) == (1, before, 0)


def test_a_run_that_failed_midway_resumes_from_its_last_page(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="status", status=500, host=CALENDAR, path=EVENTS, after=2)
    run = bulk.sync("bookings")
    assert (run["status"], run["pages"]) == ("deferred", 2)
    assert run["error"]["code"] == "platform_unavailable"
    assert scalar(superuser, "SELECT count(*) FROM booking") == run["records"]["created"]
    make_due(superuser, run["id"])
    platforms.requests.clear()
    assert execute(bulk, run["id"]) == "succeeded"
    done = bulk.run(run["id"])
    assert (done["status"], done["attempts"], done["pages"], done["error"]) == ("succeeded", 2, 3, None)
    assert done["records"]["created"] == scalar(superuser, "SELECT count(*) FROM booking") == 2500
    assert platforms.requests.counts()["calendar.events.list"] == 1


def test_a_run_that_outlives_its_invocation_yields_and_continues(
    bulk: Studio, superuser: pg8000.native.Connection
) -> None:
    run = bulk.start("bookings")
    assert bulk.work(remaining_ms=lambda: leases.YIELD_MS - 1) == ["handed_over", "handed_over", "succeeded"]
    done = bulk.run(run["id"])
    assert (done["status"], done["attempts"], done["records"]["created"]) == ("succeeded", 3, 2500)
    assert scalar(superuser, "SELECT count(*) FROM sync_log") == 1


def test_a_message_for_a_finished_run_is_dropped(studio: Studio, platforms: Sandbox) -> None:
    run = studio.sync("bookings")
    platforms.requests.clear()
    assert execute(studio, run["id"]) == "dropped"
    assert platforms.requests.list() == []
    assert studio.run(run["id"]) == run


def test_a_message_for_an_unknown_run_is_dropped(studio: Studio) -> None:
    assert execute(studio, str(uuid4())) == "dropped"


def test_another_studio_cannot_execute_a_run(studio: Studio, studios: Any) -> None:
    run = studio.start("bookings")
    assert sync_execute.execute_run(studios.new().studio_id, UUID(run["id"]), lambda: PLENTY_MS) == "dropped"
    assert studio.run(run["id"])["status"] == "queued"


def test_a_second_worker_ignores_a_leased_run(bulk: Studio) -> None:
    run = bulk.start("bookings")
    outcomes: list[str] = []

    def meanwhile() -> int:
        outcomes.append(execute(bulk, run["id"]))
        return PLENTY_MS

    assert bulk.work(remaining_ms=meanwhile) == ["succeeded"]
    assert outcomes == ["dropped", "dropped"]
    assert bulk.run(run["id"])["records"]["created"] == 2500


def test_a_worker_whose_lease_expired_overwrites_nothing(bulk: Studio, superuser: pg8000.native.Connection) -> None:
    run = bulk.start("bookings")
    outcomes: list[str] = []

    def taken_over() -> int:
        if not outcomes:
            superuser.run("UPDATE sync_log SET lease_expires_at = now() - interval '1 second'")
            outcomes.append("successor")
            outcomes.append(execute(bulk, run["id"]))
        return PLENTY_MS

    assert bulk.work(remaining_ms=taken_over) == ["lease_lost"]
    assert outcomes == ["successor", "succeeded"]
    done = bulk.run(run["id"])
    assert (done["attempts"], done["pages"], done["records"]["seen"]) == (2, 3, 2500)


def test_a_disconnect_stops_a_run_at_its_next_page(bulk: Studio, superuser: pg8000.native.Connection) -> None:
    run = bulk.start("bookings")

    def disconnect() -> int:
        bulk.api.delete("/api/connections/google")
        return PLENTY_MS

    assert bulk.work(remaining_ms=disconnect) == ["lease_lost"]
    done = bulk.run(run["id"])
    assert (done["status"], done["error"]["code"]) == ("cancelled", "disconnected")
    assert scalar(superuser, "SELECT count(*) FROM booking") == done["records"]["created"] == 1000


def test_a_rate_limited_run_waits_as_long_as_the_platform_asks(studio: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=429, headers={"Retry-After": "1800"}, host=CALENDAR, path=EVENTS)
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("deferred", "platform_rate_limited")
    wait = from_now(run["resumeAt"])
    assert timedelta(minutes=29) < wait <= timedelta(minutes=30)
    assert execute(studio, run["id"]) == "dropped"


def test_an_unavailable_platform_is_retried_a_bounded_number_of_times(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="status", status=503, host=CALENDAR, times=None)
    run = studio.sync("bookings")
    for _ in range(MAX_ATTEMPTS_WITHOUT_PROGRESS - 1):
        assert studio.run(run["id"])["status"] == "deferred"
        make_due(superuser, run["id"])
        execute(studio, run["id"])
    done = studio.run(run["id"])
    assert (done["status"], done["attempts"], done["error"]["code"]) == (
        "failed",
        MAX_ATTEMPTS_WITHOUT_PROGRESS,
        "platform_unavailable",
    )
    assert studio.connection()["status"] == "active"
    assert studio.connection()["health"] == "degraded"
    assert studio.api.get("/api/sync/status").json["items"][0]["failuresInRow"] == 1


def test_a_rate_limited_run_is_never_abandoned(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="status", status=429, host=CALENDAR, times=MAX_ATTEMPTS_WITHOUT_PROGRESS + 2)
    run = studio.sync("bookings")
    for _ in range(MAX_ATTEMPTS_WITHOUT_PROGRESS + 2):
        assert studio.run(run["id"])["status"] == "deferred"
        make_due(superuser, run["id"])
        execute(studio, run["id"])
    assert studio.run(run["id"])["status"] == "succeeded"


def test_a_run_that_kills_its_workers_is_abandoned(studio: Studio, superuser: pg8000.native.Connection) -> None:
    run = studio.start("bookings")
    superuser.run("UPDATE sync_log SET attempts = :n, attempts_without_progress = :n", n=MAX_ATTEMPTS_WITHOUT_PROGRESS)
    assert execute(studio, run["id"]) == "failed"
    assert studio.run(run["id"])["error"]["code"] == "gave_up"


def test_a_repeatedly_expiring_cursor_fails_the_run(bulk: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=410, host=CALENDAR, path=f"{EVENTS}[^/]+/events", after=1)
    platforms.add_fault(kind="status", status=410, host=CALENDAR, path=f"{EVENTS}[^/]+/events", after=3)
    run = bulk.sync("bookings")
    assert (run["status"], run["error"]["code"], run["fullRead"]) == ("failed", "cursor_expired", True)


def test_a_stream_newer_than_its_connection_can_be_synced(studio: Studio, superuser: pg8000.native.Connection) -> None:
    superuser.run("DELETE FROM sync_schedule WHERE stream = 'bookings'")
    assert studio.sync("bookings")["status"] == "succeeded"


def test_a_success_clears_earlier_failures(studio: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="shape", body={"items": "gone"}, host=CALENDAR, path=EVENTS)
    assert studio.sync("bookings")["status"] == "failed"
    assert studio.connection()["lastError"]["code"] == "platform_contract_changed"
    assert studio.sync("bookings")["status"] == "succeeded"
    assert studio.connection()["lastError"] is None
    assert studio.connection()["health"] == "healthy"


def test_an_expired_token_is_refreshed_and_the_run_continues(api: Api, queue: Queue, platforms: Sandbox) -> None:
    studio = connect(api, queue, lifetime=0)
    assert studio.sync("bookings")["status"] == "succeeded"
    connection = studio.connection()
    assert connection["hasRefreshToken"] is True
    assert from_now(connection["tokenExpiresAt"]) > timedelta(minutes=30)


def test_a_revoked_grant_fails_the_run_and_pauses_the_schedules_until_reconnected(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.revoke("studio")
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "token_revoked")
    connection = studio.connection()
    assert (connection["status"], connection["health"]) == ("revoked", "broken")
    assert paused_streams(studio.api) == {"bookings": True, "inquiries": True}
    answer = studio.api.post("/api/sync/google")
    assert (answer.status, answer.json["code"]) == (409, "connection_not_active")

    from dev.sandbox import issue_token

    grant = issue_token("studio")
    tokens = {"accessToken": grant.access_token, "refreshToken": grant.refresh_token}
    assert studio.api.put("/api/connections/google", tokens).json["status"] == "active"
    assert paused_streams(studio.api) == {"bookings": False, "inquiries": False}
    assert studio.sync("bookings")["status"] == "succeeded"


def test_a_token_rejected_even_after_a_refresh_expires_the_connection(studio: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=401, host=CALENDAR, path=EVENTS, times=None)
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "token_expired")
    assert platforms.requests.counts()["oauth2.token"] == 1
    connection = studio.connection()
    assert (connection["status"], connection["statusReason"]["action"], connection["health"]) == (
        "expired",
        "reconnect",
        "broken",
    )
    events = studio.api.get("/api/connections/google/events").json["items"]
    assert [(event["kind"], event["code"]) for event in events] == [("failed", "token_expired"), ("connected", None)]
    assert all(item["paused"] for item in studio.api.get("/api/sync/status").json["items"])


def test_a_refresh_during_identification_repeats_the_identification(
    studio: Studio, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is refreshed concurrently, so the identified account may not be that of the new token."""
    monkeypatch.setattr(sync_execute, "COME_BACK_AFTER", timedelta())  # no message is delayed past the end of the test
    superuser.run(
        """
        UPDATE platform_connection SET account_unverified = true;
        CREATE FUNCTION refreshed_meanwhile() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RETURN NULL;  -- as if another generation were there by now: the identity finds no row to write to
        END $$;
        CREATE TRIGGER refreshed_meanwhile BEFORE UPDATE ON platform_connection FOR EACH ROW
        WHEN (OLD.account_unverified AND NOT NEW.account_unverified) EXECUTE FUNCTION refreshed_meanwhile()
        """
    )
    run = studio.start("bookings")
    outcome = execute(studio, run["id"])
    superuser.run("DROP FUNCTION refreshed_meanwhile() CASCADE")
    run = studio.run(run["id"])
    assert (outcome, run["error"]["code"], run["pages"]) == ("deferred", "token_being_refreshed", 0)
    make_due(superuser, run["id"])
    assert execute(studio, run["id"]) == "succeeded"


def test_testing_a_dead_connection_reports_its_state(studio: Studio, platforms: Sandbox) -> None:
    """Google still identifies the token's account."""
    platforms.add_fault(kind="status", status=401, host=CALENDAR, path=EVENTS, times=None)
    studio.sync("bookings")
    tested = studio.api.post("/api/connections/google/test").json
    reason = studio.connection()["statusReason"]
    assert (tested["valid"], tested["account"]) == (False, None)
    assert tested["error"] == {"code": reason["code"], "message": reason["message"]}


def test_an_expired_token_without_a_refresh_token_expires_the_connection(
    studio: Studio, superuser: pg8000.native.Connection
) -> None:
    superuser.run("UPDATE platform_connection SET refresh_token = NULL, token_expires_at = now() - interval '1 hour'")
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "token_expired")
    assert studio.connection()["status"] == "expired"


def test_a_misconfigured_client_is_reported_and_pauses_nothing(
    api: Api, queue: Queue, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chalicelib.settings import get_settings

    studio = connect(api, queue, lifetime=0)
    monkeypatch.setenv("GOOGLE_CLIENT_SECRET", "rotated-away")
    get_settings.cache_clear()
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "platform_misconfigured")
    connection = studio.connection()
    assert (connection["status"], connection["statusReason"]["action"]) == ("misconfigured", "contact_support")
    assert paused_streams(api) == {"bookings": False, "inquiries": False}


def test_a_missing_scope_fails_only_its_stream(api: Api, queue: Queue, platforms: Sandbox) -> None:
    studio = connect(api, queue, scopes=("https://www.googleapis.com/auth/calendar.readonly",))
    run = studio.sync("inquiries")
    assert (run["status"], run["error"]["code"]) == ("failed", "permission_missing")
    assert studio.connection()["status"] == "active"
    assert studio.sync("bookings")["status"] == "succeeded"


def test_a_page_that_cannot_be_stored_is_rolled_back(bulk: Studio, superuser: pg8000.native.Connection) -> None:
    superuser.run("ALTER TABLE booking ADD CONSTRAINT poison CHECK (client_email <> 'client1500@example.com')")
    try:
        run = bulk.start("bookings")
        (message,) = bulk.queue.receive()
        with pytest.raises(Exception, match="poison"):
            execute(bulk, message["id"])
    finally:
        superuser.run("ALTER TABLE booking DROP CONSTRAINT poison")
    logged_run = bulk.run(run["id"])
    assert (logged_run["status"], logged_run["error"]["code"], logged_run["pages"]) == ("deferred", "internal_error", 1)
    assert scalar(superuser, "SELECT count(*) FROM booking") == logged_run["records"]["created"] == 1000
    make_due(superuser, run["id"])
    assert execute(bulk, run["id"]) == "succeeded"
    assert scalar(superuser, "SELECT count(*) FROM booking") == 2500


def test_connections_cut_between_two_pages_are_replaced_silently(
    bulk: Studio, superuser: pg8000.native.Connection
) -> None:
    run = bulk.start("bookings")

    def cut() -> int:
        superuser.run(CUT_CONNECTIONS)
        return PLENTY_MS

    assert bulk.work(remaining_ms=cut) == ["succeeded"]
    done = bulk.run(run["id"])
    assert (done["attempts"], done["records"]["created"]) == (1, 2500)


def test_a_database_outage_in_a_page_loses_and_duplicates_nothing(
    bulk: Studio, superuser: pg8000.native.Connection
) -> None:
    run = bulk.start("bookings")
    (message,) = bulk.queue.receive()
    superuser.run(CUT_AMID_A_PAGE)
    try:
        with pytest.raises(Unavailable):
            execute(bulk, message["id"])
    finally:
        superuser.run("DROP FUNCTION cut CASCADE")
    assert scalar(superuser, "SELECT count(*) FROM booking") == bulk.run(run["id"])["records"]["created"] == 1000
    superuser.run("UPDATE sync_log SET lease_expires_at = now() - interval '1 second'")
    assert execute(bulk, run["id"]) == "succeeded"
    done = bulk.run(run["id"])
    assert done["records"]["created"] == scalar(superuser, "SELECT count(*) FROM booking") == 2500


def test_the_studios_own_changes_survive_a_sync(studio: Studio, platforms: Sandbox) -> None:
    studio.sync("inquiries")
    qualify: Query[None] = Query("UPDATE inquiry SET status = 'qualified', qualified_at = now()")
    with transaction(studio.id) as tx:
        tx.run(qualify)
    platforms.google.expire_history("studio")
    studio.sync("inquiries")
    count: Query[int] = Query("SELECT to_json(count(*)) FROM inquiry WHERE status <> 'qualified'", int)
    with transaction(studio.id) as tx:
        assert tx.run(count) == 0


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_worker_with_a_wrong_clock_defers_no_longer_than_others(
    studio: Studio, platforms: Sandbox, hours: int
) -> None:
    platforms.add_fault(kind="status", status=429, headers={"Retry-After": "600"}, host=CALENDAR, path=EVENTS)
    with clock.at(database_time() + timedelta(hours=hours)):
        run = studio.sync("bookings")
    wait = from_now(run["resumeAt"])
    assert timedelta(minutes=9) < wait <= timedelta(minutes=10)


def test_a_sync_of_everything_omits_streams_without_their_scope(api: Api, queue: Queue, platforms: Sandbox) -> None:
    studio = connect(api, queue, scopes=("https://www.googleapis.com/auth/calendar.readonly",))
    started = api.post("/api/sync/google").json["runs"]
    assert [run["syncType"] for run in started] == ["bookings"]
    assert studio.sync("inquiries")["error"]["code"] == "permission_missing"


def test_reading_a_runs_error_does_not_change_its_time(studio: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=500, host=CALENDAR, path=EVENTS)
    run = studio.sync("bookings")
    assert run["error"]["at"] is not None
    assert studio.run(run["id"])["error"] == run["error"]
