"""Several calendars under one connection: each is read separately, and an event in two of them is one booking."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.postgres.driver import query_statistics
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.services.sync import execute as sync_execute
from chalicelib.services.sync import leases
from dev.sandbox import Sandbox
from dev.sandbox.google.accounts import FAMILY, WEDDINGS
from tests.services.calendars import PATH, accounts, own, reconnect
from tests.services.conftest import CALENDAR, EVENTS, PLENTY_MS, Studio, execute, make_due, scalar, status_of

OF_WEDDINGS = f"{EVENTS}{WEDDINGS.replace('@', '%40')}"


def calendar_named(studio: Studio, name: str) -> dict[str, Any]:
    return next(account for account in accounts(studio) if account["name"] == name)


def change(studio: Studio, name: str, **body: Any) -> list[str]:
    answer = studio.api.put(f"{PATH}/{calendar_named(studio, name)['id']}", body)
    assert answer.status == 200, answer.text
    return studio.work()


def booked(studio: Studio, superuser: pg8000.native.Connection) -> int:
    """The number of bookings in the metrics, as if all had been booked on one day."""
    superuser.run("UPDATE booking SET booked_at = '2026-05-04T12:00:00Z'")
    answer = studio.api.get("/api/metrics/google?from=2026-05-01&to=2026-05-31")
    assert answer.status == 200, answer.text
    return int(answer.json["totals"]["bookings"]["count"])


@pytest.fixture
def weddings(studio: Studio, platforms: Sandbox) -> Studio:
    """A second calendar with one event is selected, and both are read."""
    platforms.google.add_event({"summary": "Wedding Ames"}, calendar=WEDDINGS)
    studio.sync("bookings")
    assert change(studio, "Weddings", selected=True) == ["succeeded"]
    return studio


def test_a_selected_calendar_is_read_at_once_by_its_own_rule(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.add_event({"summary": "Ames at noon"}, calendar=WEDDINGS)
    platforms.google.add_event({"summary": "Dentist at noon"})
    run = studio.sync("bookings")
    first = run["records"]["created"]
    assert change(studio, "Weddings", selected=True, rule="all") == ["succeeded"]
    assert scalar(superuser, "SELECT count(*) FROM booking") == first + 1
    row = "SELECT calendar_id, skip_reason FROM booking WHERE title = 'Ames at noon'"
    assert superuser.run(row) == [[WEDDINGS, None]]
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title = 'Dentist at noon'") == 0
    second = studio.api.get("/api/sync/log?limit=1&syncType=bookings").json["items"][0]
    assert [outcome["status"] for outcome in second["accounts"]] == ["succeeded", "succeeded"]
    assert second["apiCalls"] == 2
    events = studio.api.get("/api/connections/google/events").json["items"]
    assert [(event["kind"], event["message"]) for event in events][:1] == [("account_selected", "Weddings")]


def test_each_calendar_has_its_own_cursor(weddings: Studio, platforms: Sandbox) -> None:
    platforms.google.expire_sync_tokens(calendar=WEDDINGS)
    platforms.google.add_event({"summary": "Wedding Beck"})
    run = weddings.sync("bookings")
    assert (run["status"], run["fullRead"]) == ("succeeded", True)
    assert run["records"] == {"seen": 2, "created": 1, "updated": 0, "unchanged": 1, "deleted": 0, "setAside": 0}


def test_bookings_of_a_deselected_calendar_are_kept_but_not_counted(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    before = booked(weddings, superuser)
    assert change(weddings, "Weddings", selected=False) == []
    assert booked(weddings, superuser) == before - 1
    platforms.google.add_event({"summary": "Wedding Cole"}, calendar=WEDDINGS)
    run = weddings.sync("bookings")
    assert (run["apiCalls"], run["records"]["seen"], len(run["accounts"])) == (1, 0, 1)
    assert scalar(superuser, "SELECT status FROM booking WHERE title = 'Wedding Ames'") == "confirmed"
    assert change(weddings, "Weddings", selected=True) == ["succeeded"]
    assert booked(weddings, superuser) == before + 1
    last = weddings.api.get("/api/sync/log?limit=1&syncType=bookings").json["items"][0]
    assert (last["fullRead"], last["records"]["seen"]) == (False, 1)


def test_with_every_calendar_deselected_a_run_reads_nothing(
    weddings: Studio, superuser: pg8000.native.Connection
) -> None:
    change(weddings, "Weddings", selected=False)
    change(weddings, "Linden & Light Photography", selected=False)
    run = weddings.sync("bookings")
    assert (run["status"], run["pages"], run["apiCalls"], run["accounts"]) == ("succeeded", 0, 0, [])
    assert booked(weddings, superuser) == 0
    assert status_of(weddings)["accounts"] == []


def test_a_removed_calendar_keeps_its_bookings_and_settings(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    before = booked(weddings, superuser)
    calendar = platforms.google.account("studio").others[WEDDINGS]
    platforms.google.remove_calendar(WEDDINGS)
    run = weddings.sync("bookings")
    assert (run["status"], run["error"]) == ("succeeded", None)
    weddings_calendar = calendar_named(weddings, "Weddings")
    assert (bool(weddings_calendar["goneAt"]), weddings_calendar["selected"]) == (True, True)
    assert booked(weddings, superuser) == before - 1
    assert scalar(superuser, "SELECT status FROM booking WHERE title = 'Wedding Ames'") == "confirmed"
    assert [account["name"] for account in status_of(weddings)["accounts"]] == ["Linden & Light Photography"]
    platforms.google.account("studio").others[WEDDINGS] = calendar
    superuser.run("UPDATE sync_schedule SET accounts_listed_at = NULL")
    assert weddings.sync("bookings")["status"] == "succeeded"
    assert calendar_named(weddings, "Weddings")["goneAt"] is None
    assert booked(weddings, superuser) == before


def test_each_further_calendar_adds_only_the_statements_of_its_page(studio: Studio, platforms: Sandbox) -> None:
    platforms.google.add_calendar("c_third@group.calendar.google.com", "Minis")

    def cost() -> tuple[int, int]:
        run = studio.start("bookings")
        with query_statistics() as statistics:
            assert execute(studio, run["id"]) == "succeeded"
        return len(statistics.statements), statistics.round_trips

    studio.sync("bookings")
    costs = [cost()]
    for name in ("Weddings", "Family", "Minis"):
        change(studio, name, selected=True)
        costs.append(cost())
    assert costs[0] == (10, 5)
    more = [(after[0] - before[0], after[1] - before[1]) for before, after in itertools.pairwise(costs)]
    assert set(more) == {(4, 3)}  # BEGIN, the count of skipped records, the page, COMMIT


# Events in two calendars


@pytest.mark.parametrize("first", ["Linden & Light Photography", "Weddings"])
def test_an_event_moved_between_calendars_stays_one_booking_in_either_read_order(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, first: str
) -> None:
    event = platforms.google.add_event({"summary": "Wedding Dunn"})
    weddings.sync("bookings")
    (before,) = superuser.run("SELECT id FROM booking WHERE title = 'Wedding Dunn'") or []
    count = booked(weddings, superuser)
    superuser.run(
        "UPDATE account_position SET turn_at = now() - CASE account_id WHEN :id THEN interval '1 day' ELSE '0' END",
        id=UUID(calendar_named(weddings, first)["id"]),
    )
    platforms.google.move_event(event["id"], WEDDINGS)
    weddings.sync("bookings")
    row = "SELECT id, status, calendar_id FROM booking WHERE title = 'Wedding Dunn'"
    assert superuser.run(row) == [[before[0], "confirmed", WEDDINGS]]
    assert booked(weddings, superuser) == count
    platforms.google.move_event(event["id"], own(weddings)["externalId"], calendar=WEDDINGS)
    weddings.sync("bookings")
    assert superuser.run(row) == [[before[0], "confirmed", "hello@lindenandlight.example"]]


def test_an_event_moved_to_an_unread_calendar_is_cancelled(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    event = platforms.google.add_event({"summary": "Wedding Dunn"})
    weddings.sync("bookings")
    platforms.google.move_event(event["id"], FAMILY)
    weddings.sync("bookings")
    assert scalar(superuser, "SELECT status FROM booking WHERE title = 'Wedding Dunn'") == "cancelled"
    change(weddings, "Family", selected=True)
    assert scalar(superuser, "SELECT status FROM booking WHERE title = 'Wedding Dunn'") == "confirmed"


@pytest.mark.parametrize("full", [False, True])
def test_an_event_in_two_calendars_stays_until_both_delete_it(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, full: bool
) -> None:
    """An invitation to two people has the same id in both calendars."""
    event = platforms.google.add_event({"summary": "Wedding Earl"})
    platforms.google.copy_event(event["id"], WEDDINGS)
    run = weddings.sync("bookings")
    assert (run["records"]["created"], run["records"]["seen"]) == (1, 2)

    def statuses() -> list[Any]:
        return [row[0] for row in superuser.run("SELECT status FROM booking WHERE title = 'Wedding Earl'") or ()]

    for calendar, status in (("primary", "confirmed"), (WEDDINGS, "cancelled")):
        platforms.google.delete_event(event["id"], calendar=calendar)
        if full:
            platforms.google.expire_sync_tokens(calendar=calendar)
        deleted = weddings.sync("bookings")["records"]["deleted"]
        assert (statuses(), deleted) == ([status], int(status == "cancelled"))


def test_an_event_skipped_in_one_calendar_may_count_in_another(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    event = platforms.google.add_event({"summary": "Frost"})
    platforms.google.copy_event(event["id"], WEDDINGS)
    change(weddings, "Weddings", rule="all")
    row = "SELECT status, skip_reason FROM booking WHERE title = 'Frost'"
    assert superuser.run(row) == [["confirmed", None]]
    platforms.google.update_event(event["id"], {"location": "Elsewhere"})
    weddings.sync("bookings")
    assert superuser.run(row) == [["confirmed", None]]
    change(weddings, "Weddings", rule="matching")
    assert superuser.run(row) == [["confirmed", "no_match"]]
    change(weddings, "Weddings", rule="all")
    assert superuser.run(row) == [["confirmed", None]]


def test_a_copy_with_another_id_is_linked_by_icaluid_and_counts_once(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    event = platforms.google.add_event({"summary": "Wedding Gray"})
    weddings.sync("bookings")
    before = booked(weddings, superuser)
    platforms.google.copy_event(event["id"], WEDDINGS, new_id="copy0000000000000000000000")
    weddings.sync("bookings")
    twins = superuser.run("SELECT DISTINCT ical_uid FROM booking WHERE title = 'Wedding Gray'") or []
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title = 'Wedding Gray'") == 2
    assert (len(twins), booked(weddings, superuser)) == (1, before)
    platforms.google.delete_event(event["id"])
    weddings.sync("bookings")
    assert booked(weddings, superuser) == before
    change(weddings, "Weddings", selected=False)
    assert booked(weddings, superuser) == before - 2


# Errors of one calendar


def refuse_weddings(platforms: Sandbox, status: int = 403, times: int | None = None) -> None:
    body = {"error": {"code": status, "errors": [{"reason": "forbidden"}]}}
    platforms.add_fault(kind="status", status=status, host=CALENDAR, path=OF_WEDDINGS, body=body, times=times)


def test_a_rejected_calendar_does_not_stop_others_and_names_the_action(weddings: Studio, platforms: Sandbox) -> None:
    refuse_weddings(platforms)
    platforms.google.add_event({"summary": "Wedding Hale"})
    run = weddings.sync("bookings")
    assert (run["status"], run["records"]["created"], run["error"]) == ("succeeded", 1, None)
    failed = [outcome for outcome in run["accounts"] if outcome["status"] == "failed"]
    assert [(each["accountId"], each["error"]["code"]) for each in failed] == [
        (calendar_named(weddings, "Weddings")["id"], "permission_missing")
    ]
    (stream,) = calendar_named(weddings, "Weddings")["streams"]
    assert (stream["state"], stream["reason"]["action"], stream["failuresInRow"]) == ("failing", "grant_scopes", 1)
    assert stream["lastSuccessAt"]
    status = status_of(weddings)
    assert (status["state"], status["reason"]["code"]) == ("failing", "permission_missing")
    assert status["reason"]["message"].startswith("Weddings: ")
    assert {each["name"]: each["state"] for each in status["accounts"]} == {
        "Linden & Light Photography": "idle",
        "Weddings": "failing",
    }
    connection = weddings.connection()
    assert (connection["status"], connection["health"]) == ("active", "degraded")
    assert connection["statusReason"]["action"] == "grant_scopes"


def test_a_failed_calendar_recovers_by_itself(weddings: Studio, platforms: Sandbox) -> None:
    refuse_weddings(platforms, times=1)
    weddings.sync("bookings")
    weddings.sync("bookings")
    (stream,) = calendar_named(weddings, "Weddings")["streams"]
    assert (stream["state"], stream["reason"], stream["failuresInRow"]) == ("idle", None, 0)
    assert (status_of(weddings)["state"], weddings.connection()["health"]) == ("idle", "healthy")


def test_a_run_fails_if_no_calendar_could_be_read(weddings: Studio, platforms: Sandbox) -> None:
    body = {"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}
    platforms.add_fault(kind="status", status=403, host=CALENDAR, path=EVENTS, body=body, times=None)
    run = weddings.sync("bookings")
    assert (run["status"], run["error"]["code"]) == ("failed", "permission_missing")
    assert [outcome["status"] for outcome in run["accounts"]] == ["failed", "failed"]
    assert status_of(weddings)["failuresInRow"] == 1


def test_a_dead_grant_ends_the_run_at_once_and_breaks_the_connection(weddings: Studio, platforms: Sandbox) -> None:
    platforms.google.revoke()
    run = weddings.sync("bookings")
    assert (run["status"], run["error"]["code"], run["accounts"]) == ("failed", "token_revoked", [])
    assert weddings.connection()["status"] == "revoked"
    reconnect(weddings)
    connection = weddings.connection()
    assert (connection["health"], connection["statusReason"]["action"]) == ("healthy", "none")
    assert [each["state"] for each in status_of(weddings)["accounts"]] == ["idle", "idle"]
    assert weddings.sync("bookings")["status"] == "succeeded"


def test_a_calendar_that_kills_workers_does_not_block_others(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every worker dies at this calendar, and another one takes over."""
    fetch_page = Stream.fetch_page
    platforms.google.add_event({"summary": "Wedding Lane"})
    platforms.google.add_event({"summary": "Wedding Moss"}, calendar=WEDDINGS)

    def deadly(stream: Stream[Any], client: Client, cursor: str | None) -> Page[Any]:
        if client.account.external_id == WEDDINGS:
            raise KeyboardInterrupt
        return fetch_page(stream, client, cursor)

    run = weddings.start("bookings")
    with monkeypatch.context() as patch:
        patch.setattr(Stream, "fetch_page", deadly)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                execute(weddings, run["id"])
            superuser.run("UPDATE sync_log SET lease_expires_at = now() - interval '1 second' WHERE status = 'running'")
    titles = "SELECT count(*) FROM booking WHERE title = :title"
    assert scalar(superuser, titles, title="Wedding Lane") == 1
    assert execute(weddings, run["id"]) == "succeeded"
    assert scalar(superuser, titles, title="Wedding Moss") == 1
    assert weddings.run(run["id"])["records"]["created"] == 2


def test_a_transient_error_of_one_calendar_defers_the_run_after_reading_the_others(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.add_fault(kind="status", status=503, host=CALENDAR, path=OF_WEDDINGS, times=1)
    platforms.google.add_event({"summary": "Wedding Iris"})
    run = weddings.sync("bookings")
    assert (run["status"], run["error"]["code"], run["records"]["created"]) == ("deferred", "platform_unavailable", 1)
    (stream,) = calendar_named(weddings, "Weddings")["streams"]
    assert stream["state"] == "waiting"
    platforms.requests.clear()
    make_due(superuser, run["id"])
    assert execute(weddings, run["id"]) == "succeeded"
    assert platforms.requests.counts()["calendar.events.list"] == 1  # the other calendar is done


def test_a_run_does_not_wait_long_for_one_calendar(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    superuser.run("UPDATE sync_schedule SET next_run_at = now() + interval '6 hours' WHERE stream = 'bookings'")
    later = {"Retry-After": "3600"}
    platforms.add_fault(kind="status", status=503, host=CALENDAR, path=OF_WEDDINGS, headers=later, times=1)
    run = weddings.sync("bookings")
    assert run["status"] == "succeeded"
    assert sorted(outcome["status"] for outcome in run["accounts"]) == ["deferred", "succeeded"]
    due = scalar(superuser, "SELECT next_run_at - now() FROM sync_schedule WHERE stream = 'bookings'")
    assert timedelta(minutes=55) < due <= timedelta(hours=1)
    platforms.requests.clear()
    assert weddings.sync("bookings")["status"] == "succeeded"
    assert platforms.requests.counts()["calendar.events.list"] == 1
    superuser.run("UPDATE account_position SET resume_at = now() WHERE resume_at IS NOT NULL")
    weddings.sync("bookings")
    assert platforms.requests.counts()["calendar.events.list"] == 3


def test_a_run_may_yield_between_calendars(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    run = weddings.start("bookings")
    outcomes = weddings.work(remaining_ms=lambda: leases.YIELD_MS - 1)
    assert outcomes == ["handed_over", "succeeded"]
    assert weddings.run(run["id"])["attempts"] == 2


def test_an_internal_error_in_one_calendar_does_not_stop_others(
    weddings: Studio, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch, superuser: pg8000.native.Connection
) -> None:
    fetch_page = Stream.fetch_page

    def broken(stream: Stream[Any], client: Client, cursor: str | None) -> Page[Any]:
        if client.account.external_id == WEDDINGS:
            raise ZeroDivisionError
        return fetch_page(stream, client, cursor)

    platforms.google.add_event({"summary": "Wedding Jude"})
    monkeypatch.setattr(Stream, "fetch_page", broken)
    run = weddings.start("bookings")
    with pytest.raises(ZeroDivisionError):
        sync_execute.execute_run(weddings.id, UUID(run["id"]), lambda: PLENTY_MS)
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title = 'Wedding Jude'") == 1
    assert weddings.run(run["id"])["status"] == "deferred"
    (stream,) = calendar_named(weddings, "Weddings")["streams"]
    assert stream["reason"]["code"] == "internal_error"


def test_deletions_are_refused_and_confirmed_per_calendar(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    for number in range(30):
        platforms.google.add_event({"summary": f"Wedding {number}"}, calendar=WEDDINGS)
    weddings.sync("bookings")
    superuser.run(
        "UPDATE booking SET external_id = 'elsewhere' || external_id WHERE account_ids @> ARRAY[:id::uuid]",
        id=UUID(calendar_named(weddings, "Weddings")["id"]),
    )
    platforms.google.expire_sync_tokens(calendar=WEDDINGS)
    refused = weddings.sync("bookings")
    assert (refused["deletionsRefused"], refused["records"]["deleted"]) == (31, 0)
    status = status_of(weddings)
    assert (status["state"], status["refusedDeletions"]) == ("needs_confirmation", 31)
    (stream,) = calendar_named(weddings, "Weddings")["streams"]
    assert (stream["state"], stream["refusedDeletions"]) == ("needs_confirmation", 31)
    answer = weddings.api.post("/api/sync/google", {"syncType": "bookings", "confirmDeletions": True})
    assert weddings.work() == ["succeeded"]
    assert weddings.run(answer.json["runs"][0]["id"])["records"]["deleted"] == 31
    assert status_of(weddings)["refusedDeletions"] == 0


def test_a_backfill_reads_every_calendar_and_reports_total_progress(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    superuser.run("DELETE FROM booking")
    days = {"syncType": "bookings", "from": "2025-01-01", "to": "2027-12-31"}
    platforms.add_fault(kind="status", status=400, host=CALENDAR, path=OF_WEDDINGS, times=1)
    run = weddings.api.post("/api/sync/google/backfill", days).json["runs"][0]
    weddings.work()
    done = weddings.run(run["id"])
    assert (done["status"], done["backfill"]["progress"]) == ("succeeded", 1)
    assert sorted(outcome["status"] for outcome in done["accounts"]) == ["failed", "succeeded"]
    assert scalar(superuser, "SELECT count(*) FROM booking") > 10
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title = 'Wedding Ames'") == 0
    assert weddings.api.post("/api/sync/google/backfill", days).status == 202
    weddings.work()
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title = 'Wedding Ames'") == 1


def test_a_calendar_selected_during_a_run_is_read_by_it(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.add_event({"summary": "Wedding Ames"}, calendar=WEDDINGS)
    studio.sync("bookings")
    started = studio.start("bookings")
    fetch_page = Stream.fetch_page

    def overtaken(stream: Stream[Any], client: Client, cursor: str | None) -> Page[Any]:
        page = fetch_page(stream, client, cursor)
        account = calendar_named(studio, "Weddings")
        assert studio.api.put(f"{PATH}/{account['id']}", {"selected": True}).status == 200
        return page

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "fetch_page", overtaken)
        assert sync_execute.execute_run(studio.id, UUID(started["id"]), lambda: PLENTY_MS) == "lease_lost"
    assert "succeeded" in studio.work()
    assert len(studio.run(started["id"])["accounts"]) == 2
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE title = 'Wedding Ames'") == 1


def test_a_set_aside_record_is_retried_for_its_own_calendar(
    weddings: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    event = platforms.google.add_event({"summary": "Wedding Kerr", "start": {}}, calendar=WEDDINGS)
    run = weddings.sync("bookings")
    assert run["records"]["setAside"] == 1
    platforms.google.update_event(
        event["id"], {"start": {"dateTime": datetime(2026, 12, 1, tzinfo=UTC).isoformat()}}, calendar=WEDDINGS
    )
    weddings.sync("bookings")
    assert scalar(superuser, "SELECT count(*) FROM set_aside") == 0
    assert scalar(superuser, "SELECT account_ids FROM booking WHERE title = 'Wedding Kerr'") == [
        UUID(calendar_named(weddings, "Weddings")["id"])
    ]
