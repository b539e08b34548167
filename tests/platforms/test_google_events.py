"""Calendar events as bookings: the source of each field, which events are skipped, and why."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from chalicelib.platforms.core.items import Batch, Gone, Outcome, SetAside, Skipped
from chalicelib.platforms.core.records import BookingRecord, Guest
from chalicelib.platforms.google.calendar import Events
from chalicelib.platforms.google.events import EVENTS, CalendarContext, CalendarEvent, parse_event
from tests.calls import calls_of

PAYLOAD = (Path(__file__).parent / "payloads" / "google" / "events.json").read_bytes()
BERLIN = CalendarContext("lena@example.com", "Europe/Berlin")
CLIENT = {"email": "mara@client.example", "displayName": "Mara Keller", "responseStatus": "accepted"}
OWNER = {"email": "lena@example.com", "self": True}


def raw(event: object) -> Raw:
    return Raw(json.dumps(event).encode())


def read(event: dict[str, Any], context: CalendarContext = BERLIN) -> Outcome:
    """An all-day wedding with the given changes."""
    plain = {"id": "e1", "summary": "Wedding", "start": {"date": "2026-12-01"}, "end": {"date": "2026-12-02"}}
    return EVENTS.read_one(raw({**plain, **event}), context)


def booked(event: dict[str, Any], context: CalendarContext = BERLIN) -> BookingRecord:
    outcome = read(event, context)
    assert isinstance(outcome, BookingRecord), outcome
    return outcome


def reason(event: dict[str, Any], context: CalendarContext = BERLIN) -> str:
    outcome = read(event, context)
    assert isinstance(outcome, Skipped), outcome
    return outcome.reason


def rule(rule: Any, *words: str) -> CalendarContext:
    return CalendarContext("lena@example.com", "Europe/Berlin", rule, words)


def with_response(response: str, **event: Any) -> dict[str, Any]:
    return {"attendees": [CLIENT, {**OWNER, "responseStatus": response}], **event}


def test_a_page_of_events_becomes_bookings_and_skipped_records() -> None:
    batch = EVENTS.read(msgspec.json.decode(PAYLOAD, type=Events).items, BERLIN)
    shoot, wedding = batch.records
    assert shoot == BookingRecord(
        external_id="evt7k1",
        calendar_id="lena@example.com",
        title="Newborn shoot – Keller",
        event_type="newborn",
        event_date=date(2026, 11, 30),
        starts_at=datetime(2026, 11, 30, 9, 0, tzinfo=UTC),
        ends_at=datetime(2026, 11, 30, 11, 0, tzinfo=UTC),
        all_day=False,
        status="confirmed",
        booked_at=datetime(2026, 10, 2, 8, 11, tzinfo=UTC),
        client_name="Mara Keller",
        client_email="mara@client.example",
        guests=[
            Guest("Mara Keller", "mara@client.example", "accepted"),
            Guest(None, "second@example.com", "needsAction"),
        ],
        location="Studio A",
        notes="Twins!\nBring the white blanket & props",
        url="https://www.google.com/calendar/event?eid=abc",
        ical_uid="evt7k1@google.com",
        series_id=None,
        source_updated_at=datetime(2026, 10, 5, 14, 20, 31, 120_000, UTC),
    )
    assert isinstance(wedding, BookingRecord)
    assert (wedding.event_type, wedding.status, wedding.all_day) == ("wedding", "tentative", True)
    assert batch.gone == [Gone("evt6zz_20261203T090000Z", BookingRecord)]
    left_out = {skipped.external_id: skipped.reason for skipped in batch.skipped}
    assert left_out == {"evt9transparent": "free", "evt10focus": "other_type", "evt11private": "no_match"}
    assert batch.set_aside == []


# What counts as a booking


@pytest.mark.parametrize(
    ("event", "counts"),
    [
        ({"summary": "Dentist"}, False),
        ({"summary": None}, False),
        ({"summary": "Yoga", "recurringEventId": "yoga"}, False),
        ({"summary": "Hochzeit Müller"}, True),
        ({"summary": "Smith", "attendees": [CLIENT]}, True),
        ({"summary": "Smith", "attendees": [{**CLIENT, "resource": True}]}, False),
        ({"summary": "Team lunch", "attendees": [OWNER, {"email": "assistant@EXAMPLE.com"}]}, False),
        ({"summary": "Venue tour", "organizer": {"email": "anna@venue.example"}}, True),
        ({"summary": "Errand", "organizer": OWNER}, False),
        ({"summary": "Errand", "organizer": {"email": "x1@group.calendar.google.com"}}, False),
    ],
)
def test_events_that_look_like_a_booking_count(event: dict[str, Any], counts: bool) -> None:
    assert isinstance(read(event), BookingRecord) is counts
    assert isinstance(read(event, rule("all")), BookingRecord)
    if not counts:
        assert reason(event) == "no_match"


@pytest.mark.parametrize(
    ("word", "title"),
    [
        ("Mini", "Minis in the park"),
        ("señora", "SENORA Ruiz"),
        ("pâques", "Atelier de Paques"),
        ("first look", "First-look: Adams"),
        ("свадьба", "Свадьба Ивановых"),
        ("婚礼", "田中婚礼"),
        ("웨딩", "김 웨딩촬영"),
        ("งานแต่ง", "ถ่ายงานแต่งงาน"),
        ("💍", "Smith💍"),
        ("null", "Null & Void LLC"),
    ],
)
def test_the_studios_own_words_match_word_beginnings_in_any_script(word: str, title: str) -> None:
    assert isinstance(read({"summary": title}, rule("matching", "other", word)), BookingRecord)
    assert reason({"summary": title}) == "no_match"


def test_the_studios_own_words_do_not_match_inside_a_word() -> None:
    assert reason({"summary": "Feminine"}, rule("matching", "mini")) == "no_match"


@pytest.mark.parametrize("name", ["all", "matching"])
def test_a_free_all_day_event_is_a_booking_and_a_free_timed_one_is_not(name: str) -> None:
    assert booked({"transparency": "transparent"}, rule(name)).all_day
    hours = {"start": {"dateTime": "2026-12-01T10:00:00+01:00"}, "end": {"dateTime": "2026-12-01T11:00:00+01:00"}}
    assert reason({"transparency": "transparent", **hours}, rule(name)) == "free"


@pytest.mark.parametrize(
    ("response", "status"), [("accepted", "confirmed"), ("tentative", "tentative"), ("needsAction", "tentative")]
)
def test_an_unanswered_invitation_is_tentative(response: str, status: str) -> None:
    assert booked(with_response(response)).status == status


@pytest.mark.parametrize("name", ["all", "matching"])
def test_a_declined_invitation_is_called_off(name: str) -> None:
    outcome = read(with_response("declined"), rule(name))
    assert isinstance(outcome, Skipped)
    assert (outcome.reason, outcome.called_off) == ("declined", True)


def test_a_called_off_event_is_gone_and_a_skipped_one_is_not() -> None:
    events = [
        {"id": "1", "summary": "Cancelled wedding Smith"},
        {"id": "2", **with_response("declined")},
        {"id": "3", "summary": "Dentist"},
    ]
    batch = EVENTS.read([raw({**event, "start": {"date": "2026-12-01"}}) for event in events], BERLIN)
    assert [(each.external_id, each.reason) for each in batch.skipped] == [
        ("1", "called_off"),
        ("2", "declined"),
        ("3", "no_match"),
    ]
    assert [gone.external_id for gone in batch.gone] == ["1", "2"]


@pytest.mark.parametrize("title", ["HOLD Wedding Smith", "Hochzeit Müller (Option)", "tentative: wedding"])
def test_a_held_date_is_tentative(title: str) -> None:
    assert booked({"summary": title}).status == "tentative"


def test_a_consultation_is_a_kind_of_its_own() -> None:
    assert booked({"summary": "Consultation call (wedding)"}).event_type == "consultation"
    assert booked({"summary": "Vorgespräch", "attendees": [CLIENT]}).event_type == "consultation"


def test_a_cancelled_event_needs_only_an_id() -> None:
    assert EVENTS.read_one(raw({"id": "e1", "status": "cancelled"}), BERLIN) == Gone("e1")


def test_a_skipped_event_keeps_counterpart_and_last_contact_but_no_content() -> None:
    times = {"created": "2026-10-01T08:00:00Z", "updated": "2026-10-02T08:00:00Z"}
    changed = datetime(2026, 10, 2, 8, 0, tzinfo=UTC)
    invited = {**with_response("declined"), "organizer": {"email": "ana@client.example"}, **times}
    assert read(invited) == Skipped(
        external_id="e1", reason="declined", called_off=True, counterpart="ana@client.example", last_in_at=changed
    )
    inviting = {"summary": "Cancelled wedding", "attendees": [CLIENT], **times}
    assert read(inviting) == Skipped(
        external_id="e1", reason="called_off", called_off=True, counterpart="mara@client.example", last_out_at=changed
    )
    assert read({"summary": "Dentist", **times}) == Skipped(external_id="e1", reason="no_match")


# Who the client is

SECOND = {"email": "kim@second.example", "responseStatus": "accepted", "optional": True}
PLANNER = {"email": "planner@venue.example", "responseStatus": "needsAction"}


@pytest.mark.parametrize(
    ("attendees", "client"),
    [
        ([], None),
        ([OWNER], None),
        ([OWNER, CLIENT], "mara@client.example"),
        ([{**CLIENT, "email": "no@client.example", "responseStatus": "declined"}, CLIENT], "mara@client.example"),
        ([SECOND, CLIENT], "mara@client.example"),
        ([SECOND], None),
        ([{"email": "Hello@Example.com"}, {"email": "assistant@example.com"}, CLIENT], "mara@client.example"),
        ([{"email": "room@client.example", "resource": True}, CLIENT], "mara@client.example"),
        ([PLANNER, CLIENT], "planner@venue.example"),
        ([{**CLIENT, "responseStatus": "tentative"}, PLANNER], "mara@client.example"),
        ([{"email": "c_1@resource.calendar.google.com"}, CLIENT], "mara@client.example"),
    ],
)
def test_the_client_is_the_first_guest_from_outside_who_may_come(
    attendees: list[dict[str, Any]], client: str | None
) -> None:
    assert booked({"attendees": attendees, "organizer": OWNER}).client_email == client


def test_the_client_is_an_organizer_from_outside() -> None:
    organizer = {"email": "mara@client.example"}
    record = booked({"attendees": [PLANNER, CLIENT, {**OWNER, "responseStatus": "accepted"}], "organizer": organizer})
    assert (record.client_name, record.client_email) == ("Mara Keller", "mara@client.example")
    alone = booked({"organizer": {"email": "ana@client.example", "displayName": "Ana"}})
    assert (alone.client_name, alone.client_email) == ("Ana", "ana@client.example")


def test_a_calendar_that_organizes_is_not_a_client() -> None:
    organizer = {"email": "c_188@group.calendar.google.com", "displayName": "Weddings"}
    assert booked({"organizer": organizer}).client_email is None


def test_addresses_at_a_public_mail_host_are_unrelated() -> None:
    gmail = CalendarContext("lena@gmail.com", "Europe/Berlin")
    guests = [{"email": "Lena@gmail.com"}, {"email": "mara@gmail.com"}]
    assert booked({"attendees": guests}, gmail).client_email == "mara@gmail.com"


def test_without_a_calendar_id_the_event_reveals_the_studios_domain() -> None:
    unknown = CalendarContext(None, "Europe/Berlin")
    guests = [{"email": "hello@example.com"}, CLIENT]
    record = booked({"attendees": guests, "organizer": OWNER}, unknown)
    assert (record.client_email, record.calendar_id) == ("mara@client.example", None)


def test_all_guests_are_stored_with_their_answers() -> None:
    assistant = {"email": "assistant@example.com", "responseStatus": "tentative"}
    room = {"email": "room@example.com", "resource": True}
    record = booked({"attendees": [OWNER, assistant, room, SECOND, {"displayName": "By phone"}]})
    assert record.guests == [
        Guest(None, "assistant@example.com", "tentative"),
        Guest(None, "kim@second.example", "accepted"),
        Guest("By phone", None, None),
    ]
    crowd = [{"email": f"guest{number}@client.example"} for number in range(300)]
    assert len(booked({"attendees": crowd}).guests) == 200


# When it takes place


def test_an_all_day_event_starts_at_midnight_in_the_calendars_zone() -> None:
    record = booked({"start": {"date": "2027-06-12"}, "end": {"date": "2027-06-14"}})
    assert record.event_date == date(2027, 6, 12)
    assert record.starts_at == datetime(2027, 6, 11, 22, 0, tzinfo=UTC)
    assert record.ends_at == datetime(2027, 6, 13, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "day"),
    [
        ({"dateTime": "2027-06-13T05:00:00+02:00", "timeZone": "Pacific/Honolulu"}, date(2027, 6, 12)),
        ({"dateTime": "2027-06-12T17:00:00-10:00"}, date(2027, 6, 12)),
        ({"dateTime": "2027-06-13T03:00:00Z", "timeZone": "Pacific/Honolulu"}, date(2027, 6, 12)),
        ({"dateTime": "2027-06-12T17:00:00", "timeZone": "Pacific/Honolulu"}, date(2027, 6, 12)),
        ({"dateTime": "2027-06-12T17:00:00-10:00", "timeZone": "Nowhere/Land"}, date(2027, 6, 13)),
        ({"date": "2027-06-12", "timeZone": "Pacific/Honolulu"}, date(2027, 6, 12)),
    ],
)
def test_the_date_is_the_local_day_of_the_event(start: dict[str, str], day: date) -> None:
    """For a calendar in Berlin."""
    assert booked({"start": start}).event_date == day


def test_the_date_of_a_utc_time_is_in_the_calendars_zone() -> None:
    late = {"start": {"dateTime": "2026-12-31T23:30:00Z"}, "end": {"dateTime": "2027-01-01T00:30:00Z"}}
    assert booked(late).event_date == date(2027, 1, 1)
    assert booked(late, CalendarContext("lena@example.com", "America/New_York")).event_date == date(2026, 12, 31)


def test_a_time_without_an_offset_uses_its_named_zone() -> None:
    start = {"dateTime": "2026-07-01T10:00:00", "timeZone": "America/New_York"}
    assert booked({"start": start}).starts_at == datetime(2026, 7, 1, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Nowhere/Land", "", "../etc/passwd", "a\0b", "x" * 5000])
def test_an_unknown_zone_counts_as_utc(zone: str) -> None:
    assert booked({}, CalendarContext("lena@example.com", zone)).starts_at == datetime(2026, 12, 1, tzinfo=UTC)


def test_an_event_without_an_end_ends_when_it_starts() -> None:
    record = booked({"end": None})
    assert record.ends_at == record.starts_at


def test_an_event_created_in_the_year_0000_counts_from_its_last_change() -> None:
    record = booked({"created": "0000-12-31T00:00:00.000Z", "updated": "2026-10-06T09:00:00.000Z"})
    assert record.booked_at == record.source_updated_at == datetime(2026, 10, 6, 9, 0, tzinfo=UTC)
    assert booked({}).booked_at == booked({}).starts_at


@pytest.mark.parametrize("start", [None, {}, {"timeZone": "Europe/Berlin"}])
def test_an_event_without_a_start_is_set_aside(start: dict[str, str] | None) -> None:
    outcome = read({"start": start})
    assert isinstance(outcome, SetAside)
    assert (outcome.external_id, outcome.field) == ("e1", "start")


# Whatever Google sends

WORDS = st.text(max_size=30) | st.none()
MOMENTS = st.one_of(
    st.dates().map(lambda day: {"date": day.isoformat()}),
    st.datetimes(timezones=st.timezones()).map(lambda moment: {"dateTime": moment.replace(fold=0).isoformat()}),
    st.datetimes().map(lambda moment: {"dateTime": moment.isoformat()}),
)
ADDRESSES = (
    st.sampled_from(["lena@example.com", "a@example.com", "b@client.example", "", "@", "x" * 300 + "@y"]) | WORDS
)
PEOPLE = st.fixed_dictionaries(
    {},
    optional={
        "email": ADDRESSES,
        "displayName": WORDS,
        "self": st.booleans(),
        "optional": st.booleans(),
        "resource": st.booleans(),
        "responseStatus": st.sampled_from(["needsAction", "declined", "tentative", "accepted", "new"]),
    },
)
ANY_EVENT = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=500).filter(lambda text: "\0" not in text), "start": MOMENTS},
    optional={
        "status": st.sampled_from(["confirmed", "tentative", "cancelled", "new"]),
        "end": MOMENTS,
        "summary": WORDS | st.sampled_from(["Wedding", "HOLD Hochzeit", "cancelled shoot"]),
        "description": WORDS,
        "location": WORDS,
        "created": WORDS,
        "updated": WORDS,
        "organizer": PEOPLE,
        "attendees": st.lists(PEOPLE, max_size=3),
        "transparency": st.sampled_from(["transparent", "opaque"]),
        "recurringEventId": WORDS,
    },
)
CONTEXTS = st.builds(
    CalendarContext,
    st.sampled_from([None, "lena@example.com", "lena@gmail.com"]),
    st.sampled_from(["UTC", "Pacific/Kiritimati", "America/Sao_Paulo", "Nowhere"]),
    st.sampled_from(["all", "matching"]),
    st.lists(st.text(min_size=1, max_size=10), max_size=2).map(tuple),
)


@given(st.lists(ANY_EVENT, max_size=3), CONTEXTS)
def test_any_event_becomes_a_storable_booking_or_is_left_out(
    events: list[dict[str, Any]], context: CalendarContext
) -> None:
    batch = EVENTS.read([raw(event) for event in events], context)
    assert len({event["id"] for event in events}) <= count(batch)
    for record in batch.records:
        assert isinstance(record, BookingRecord)
        assert record.starts_at <= record.ends_at
        assert record.starts_at.tzinfo is record.ends_at.tzinfo is record.booked_at.tzinfo is UTC
        texts = [record.title, record.notes, record.location, record.client_name, record.client_email]
        assert b"\\u0000" not in msgspec.json.encode([*texts, record.guests])


def count(batch: Batch) -> int:
    called_off = sum(skipped.called_off for skipped in batch.skipped)
    return len(batch.records) + len(batch.gone) + len(batch.skipped) + len(batch.set_aside) - called_off


def test_the_studios_address_is_that_of_its_primary_calendar() -> None:
    """An event in it is organized by the calendar itself, and the studio may be a guest."""
    weddings = CalendarContext("w1@group.calendar.google.com", "UTC", own_address="lena@example.com")
    organizer = {"email": "w1@group.calendar.google.com", "self": True}
    own = [{"email": "lena@example.com"}, {"email": "assistant@example.com"}]
    assert reason({"summary": "Freitag", "organizer": organizer, "attendees": own}, weddings) == "no_match"
    client = [*own, {"email": "mia@client.example"}]
    assert booked({"summary": "Freitag", "organizer": organizer, "attendees": client}, weddings).client_email == (
        "mia@client.example"
    )


def test_copies_of_an_event_share_an_ical_uid() -> None:
    assert booked({"iCalUID": "one@google.com"}, BERLIN).ical_uid == "one@google.com"


def test_each_moment_of_an_event_is_converted_once() -> None:
    """Its start and end to UTC, and its start to the local day; what is in UTC stays as it is."""
    at = {"timeZone": "Europe/Berlin"}
    event = {
        "id": "e1",
        "summary": "Wedding",
        "created": "2026-10-01T08:00:00Z",
        "updated": "2026-10-02T08:00:00.000Z",
        "start": {"dateTime": "2026-12-01T10:00:00+01:00", **at},
        "end": {"dateTime": "2026-12-01T12:00:00+01:00"},
    }
    decoded = msgspec.convert(event, CalendarEvent, strict=False)
    parse_event(decoded, BERLIN)  # finds the zone
    calls = calls_of(lambda: parse_event(decoded, BERLIN))
    assert (calls["astimezone"], calls["fromisoformat"], calls["find_zone"]) == (3, 2, 0)
