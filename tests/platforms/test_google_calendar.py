"""Calendar events as bookings: what each field comes from, and what is no booking."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import ContractChanged, CursorExpired
from chalicelib.platforms.base import Platform
from chalicelib.platforms.client import Client
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.google.calendar import BOOKINGS, CalendarCursor, Event, Events, guess_event_type, parse_events
from chalicelib.platforms.records import BookingRecord
from tests.http_fake import Fake, Reply

ClientOf = Callable[[Platform], Client]

PAYLOAD = (Path(__file__).parent / "payloads" / "google" / "events.json").read_bytes()
PRIMARY = "/www.googleapis.com/calendar/v3/users/me/calendarList/primary"
EVENTS = "/www.googleapis.com/calendar/v3/calendars/lena%23x%40example.com/events"
CALENDAR = "lena#x@example.com"
LIST = [("maxResults", "1000"), ("singleEvents", "true"), ("eventTypes", "default")]


def parsed(event: dict[str, object], time_zone: str = "Europe/Berlin") -> BookingRecord:
    plain = {"id": "e1", "start": {"date": "2026-12-01"}, "end": {"date": "2026-12-02"}, **event}
    [record], _ = parse_events([msgspec.convert(plain, Event)], "cal", time_zone)
    return record


def test_a_page_of_events_becomes_bookings_and_what_is_gone() -> None:
    events = msgspec.json.decode(PAYLOAD, type=Events)
    [shoot, wedding, private], deleted = parse_events(events.items, "lena@example.com", "Europe/Berlin")
    assert shoot == BookingRecord(
        external_id="lena@example.com/evt7k1",
        title="Newborn shoot – Keller",
        event_type="newborn",
        event_date=date(2026, 11, 30),
        starts_at=datetime(2026, 11, 30, 9, 0, tzinfo=UTC),
        ends_at=datetime(2026, 11, 30, 11, 0, tzinfo=UTC),
        all_day=False,
        status="confirmed",
        booked_at=datetime(2026, 10, 2, 8, 11, tzinfo=UTC),
        client_name="Mara Keller",
        client_email="mara@example.com",
        location="Studio A",
        notes="Twins!\nBring the white blanket & props",
        url="https://www.google.com/calendar/event?eid=abc",
        series_id=None,
        source_updated_at=datetime(2026, 10, 5, 14, 20, 31, 120_000, UTC),
    )
    assert (wedding.event_type, wedding.status, wedding.all_day) == ("wedding", "tentative", True)
    assert (private.title, private.event_type, private.series_id) == (None, "other", "evt11")
    assert deleted == [
        "lena@example.com/evt6zz_20261203T090000Z",
        "lena@example.com/evt9transparent",
        "lena@example.com/evt10focus",
    ]


def test_an_all_day_event_starts_at_the_calendars_midnight() -> None:
    record = parsed({"start": {"date": "2027-06-12"}, "end": {"date": "2027-06-14"}})
    assert record.event_date == date(2027, 6, 12)
    assert record.starts_at == datetime(2027, 6, 11, 22, 0, tzinfo=UTC)
    assert record.ends_at == datetime(2027, 6, 13, 22, 0, tzinfo=UTC)


def test_the_date_of_an_event_is_the_one_in_the_calendars_zone() -> None:
    late: dict[str, object] = {
        "start": {"dateTime": "2026-12-31T23:30:00Z"},
        "end": {"dateTime": "2027-01-01T00:30:00Z"},
    }
    assert parsed(late).event_date == date(2027, 1, 1)
    assert parsed(late, "America/New_York").event_date == date(2026, 12, 31)


def test_a_time_without_an_offset_is_in_the_zone_it_names() -> None:
    start = {"dateTime": "2026-07-01T10:00:00", "timeZone": "America/New_York"}
    assert parsed({"start": start}).starts_at == datetime(2026, 7, 1, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Nowhere/Land", "", "../etc/passwd", "a\0b", "x" * 5000])
def test_a_zone_this_machine_does_not_know_counts_as_utc(zone: str) -> None:
    assert parsed({}, zone).starts_at == datetime(2026, 12, 1, tzinfo=UTC)


def test_an_event_without_an_end_ends_when_it_starts() -> None:
    record = parsed({"end": None})
    assert record.ends_at == record.starts_at


def test_an_event_that_entered_the_calendar_in_the_year_0000_counts_from_its_last_change() -> None:
    record = parsed({"created": "0000-12-31T00:00:00.000Z", "updated": "2026-10-06T09:00:00.000Z"})
    assert record.booked_at == record.source_updated_at == datetime(2026, 10, 6, 9, 0, tzinfo=UTC)
    assert parsed({}).booked_at == parsed({}).starts_at


def test_an_event_listed_twice_is_one_record_as_it_was_last() -> None:
    events = [Event(id="e1", status="cancelled"), msgspec.convert({"id": "e1", "start": {"date": "2026-12-01"}}, Event)]
    records, deleted = parse_events(events, "cal", "UTC")
    assert ([record.external_id for record in records], deleted) == (["cal/e1"], [])


def test_a_living_event_without_a_start_is_a_changed_contract() -> None:
    with pytest.raises(ContractChanged):
        parsed({"start": None})


@pytest.mark.parametrize(
    ("title", "event_type"),
    [
        ("Wedding Ruiz & Okafor", "wedding"),
        ("Engagement shoot before the wedding", "engagement"),
        ("Before the wedding: engagement shoot", "engagement"),
        ("MATERNITY session", "newborn"),
        ("Family Keller", "family"),
        ("Headshots, law firm", "portrait"),
        ("Corporate party", "event"),
        ("Bridesmaids' breakfast", "wedding"),
        ("Prevented: dentist", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_the_kind_of_event_is_guessed_from_its_title(title: str | None, event_type: str) -> None:
    assert guess_event_type(title) == event_type


WORDS = st.text(max_size=30) | st.none()
MOMENTS = st.one_of(
    st.dates().map(lambda day: {"date": day.isoformat()}),
    st.datetimes(timezones=st.timezones()).map(lambda moment: {"dateTime": moment.replace(fold=0).isoformat()}),
    st.datetimes().map(lambda moment: {"dateTime": moment.isoformat()}),
)
ANY_EVENT = st.fixed_dictionaries(
    {"id": st.text(min_size=1), "start": MOMENTS},
    optional={
        "status": st.sampled_from(["confirmed", "tentative", "cancelled", "new"]),
        "end": MOMENTS,
        "summary": WORDS,
        "description": WORDS,
        "location": WORDS,
        "created": WORDS,
        "updated": WORDS,
        "attendees": st.lists(st.fixed_dictionaries({"email": WORDS, "displayName": WORDS}), max_size=2),
    },
)


@given(st.lists(ANY_EVENT, max_size=3), st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Sao_Paulo", "Nowhere"]))
def test_any_event_becomes_a_storable_booking_or_is_gone(events: list[dict[str, object]], zone: str) -> None:
    try:
        decoded = msgspec.convert(events, list[Event])
    except msgspec.ValidationError:
        return  # offsets of seconds and the like, which no RFC 3339 time has
    records, deleted = parse_events(decoded, "cal", zone)
    assert {record.external_id for record in records} | set(deleted) == {f"cal/{event['id']}" for event in events}
    for record in records:
        assert record.starts_at <= record.ends_at
        assert record.starts_at.tzinfo is record.ends_at.tzinfo is record.booked_at.tzinfo is UTC
        assert b"\\u0000" not in msgspec.json.encode([record.title, record.notes, record.location, record.client_name])


def test_the_first_fetch_asks_for_the_calendar_itself_and_then_for_its_events(fake: Fake, client_of: ClientOf) -> None:
    fake.on(PRIMARY, Reply({"id": CALENDAR, "timeZone": "Europe/Berlin", "primary": True}))
    fake.on(EVENTS, Reply(body=PAYLOAD))
    page = BOOKINGS.fetch_page(client_of(GOOGLE), None)
    assert fake.paths() == [PRIMARY, EVENTS]
    assert fake.requests[1].query == LIST
    assert page.last
    assert page.cursor == CalendarCursor(CALENDAR, "Europe/Berlin", sync_token="CPDAlvWDx70CEPDAlvWDx70CGAU=")
    assert page.records[0].external_id == f"{CALENDAR}/evt7k1"


def test_pages_go_on_with_the_same_question_and_keep_the_sync_token(fake: Fake, client_of: ClientOf) -> None:
    cursor = CalendarCursor(CALENDAR, "UTC", sync_token="s1")
    fake.on(
        EVENTS, Reply({"timeZone": "UTC", "nextPageToken": "p2"}), Reply({"timeZone": "UTC", "nextSyncToken": "s2"})
    )
    first = BOOKINGS.fetch(client_of(GOOGLE), cursor)
    assert (first.records, first.last, first.cursor) == ([], False, CalendarCursor(CALENDAR, "UTC", "p2", "s1"))
    second = BOOKINGS.fetch(client_of(GOOGLE), first.cursor)
    assert (second.last, second.cursor) == (True, CalendarCursor(CALENDAR, "UTC", None, "s2"))
    assert fake.requests[0].query == [*LIST, ("syncToken", "s1")]
    assert fake.requests[1].query == [*LIST, ("syncToken", "s1"), ("pageToken", "p2")]


@pytest.mark.parametrize("refusal", [Reply({}, status=404), Reply({"error": {"code": 403}}, status=403)])
def test_a_grant_that_cannot_list_calendars_reads_the_primary_one(
    fake: Fake, client_of: ClientOf, refusal: Reply
) -> None:
    fake.on(PRIMARY, refusal)
    fake.on("/www.googleapis.com/calendar/v3/calendars/primary/events", Reply(body=PAYLOAD))
    page = BOOKINGS.fetch_page(client_of(GOOGLE), None)
    assert page.cursor is not None
    assert page.cursor.time_zone == "Europe/Berlin"
    assert page.records[1].external_id == "primary/evt8day"


def test_a_sync_token_that_is_gone_and_a_cursor_of_another_shape_mean_reading_from_the_start(
    fake: Fake, client_of: ClientOf
) -> None:
    fake.on(EVENTS, Reply({"error": {"code": 410, "errors": [{"reason": "fullSyncRequired"}]}}, status=410))
    cursor = msgspec.json.encode(CalendarCursor(CALENDAR, "UTC", sync_token="old")).decode()
    for stored in (cursor, '{"since": 5}', "not json"):
        with pytest.raises(CursorExpired):
            BOOKINGS.fetch_page(client_of(GOOGLE), stored)
