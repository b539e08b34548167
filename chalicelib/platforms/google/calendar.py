"""The stream `bookings`: events of the grant's primary calendar (Calendar API v3)."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

import msgspec
from msgspec import Raw

from chalicelib.errors import AnswerTooLarge, CursorExpired, PermissionMissing
from chalicelib.platforms.base import Page, Stream, Window
from chalicelib.platforms.client import Client
from chalicelib.platforms.items import Gone, Items, UnreadableRecord
from chalicelib.platforms.records import BookingRecord
from chalicelib.platforms.text import clean, from_html
from chalicelib.platforms.urls import Url, url_of
from chalicelib.platforms.zones import find_zone

BASE_URL = "https://www.googleapis.com/calendar/v3"
SCOPE = "https://www.googleapis.com/auth/calendar"
PAGE_SIZES = (1000, 100, 10)
"""One page is one statement; Google allows 2500. The smaller ones are for events whose answer would be too large."""

# The same for every request: a sync token only continues a list asked for in the same way, and neither orderBy nor
# timeMin goes with one.
LIST_PARAMS = (("singleEvents", "true"), ("eventTypes", "default"))

# The first row with a word of the title wins, whatever the order of the words.
EVENT_WORDS = {
    "engagement": "engage|proposal",
    "wedding": "wedding|elope|bridal|bride",
    "newborn": "newborn|maternity|baby|babies",
    "family": "family|families",
    "portrait": "portrait|headshot",
    "event": "event|birthday|party|corporate|gala|christening|anniversary|graduation",
}
_ANY_WORD = re.compile("|".join(rf"(?P<{kind}>\b(?:{words}))" for kind, words in EVENT_WORDS.items()), re.IGNORECASE)


class CalendarCursor(msgspec.Struct, frozen=True):
    """A page within a list, or (with a sync token alone) the start of the next list of changes."""

    calendar_id: str
    time_zone: str
    page_token: str | None = None
    sync_token: str | None = None


class CalendarEntry(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    time_zone: str = "UTC"


class Moment(msgspec.Struct, frozen=True, rename="camel"):
    """A day, or a moment: with an offset, or in the zone named."""

    day: date | None = msgspec.field(name="date", default=None)
    date_time: datetime | None = None
    time_zone: str | None = None


class Attendee(msgspec.Struct, frozen=True, rename="camel"):
    email: str | None = None
    display_name: str | None = None
    is_self: bool = msgspec.field(name="self", default=False)
    organizer: bool = False
    resource: bool = False


class Event(msgspec.Struct, frozen=True, rename="camel"):
    """A cancelled one has nothing but its id for sure. Imported ones may be `created` in the year 0000."""

    id: str
    status: str = "confirmed"
    summary: str | None = None
    description: str | None = None
    location: str | None = None
    html_link: str | None = None
    start: Moment | None = None
    end: Moment | None = None
    created: str | None = None
    updated: str | None = None
    attendees: list[Attendee] = []
    recurring_event_id: str | None = None
    transparency: str = "opaque"
    event_type: str = "default"


class Events(msgspec.Struct, frozen=True, rename="camel"):
    """`next_sync_token` is on the last page only. The end is a `next_page_token` that is absent or empty."""

    items: list[Raw] = []
    time_zone: str | None = None
    next_page_token: str | None = None
    next_sync_token: str | None = None


class CalendarContext(msgspec.Struct, frozen=True):
    """What an event of a calendar is read with."""

    calendar_id: str
    time_zone: str


def fetch_bookings(client: Client, cursor: CalendarCursor | None) -> Page[CalendarCursor]:
    cursor = cursor or _start(client)
    params = [("syncToken", cursor.sync_token)] if cursor.sync_token else []
    events = _list(client, cursor, params)
    if events is None:
        raise CursorExpired(internal="the calendar is gone, or another account is connected now")
    page_token = events.next_page_token or None
    following = CalendarCursor(
        calendar_id=cursor.calendar_id,
        time_zone=events.time_zone or cursor.time_zone,
        page_token=page_token,
        sync_token=cursor.sync_token if page_token else events.next_sync_token or None,
    )
    return _page(events, following)


def fetch_bookings_of(client: Client, window: Window, cursor: CalendarCursor | None) -> Page[CalendarCursor]:
    """The events that take place on these days, in the calendar's zone."""
    cursor = cursor or _start(client)
    zone = _zone(cursor.time_zone)
    bounds = [
        ("timeMin", datetime.combine(window.first, time.min, zone).isoformat()),
        ("timeMax", datetime.combine(window.last + timedelta(days=1), time.min, zone).isoformat()),
    ]
    events = _list(client, cursor, bounds) or Events()
    return _page(events, CalendarCursor(cursor.calendar_id, cursor.time_zone, events.next_page_token or None))


def _list(client: Client, cursor: CalendarCursor, params: list[tuple[str, str]]) -> Events | None:
    """One page, as large as Google can answer it; None when there is no such calendar."""
    page = [("pageToken", cursor.page_token)] if cursor.page_token else []
    *sizes, smallest = ([("maxResults", str(size)), *LIST_PARAMS, *params, *page] for size in PAGE_SIZES)
    for asked in sizes:
        try:
            return client.find(_events_url(cursor), asked, into=Events)
        except AnswerTooLarge:
            continue
    return client.find(_events_url(cursor), smallest, into=Events)


def _page(events: Events, following: CalendarCursor) -> Page[CalendarCursor]:
    """A last page without a sync token leaves no way to ask for changes: the next run reads everything again."""
    batch = EVENTS.read(events.items, CalendarContext(following.calendar_id, following.time_zone))
    goes_on = following.page_token or following.sync_token
    return Page.of(batch, following if goes_on else None, last=following.page_token is None)


def _events_url(cursor: CalendarCursor) -> Url:
    return url_of(BASE_URL + "/calendars/{calendar}/events", calendar=cursor.calendar_id)


def _start(client: Client) -> CalendarCursor:
    """Events are kept under the calendar's own id: `primary` is another calendar once another account connects.

    `calendar.events.readonly` alone reads events but not the calendar list; then the alias has to do.
    """
    try:
        entry = client.find(url_of(f"{BASE_URL}/users/me/calendarList/primary"), into=CalendarEntry)
    except PermissionMissing:
        entry = None
    entry = entry or CalendarEntry(id="primary")
    return CalendarCursor(calendar_id=entry.id, time_zone=entry.time_zone)


def parse_event(event: Event, context: CalendarContext) -> BookingRecord | Gone:
    """What is cancelled, does not block time or is of another type is no booking."""
    external_id = f"{context.calendar_id}/{event.id}"
    if event.status == "cancelled" or event.transparency == "transparent" or event.event_type != "default":
        return Gone(external_id)
    zone = _zone(context.time_zone)
    starts_at = _local(event.start, zone)
    if event.start is None or starts_at is None:
        raise UnreadableRecord("start", "names neither a day nor a moment")
    title = clean(event.summary)
    client = _client(event.attendees)
    return BookingRecord(
        external_id=external_id,
        title=title,
        event_type=guess_event_type(title),
        event_date=event.start.day or starts_at.date(),
        starts_at=_utc(starts_at),
        ends_at=max(_utc(starts_at), _utc(_local(event.end, zone) or starts_at)),
        all_day=event.start.day is not None,
        status="tentative" if event.status == "tentative" else "confirmed",
        booked_at=_stamp(event.created) or _stamp(event.updated) or _utc(starts_at),
        client_name=clean(client.display_name),
        client_email=clean(client.email),
        location=clean(event.location),
        notes=from_html(event.description),
        url=clean(event.html_link),
        series_id=clean(event.recurring_event_id),
        source_updated_at=_stamp(event.updated),
    )


def find_event_id(event: dict[str, Any], context: CalendarContext) -> str:
    return f"{context.calendar_id}/{event['id']}"


EVENTS = Items(shape=Event, context=CalendarContext, parse=parse_event, find_id=find_event_id)


def guess_event_type(title: str | None) -> str:
    found = {match.lastgroup for match in _ANY_WORD.finditer(title or "")}
    return next((kind for kind in EVENT_WORDS if kind in found), "other")


def _client(attendees: list[Attendee]) -> Attendee:
    guests = (guest for guest in attendees if not (guest.is_self or guest.organizer or guest.resource))
    return next(guests, Attendee())


def _local(moment: Moment | None, zone: tzinfo) -> datetime | None:
    """In the calendar's zone: a day starts at its local midnight."""
    if moment is None:
        return None
    if moment.day is not None:
        return datetime.combine(moment.day, time.min, zone)
    if moment.date_time is None:
        return None
    if moment.date_time.tzinfo is None:
        named = _zone(moment.time_zone) if moment.time_zone else zone
        return _moved(moment.date_time.replace(tzinfo=named), zone)
    return _moved(moment.date_time, zone)


def _stamp(text: str | None) -> datetime | None:
    try:
        return _utc(msgspec.convert(text, datetime)) if text else None
    except msgspec.ValidationError:
        return None


def _utc(moment: datetime) -> datetime:
    return _moved(moment if moment.tzinfo else moment.replace(tzinfo=UTC), UTC)


def _moved(moment: datetime, zone: tzinfo) -> datetime:
    """The first and the last day of the calendar cannot be moved everywhere; the hour does not matter there."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment.replace(tzinfo=zone)


def _zone(name: str) -> tzinfo:
    """Only all-day events depend on it."""
    return find_zone(name, unknown="booking.zone_unknown")


BOOKINGS = Stream(
    name="bookings",
    record=BookingRecord,
    items=EVENTS,
    cursor=CalendarCursor,
    fetch=fetch_bookings,
    frequency="every 15 minutes",
    scopes=(
        f"{SCOPE}.events.readonly",
        f"{SCOPE}.readonly",
        f"{SCOPE}.events",
        SCOPE,
        f"{SCOPE}.events.owned.readonly",
        f"{SCOPE}.events.owned",
    ),
    # The calendar's own id, so that another account's events are never mixed up.
    helpful_scopes=(f"{SCOPE}.calendarlist.readonly",),
    complete=True,
    fetch_window=fetch_bookings_of,
    slice_days=366,
    api="calendar",
)
