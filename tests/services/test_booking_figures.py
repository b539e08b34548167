"""What the overview counts as a booking in a studio owner's typical calendar."""

from datetime import date, timedelta
from typing import Any

import pytest

from dev.sandbox import Sandbox
from tests.conftest import Api, Queue
from tests.services.conftest import Studio, connect

FIRST, LAST = date(2026, 11, 1), date(2026, 11, 30)
OWNER = {"email": "empty@studio.example", "self": True}
COUPLE = {"email": "ana@client.example", "displayName": "Ana Ruiz", "responseStatus": "accepted"}


@pytest.fixture
def owner(api: Api, queue: Queue, platforms: Sandbox) -> Studio:
    """Connected to an empty calendar."""
    return connect(api, queue, "empty")


def entered(day: date) -> str:
    return f"{day}T09:00:00.000Z"


def at(day: date, hour: int) -> dict[str, Any]:
    times = [{"dateTime": f"{day}T{number:02}:00:00+01:00", "timeZone": "Europe/Berlin"} for number in (hour, hour + 1)]
    return dict(zip(("start", "end"), times, strict=True))


def of_days(first: date, count: int = 1) -> dict[str, Any]:
    return {"start": {"date": f"{first}"}, "end": {"date": f"{first + timedelta(days=count)}"}}


def series(key: str, title: str, first: date, count: int, **event: Any) -> list[dict[str, Any]]:
    """The dates of a weekly series, all entered on one day."""
    days = [first + timedelta(weeks=week) for week in range(count)]
    return [
        {
            "id": f"{key}_{day:%Y%m%d}T180000Z",
            "recurringEventId": key,
            "summary": title,
            "created": entered(date(2026, 11, 2)),
            **at(day, 18),
            **event,
        }
        for day in days
    ]


def november() -> list[dict[str, Any]]:
    """52 dates of yoga, a dentist, a declined invitation, and two weddings: one entered manually as an all-day event,
    which Google marks as free, and one with a time of day."""
    declined = {"attendees": [COUPLE, {**OWNER, "responseStatus": "declined"}], "organizer": COUPLE}
    return [
        *series("yoga", "Yoga", date(2026, 11, 3), 52),
        {"summary": "Dentist", "created": entered(date(2026, 11, 4)), **at(date(2026, 11, 20), 9)},
        {"summary": "Wedding", "created": entered(date(2026, 11, 5)), **at(date(2027, 6, 5), 12), **declined},
        {
            "summary": "Wedding Kim & Lee",
            "created": entered(date(2026, 11, 6)),
            "transparency": "transparent",
            **of_days(date(2027, 7, 3)),
        },
        {"summary": "Wedding Ruiz", "created": entered(date(2026, 11, 7)), **at(date(2027, 8, 7), 12)},
    ]


def fill(platforms: Sandbox, events: list[dict[str, Any]]) -> None:
    for event in events:
        platforms.google.add_event(event, "empty")


def count(studio: Studio, first: date = FIRST, last: date = LAST) -> int:
    overview = studio.api.get(f"/api/metrics/overview?from={first}&to={last}").json
    return int(overview["current"]["bookings"]["count"])


def test_a_typical_november_has_two_bookings(owner: Studio, platforms: Sandbox) -> None:
    fill(platforms, november())
    run = owner.sync("bookings")
    assert run["records"]["created"] == 2
    assert run["skipped"] == {"no_match": 53, "declined": 1}
    assert count(owner) == 2


def test_a_series_counts_once_on_the_day_it_was_entered(owner: Studio, platforms: Sandbox) -> None:
    fill(platforms, series("mini", "Mini sessions", date(2026, 11, 7), 8))
    assert owner.sync("bookings")["records"]["created"] == 8
    assert count(owner) == 1
    assert count(owner, date(2026, 12, 1), date(2026, 12, 31)) == 0


def test_a_series_counts_as_long_as_one_of_its_dates_remains(owner: Studio, platforms: Sandbox) -> None:
    events = series("mini", "Mini sessions", date(2026, 11, 7), 3)
    fill(platforms, events)
    owner.sync("bookings")
    for event, expected in zip(events, (1, 1, 0), strict=True):
        platforms.google.delete_event(event["id"], "empty")
        owner.sync("bookings")
        assert count(owner) == expected


def test_a_consultation_is_stored_but_is_not_a_booking(owner: Studio, platforms: Sandbox) -> None:
    talk = {"summary": "Consultation call (wedding)", "created": entered(date(2026, 11, 8))}
    fill(platforms, [{**talk, **at(date(2026, 11, 12), 10)}])
    assert owner.sync("bookings")["records"]["created"] == 1
    assert count(owner) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"summary": "Cancelled wedding Ruiz"},
        {"summary": "Lunch"},
        {"transparency": "transparent"},
        {"attendees": [{**OWNER, "responseStatus": "declined"}]},
        {"status": "cancelled"},
    ],
)
def test_a_booking_reclassified_and_restored_leaves_and_reenters_the_metrics(
    owner: Studio, platforms: Sandbox, change: dict[str, Any]
) -> None:
    wedding = platforms.google.add_event(november()[-1], "empty")
    owner.sync("bookings")
    assert count(owner) == 1
    platforms.google.update_event(wedding["id"], change, "empty")
    owner.sync("bookings")
    assert count(owner) == 0
    back = {"attendees": [], "transparency": "opaque", **{name: wedding[name] for name in ("summary", "status")}}
    platforms.google.update_event(wedding["id"], back, "empty")
    owner.sync("bookings")
    assert count(owner) == 1


def test_cancelled_events_are_cancelled_bookings_and_skipped_events_are_not(
    owner: Studio, platforms: Sandbox, superuser: Any
) -> None:
    fill(platforms, [{**november()[-1], "id": f"wedding{number}"} for number in range(4)])
    owner.sync("bookings")
    platforms.google.respond("wedding0", "declined", "empty")
    platforms.google.update_event("wedding1", {"summary": "Cancelled wedding Ruiz"}, "empty")
    platforms.google.update_event("wedding2", {"summary": "Lunch"}, "empty")
    run = owner.sync("bookings")
    assert (run["records"]["deleted"], run["skipped"]) == (2, {"declined": 1, "called_off": 1, "no_match": 1})
    rows = superuser.run("SELECT external_id, status, skip_reason FROM booking ORDER BY external_id")
    assert rows == [
        ["wedding0", "cancelled", "declined"],
        ["wedding1", "cancelled", "called_off"],
        ["wedding2", "confirmed", "no_match"],
        ["wedding3", "confirmed", None],
    ]


def test_an_event_moved_away_and_back_is_one_booking(owner: Studio, platforms: Sandbox, superuser: Any) -> None:
    """A move to another calendar appears here as a deletion, and the move back as the same event again."""
    wedding = platforms.google.add_event(november()[-1], "empty")
    owner.sync("bookings")
    ((before,),) = superuser.run("SELECT id FROM booking")
    platforms.google.delete_event(wedding["id"], "empty")
    owner.sync("bookings")
    platforms.google.update_event(wedding["id"], wedding, "empty")
    owner.sync("bookings")
    assert superuser.run("SELECT id, status FROM booking") == [[before, "confirmed"]]


def test_the_guests_of_a_booking_are_stored(owner: Studio, platforms: Sandbox, superuser: Any) -> None:
    guests = [OWNER, {"email": "assistant@studio.example", "responseStatus": "accepted"}, COUPLE]
    platforms.google.add_event({**november()[-1], "attendees": guests}, "empty")
    owner.sync("bookings")
    ((client, stored_guests),) = superuser.run("SELECT client_email, guests FROM booking")
    assert client == "ana@client.example"
    assert stored_guests == [
        {"name": None, "email": "assistant@studio.example", "response": "accepted"},
        {"name": "Ana Ruiz", "email": "ana@client.example", "response": "accepted"},
    ]
    assert owner.sync("bookings")["records"]["seen"] == 0
    platforms.google.expire_sync_tokens("empty")
    assert owner.sync("bookings")["records"]["unchanged"] == 1


def test_without_a_sync_token_the_next_read_is_full_and_finds_deletions(
    owner: Studio, platforms: Sandbox, superuser: Any
) -> None:
    fill(platforms, [{**november()[-1], "id": "kept"}, {**november()[-1], "id": "gone"}])
    platforms.add_fault(kind="shape", path=".*/events", body={"nextSyncToken": None}, times=1)
    assert owner.sync("bookings")["status"] == "succeeded"
    platforms.google.delete_event("gone", "empty")
    run = owner.sync("bookings")
    assert (run["fullRead"], run["records"]["deleted"]) == (True, 1)
    assert owner.sync("bookings")["fullRead"] is False
