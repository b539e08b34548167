"""Accounts under a connection: the calendar that is read, how it is identified and renamed, and its booking rule."""

from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.services.scheduling.schedules import start_due_runs
from chalicelib.services.sync import execute
from dev.sandbox import DEFAULT_SCOPES, Sandbox
from tests.browser import consent
from tests.conftest import Answer, Api, Queue, Studios
from tests.services.calendars import PATH, accounts, own, reconnect
from tests.services.conftest import CALENDAR, EVENTS, PLENTY_MS, Studio, connect, scalar

CALENDAR_LIST = "/calendar/v3/users/me/calendarList"
EVENTS_ONLY = [scope for scope in DEFAULT_SCOPES if "calendarlist" not in scope]


def change(studio: Studio, **body: Any) -> Answer:
    return studio.api.put(f"{PATH}/{own(studio)['id']}", body)


def bookings(superuser: pg8000.native.Connection) -> dict[str, tuple[str, str | None]]:
    """The status of each booking, and why it is skipped, by its title."""
    rows = superuser.run("SELECT title, status, skip_reason FROM booking") or []
    return {title: (status, reason) for title, status, reason in rows}


def calendar_ids(superuser: pg8000.native.Connection) -> list[Any]:
    return [row[0] for row in superuser.run("SELECT DISTINCT calendar_id FROM booking") or ()]


def identify(studio: Studio) -> None:
    """Identifies the account of the connection, as an authorization does from the start."""
    assert studio.api.post("/api/connections/google/test").json["valid"]


def test_all_calendars_are_listed_after_a_sync_and_the_primary_one_is_selected(studio: Studio) -> None:
    assert accounts(studio) == []
    run = studio.sync("bookings")
    assert run["apiCalls"] == 2
    calendars = accounts(studio)
    assert [(account["name"], account["selected"], account["isPrimary"]) for account in calendars] == [
        ("Linden & Light Photography", True, True),
        ("Family", False, False),
        ("Weddings", False, False),
    ]
    account = calendars[0]
    for name in ("id", "seenAt"):
        assert account.pop(name)
    (stream,) = account.pop("streams")
    assert stream.pop("lastSuccessAt")
    assert stream == {
        "syncType": "bookings",
        "state": "idle",
        "reason": None,
        "since": None,
        "resumesAt": None,
        "failuresInRow": 0,
        "refusedDeletions": 0,
    }
    assert account == {
        "kind": "calendar",
        "externalId": "hello@lindenandlight.example",
        "name": "Linden & Light Photography",
        "timeZone": "Europe/Berlin",
        "currency": None,
        "isPrimary": True,
        "selected": True,
        "goneAt": None,
        "rule": "matching",
        "words": [],
    }
    assert calendars[1]["streams"] == []
    assert studio.sync("bookings")["apiCalls"] == 1


def test_calendars_are_listed_daily_and_by_manual_runs_after_ten_minutes(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio.sync("bookings")
    platforms.google.add_calendar("c_new@group.calendar.google.com", "Minis")
    assert studio.sync("bookings")["apiCalls"] == 1
    superuser.run("UPDATE sync_schedule SET accounts_listed_at = now() - interval '11 minutes'")
    assert studio.sync("bookings")["apiCalls"] == 2
    assert "Minis" in [account["name"] for account in accounts(studio)]
    for hours, calls in ((23, 1), (25, 2)):
        superuser.run(f"UPDATE sync_schedule SET accounts_listed_at = now() - interval '{hours} hours'")
        superuser.run("UPDATE sync_schedule SET next_run_at = now() WHERE stream = 'bookings'")
        start_due_runs()
        studio.work()
        run = studio.api.get("/api/sync/log?limit=1&syncType=bookings").json["items"][0]
        assert (run["trigger"], run["apiCalls"]) == ("schedule", calls)


def test_known_calendars_are_read_even_if_listing_fails(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio.sync("bookings")
    superuser.run("UPDATE sync_schedule SET accounts_listed_at = NULL")
    platforms.add_fault(kind="status", host=CALENDAR, path=CALENDAR_LIST, status=503)
    assert studio.sync("bookings")["status"] == "succeeded"
    assert scalar(superuser, "SELECT accounts_listed_at FROM sync_schedule WHERE stream = 'bookings'") is None


def test_a_renamed_calendar_keeps_its_bookings_rule_and_id(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio.sync("bookings")
    assert change(studio, words=["zahnarzt"]).status == 200
    studio.work()
    before, count = own(studio), scalar(superuser, "SELECT count(*) FROM booking")
    platforms.google.rename_calendar("studio@lindenandlight.example")
    run = studio.sync("bookings")
    assert (run["status"], run["fullRead"]) == ("succeeded", True)
    assert run["records"]["unchanged"] == count
    after = own(studio)
    assert after["externalId"] == "studio@lindenandlight.example"
    assert [after[name] for name in ("id", "words")] == [before["id"], ["zahnarzt"]]
    assert calendar_ids(superuser) == ["studio@lindenandlight.example"]


def test_a_calendar_without_an_id_is_read_and_identified_in_place_later(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio = connect(api, queue, scopes=EVENTS_ONLY)
    first = studio.sync("bookings")
    assert first["status"] == "succeeded"
    nameless = own(studio)
    assert (nameless["externalId"], nameless["timeZone"]) == (None, "Europe/Berlin")
    assert calendar_ids(superuser) == [None]
    assert studio.sync("bookings")["apiCalls"] == 1
    reconnect(studio)
    run = studio.sync("bookings")
    assert (run["fullRead"], run["records"]["seen"]) == (False, 0)
    identified = own(studio)
    assert (identified["id"], identified["externalId"]) == (nameless["id"], "hello@lindenandlight.example")
    assert calendar_ids(superuser) == ["hello@lindenandlight.example"]
    platforms.google.expire_sync_tokens()
    again = studio.sync("bookings")
    assert (again["records"]["created"], again["records"]["deleted"]) == (0, 0)
    assert again["records"]["unchanged"] == first["records"]["created"]


@pytest.mark.parametrize("granted_at_first", [True, False])
def test_gaining_and_losing_a_scope_duplicates_no_booking(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection, granted_at_first: bool
) -> None:
    scopes = [DEFAULT_SCOPES, EVENTS_ONLY] if granted_at_first else [EVENTS_ONLY, DEFAULT_SCOPES]
    studio = connect(api, queue, scopes=scopes[0])
    count = studio.sync("bookings")["records"]["created"]
    for turn in range(1, 4):
        reconnect(studio, scopes=scopes[turn % 2])
        platforms.google.expire_sync_tokens()
        run = studio.sync("bookings")
        assert (run["fullRead"], run["records"]["unchanged"], run["deletionsRefused"]) == (True, count, 0)
    assert scalar(superuser, "SELECT count(*) FROM booking WHERE status <> 'cancelled'") == count
    assert own(studio)["externalId"] == "hello@lindenandlight.example"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"status": 404}, "failed", "platform_contract_changed"),
        ({"status": 403, "body": {"error": {"errors": [{"reason": "forbidden"}]}}}, "failed", "permission_missing"),
        ({"status": 503}, "deferred", "platform_unavailable"),
    ],
)
def test_without_known_calendars_a_failed_listing_is_an_error(
    studio: Studio, platforms: Sandbox, fault: dict[str, Any], status: str, code: str
) -> None:
    platforms.add_fault(kind="status", host=CALENDAR, path=CALENDAR_LIST, **fault)
    run = studio.sync("bookings")
    assert (run["status"], run["error"]["code"]) == (status, code)
    assert accounts(studio) == []


def test_a_backfill_reads_the_known_calendar(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    days = {"syncType": "bookings", "from": "2026-01-01", "to": "2026-12-31"}
    assert studio.api.post("/api/sync/google/backfill", days).status == 202
    assert studio.work() == ["succeeded"]
    assert calendar_ids(superuser) == ["hello@lindenandlight.example"]


def test_another_google_account_has_its_own_calendar_and_rule(studio: Studio, platforms: Sandbox) -> None:
    studio.sync("bookings")
    assert change(studio, rule="all").status == 200
    other = consent(studio.api, account="bulk-5").json["connection"]["id"]
    studio.work()
    (calendar,) = studio.api.get(f"{PATH}?connection={other}").json["items"]
    assert (calendar["externalId"], calendar["rule"]) == ("bulk-5@studio.example", "matching")
    first = next(each["id"] for each in studio.api.get("/api/connections").json["items"] if each["id"] != other)
    by_id = {each["externalId"]: each for each in studio.api.get(f"{PATH}?connection={first}").json["items"]}
    mine = by_id["hello@lindenandlight.example"]
    assert (mine["selected"], mine["goneAt"], mine["rule"]) == (True, None, "all")
    assert "bulk-5@studio.example" not in by_id


def test_a_calendar_identified_later_regains_its_earlier_rule(studio: Studio, platforms: Sandbox) -> None:
    identify(studio)
    studio.sync("bookings")
    change(studio, rule="all")
    studio.work()
    studio.api.delete("/api/connections/google")
    connect(studio.api, studio.queue, scopes=EVENTS_ONLY)
    studio.sync("bookings")
    assert [account["externalId"] for account in accounts(studio) if account["goneAt"] is None] == [None]
    reconnect(studio)
    studio.sync("bookings")
    assert (own(studio)["externalId"], own(studio)["rule"]) == ("hello@lindenandlight.example", "all")
    assert None not in [account["externalId"] for account in accounts(studio)]


def test_a_reconnected_calendar_keeps_its_row(studio: Studio, platforms: Sandbox) -> None:
    studio.sync("bookings")
    change(studio, words=["mini"])
    studio.work()
    before = own(studio)
    assert studio.api.delete("/api/connections/google").status == 204
    assert studio.api.get(PATH).json["code"] == "connection_not_found"
    again = connect(studio.api, studio.queue)
    assert all(account["goneAt"] for account in accounts(again))
    again.sync("bookings")
    after = own(again)
    assert [after[name] for name in ("id", "selected", "words")] == [before["id"], True, ["mini"]]


def test_changing_the_rule_reads_the_calendar_again(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.add_event({"summary": "Smith at the lake"})
    studio.sync("bookings")
    assert "Smith at the lake" not in bookings(superuser)
    answer = change(studio, words=["SMITH"])
    assert (answer.status, answer.json["words"], answer.json["rule"]) == (200, ["SMITH"], "matching")
    assert studio.work() == ["succeeded"]
    assert bookings(superuser)["Smith at the lake"] == ("confirmed", None)
    assert change(studio, words=[]).status == 200
    assert studio.work() == ["succeeded"]
    assert bookings(superuser)["Smith at the lake"] == ("confirmed", "no_match")
    assert change(studio, rule="all").status == 200
    assert studio.work() == ["succeeded"]
    assert bookings(superuser)["Smith at the lake"] == ("confirmed", None)
    run = studio.api.get("/api/sync/log?limit=1").json["items"][0]
    assert (run["trigger"], run["fullRead"], run["skipped"]) == (
        "manual",
        True,
        {"free": 1, "declined": 1, "called_off": 1},
    )


def test_an_unchanged_rule_reads_nothing(studio: Studio) -> None:
    studio.sync("bookings")
    assert change(studio, rule="matching", words=[]).json["rule"] == "matching"
    assert studio.work() == []
    assert studio.sync("bookings")["fullRead"] is False


def test_changing_the_rule_is_an_event_of_the_connection(studio: Studio) -> None:
    studio.sync("bookings")
    change(studio, rule="all")
    change(studio, rule="all")
    events = studio.api.get("/api/connections/google/events").json["items"]
    assert [(event["kind"], event["code"]) for event in events] == [("rule_changed", "all"), ("connected", None)]


def test_a_run_under_an_outdated_rule_stores_nothing_more_and_starts_over(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    """The rule changes between fetching and storing a page."""
    platforms.google.add_event({"summary": "Smith at the lake"})
    studio.sync("bookings")
    started = studio.start("bookings")
    fetch_page = Stream.fetch_page

    def overtaken(stream: Stream[Any], client: Client, cursor: str | None) -> Page[Any]:
        page = fetch_page(stream, client, cursor)
        assert change(studio, rule="all").status == 200
        return page

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stream, "fetch_page", overtaken)
        assert execute.execute_run(studio.id, UUID(started["id"]), lambda: PLENTY_MS) == "lease_lost"
    assert "succeeded" in studio.work()
    run = studio.run(started["id"])
    assert (run["status"], run["fullRead"]) == ("succeeded", True)
    assert bookings(superuser)["Smith at the lake"] == ("confirmed", None)


def test_a_backfill_in_progress_continues_under_the_new_rule(
    bulk: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    bulk.sync("bookings")
    days = {"syncType": "bookings", "from": "2020-01-01", "to": "2029-12-31"}
    run = bulk.api.post("/api/sync/google/backfill", days).json["runs"][0]
    platforms.add_fault(kind="status", status=500, host=CALENDAR, path=EVENTS, after=3, times=1)
    assert bulk.work() == ["deferred"]
    progress = bulk.run(run["id"])["backfill"]["progress"]
    assert change(bulk, rule="all").status == 200
    assert bulk.run(run["id"])["backfill"]["progress"] == progress > 0
    bulk.work()
    superuser.run("UPDATE sync_log SET resume_at = now(); UPDATE platform_circuit SET open_until = now()")
    assert execute.execute_run(bulk.id, UUID(run["id"]), lambda: PLENTY_MS) == "succeeded"


def test_a_rule_changed_while_the_connection_is_broken_applies_once_it_works(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.add_event({"summary": "Smith at the lake"})
    studio.sync("bookings")
    superuser.run("UPDATE platform_connection SET status = 'revoked'")
    assert change(studio, rule="all").status == 200
    assert studio.work() == []
    superuser.run("UPDATE platform_connection SET status = 'active'")
    assert studio.sync("bookings")["fullRead"] is True
    assert bookings(superuser)["Smith at the lake"] == ("confirmed", None)


def test_events_skipped_by_the_rule_are_stored_without_content(
    studio: Studio, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.add_event({"summary": "Dr. Secret", "location": "Praxis Secret"})
    studio.sync("bookings")
    skipped = scalar(superuser, "SELECT string_agg(s::text, ' ') FROM skipped_record AS s")
    assert "no_match" in skipped
    assert "Secret" not in skipped
    status = next(item for item in studio.api.get("/api/sync/status").json["items"] if item["syncType"] == "bookings")
    assert status["skipped"] == {"no_match": 3, "free": 1, "declined": 1, "called_off": 1}


# Requests


def put(studio: Studio, body: Any) -> Answer:
    studio.sync("bookings")
    return studio.api.put(f"{PATH}/{own(studio)['id']}", body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "rule"),
        ({"rule": None}, "rule"),
        ({"rule": "some"}, "rule"),
        ({"rule": 1}, "rule"),
        ({"words": "mini"}, "words"),
        ({"words": [""]}, "words[0]"),
        ({"words": ["x" * 61]}, "words[0]"),
        ({"words": [None]}, "words[0]"),
        ({"words": ["fine", "a\0b"]}, "words[1]"),
        ({"words": ["a\nb"]}, "words[0]"),
        ({"words": [" ", "-", "..."]}, "words[0]"),
        ({"words": ["w"] * 101}, "words"),
        ({"selected": None}, "selected"),
        ({"selected": "no"}, "selected"),
        ({"name": "Mine"}, "name"),
    ],
)
def test_an_invalid_field_is_named(studio: Studio, body: Any, field: str) -> None:
    answer = put(studio, body)
    assert answer.status == 422
    assert field in [problem["field"] for problem in answer.json["errors"]]
    assert studio.work() == []


def test_words_are_stored_as_written_without_duplicates(studio: Studio) -> None:
    words = ["null", "NULL", " Señora ", "senora", "{a,b}", '"quoted"', "💍", "婚礼"]
    answer = put(studio, {"words": words})
    assert answer.json["words"] == ["null", "Señora", "{a,b}", '"quoted"', "💍", "婚礼"]
    assert own(studio)["words"] == answer.json["words"]
    assert studio.work() == ["succeeded"]


@pytest.mark.parametrize("account_id", [str(UUID(int=1)), "primary", "null", "%00"])
def test_an_unknown_account_is_not_found(studio: Studio, account_id: str) -> None:
    answer = studio.api.put(f"{PATH}/{account_id}", {"rule": "all"})
    assert (answer.status, answer.json["code"]) == (404, "account_not_found")


def test_an_account_is_found_only_under_its_platform_and_studio(studio: Studio, studios: Studios) -> None:
    studio.sync("bookings")
    account = own(studio)
    other = studios.new()
    for api, platform in ((other, "google"), (studio.api, "meta")):
        answer = api.put(f"/api/connections/{platform}/accounts/{account['id']}", {"rule": "all"})
        assert (answer.status, answer.json["code"]) == (404, "account_not_found")
    assert other.get(PATH).json["code"] == "connection_not_found"
    assert other.get("/api/connections/myspace/accounts").json["code"] == "unknown_platform"


def test_a_platform_without_accounts_has_none(studio: Studio) -> None:
    assert studio.api.post("/api/connections", {"platform": "website"}).status == 201
    assert studio.api.get("/api/connections/website/accounts").json["items"] == []


def test_reading_and_changing_need_different_scopes(studio: Studio, studios: Studios) -> None:
    studio.sync("bookings")
    account = own(studio)
    reader = studios.with_key(studio.id, "connections:read")
    assert reader.get(PATH).status == 200
    assert reader.put(f"{PATH}/{account['id']}", {"rule": "all"}).status == 403
