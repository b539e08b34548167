"""Calendar events as bookings: which ones count, where each field comes from, and why the others are left out."""

from datetime import UTC, date, datetime, time, tzinfo
from functools import lru_cache

import msgspec

from chalicelib.platforms.core.accounts import Rule
from chalicelib.platforms.core.items import Gone, Items, Skipped, UnreadableRecord
from chalicelib.platforms.core.records import BookingRecord, Guest
from chalicelib.platforms.core.text import clean, from_html
from chalicelib.platforms.core.titles import SAYS_NOTHING, Title, fold, read_title
from chalicelib.platforms.core.zones import find_zone
from chalicelib.platforms.mail.addresses import mailbox_of, organisation_of

NOT_PEOPLE = ".calendar.google.com"
"""The suffix of the addresses of shared calendars, rooms and imports."""
MAX_GUESTS = 200


class Moment(msgspec.Struct, frozen=True, rename="camel"):
    """A day, or a time: with an offset, or in the named zone. Google shows times with the calendar's offset, next to
    the zone in which the event was entered."""

    day: date | None = msgspec.field(name="date", default=None)
    date_time: datetime | None = None
    time_zone: str | None = None


class Person(msgspec.Struct, frozen=True, rename="camel"):
    """An organizer or a guest; `is_self` marks the calendar's owner."""

    email: str | None = None
    display_name: str | None = None
    is_self: bool = msgspec.field(name="self", default=False)
    resource: bool = False
    optional: bool = False
    response_status: str | None = None
    """needsAction | declined | tentative | accepted"""


class CalendarEvent(msgspec.Struct, frozen=True, rename="camel"):
    """A cancelled event reliably has only its id. Imported ones may be `created` in the year 0000."""

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
    organizer: Person | None = None
    attendees: list[Person] = []
    recurring_event_id: str | None = None
    ical_uid: str | None = msgspec.field(name="iCalUID", default=None)
    transparency: str = "opaque"
    event_type: str = "default"


class CalendarContext(msgspec.Struct, frozen=True):
    """The settings with which a calendar's events are read."""

    calendar_id: str | None
    """None if the grant does not permit reading it"""
    time_zone: str
    rule: Rule = "matching"
    words: tuple[str, ...] = ()
    own_address: str | None = None
    """The id of the grant's own calendar, which is its owner's address; if unknown, the calendar's own id"""


def parse_event(event: CalendarEvent, context: CalendarContext) -> BookingRecord | Gone | Skipped:
    if event.status == "cancelled":
        return Gone(event.id)
    calendar = _prepared(context)
    when = _when(event, calendar.zone)
    people = _people(event, calendar)
    name = clean(event.summary)
    folded = fold(name) if name else ""
    title = read_title(name, folded) if name else SAYS_NOTHING
    if people.own_response == "declined":
        return _skipped(event, "declined", people)
    if title.certainty == "called_off":
        return _skipped(event, "called_off", people)
    if event.event_type != "default":
        return _skipped(event, "other_type", people)
    if event.transparency == "transparent" and not when.all_day:
        return _skipped(event, "free", people)
    with_outsider = people.are_from_outside and not title.names_other
    if context.rule == "matching" and not (
        title.names_job or with_outsider or any(word in folded for word in calendar.words)
    ):
        return _skipped(event, "no_match", people)
    return _booking(event, when, calendar, name, title, people)


EVENTS = Items(record=BookingRecord, shape=CalendarEvent, context=CalendarContext, parse=parse_event)

CALLED_OFF = ("declined", "called_off")
"""Reasons that turn a stored booking into a deleted one."""


def _skipped(event: CalendarEvent, reason: str, people: "_People") -> Skipped:
    """An invitation from others came in, one from the studio went out; without outsiders no time is kept."""
    client, touched_at = people.client, _stamp(event.updated) or _stamp(event.created)
    return Skipped(
        external_id=event.id,
        reason=reason,
        called_off=reason in CALLED_OFF,
        counterpart=client.email if client else None,
        last_in_at=touched_at if client and people.invited_by_client else None,
        last_out_at=touched_at if client and not people.invited_by_client else None,
    )


def _booking(
    event: CalendarEvent, when: "_When", calendar: "_Calendar", name: str | None, title: Title, people: "_People"
) -> BookingRecord:
    created_at, updated_at = _stamp(event.created), _stamp(event.updated)
    is_tentative = "tentative" in (event.status, title.certainty) or people.own_response in UNDECIDED
    return BookingRecord(
        external_id=event.id,
        calendar_id=calendar.id,
        title=name,
        event_type=title.kind,
        event_date=when.local_day,
        starts_at=when.starts_at,
        ends_at=when.ends_at,
        all_day=when.all_day,
        status="tentative" if is_tentative else "confirmed",
        booked_at=created_at or updated_at or when.starts_at,
        client_name=people.client.name if people.client else None,
        client_email=people.client.email if people.client else None,
        guests=people.guests,
        location=clean(event.location),
        notes=from_html(event.description),
        url=clean(event.html_link),
        series_id=clean(event.recurring_event_id),
        ical_uid=clean(event.ical_uid),
        source_updated_at=updated_at,
    )


class _Calendar(msgspec.Struct, frozen=True):
    """A context prepared once for all events of a page."""

    id: str | None
    zone: tzinfo
    address: str
    organisation: str
    """The studio's own domain, if it has one"""
    words: tuple[str, ...]
    """As they appear in a folded title"""


@lru_cache(maxsize=64)
def _prepared(context: CalendarContext) -> _Calendar:
    known = context.own_address or context.calendar_id or ""
    address = "" if known.endswith(NOT_PEOPLE) else known
    words = tuple(fold(word).rstrip() for word in context.words)
    return _Calendar(context.calendar_id, zone_of(context.time_zone), address, organisation_of(address), words)


UNDECIDED = ("needsAction", "tentative")


class _People(msgspec.Struct, frozen=True):
    """The people who take part in an event."""

    own_response: str | None = None
    client: Guest | None = None
    invited_by_client: bool = False
    are_from_outside: bool = False
    """Whether anyone is from outside the studio"""
    guests: list[Guest] = []


NOBODY = _People()


def _people(event: CalendarEvent, calendar: _Calendar) -> _People:
    """The client is the organizer if not the studio, else the first guest from outside who may come and is not
    optional."""
    organizer = event.organizer
    if not event.attendees and (organizer is None or organizer.is_self):
        return NOBODY
    own_address = calendar.address or _own_address(event)
    organisation = calendar.organisation or organisation_of(own_address)
    own_response, client, are_from_outside, guests = None, None, False, []
    for person in event.attendees:
        if person.is_self:
            own_response = person.response_status
        elif not person.resource:
            guest = _guest(person)
            guests.append(guest)
            if _is_outside(person, own_address, organisation):
                are_from_outside = True
                if client is None and not person.optional and person.response_status != "declined":
                    client = guest
    if organizer is None or organizer.is_self or not _is_outside(organizer, own_address, organisation):
        return _People(own_response, client, False, are_from_outside, guests[:MAX_GUESTS])
    inviting = _guest(organizer)
    named = next((guest for guest in guests if guest.email == inviting.email), inviting)
    return _People(own_response, named, True, True, guests[:MAX_GUESTS])


def _own_address(event: CalendarEvent) -> str:
    """If the calendar's owner is unknown, the event itself may say."""
    people = (*event.attendees, event.organizer)
    return next((person.email or "" for person in people if person is not None and person.is_self), "")


def _is_outside(person: Person, own_address: str, organisation: str) -> bool:
    address = person.email or ""
    if address.endswith(NOT_PEOPLE):
        return False
    theirs = organisation_of(address)
    return theirs != organisation if theirs else mailbox_of(address) != mailbox_of(own_address)


def _guest(person: Person) -> Guest:
    return Guest(clean(person.display_name), clean(person.email), clean(person.response_status))


class _When(msgspec.Struct, frozen=True):
    starts_at: datetime
    ends_at: datetime
    local_day: date
    all_day: bool


def _when(event: CalendarEvent, zone: tzinfo) -> _When:
    start = event.start or Moment()
    starts_at = _utc(start, zone)
    if starts_at is None:
        raise UnreadableRecord("start", "names neither a day nor a moment")
    ends_at = _utc(event.end, zone) if event.end else None
    local_day = start.day or _local_day(start, starts_at, zone)
    return _When(starts_at, max(starts_at, ends_at or starts_at), local_day, start.day is not None)


def _utc(moment: Moment, zone: tzinfo) -> datetime | None:
    """A day starts at midnight in the calendar's zone."""
    at = moment.date_time
    if moment.day is not None:
        at = datetime.combine(moment.day, time.min, zone)
    elif at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=zone_of(moment.time_zone) if moment.time_zone else zone)
    return at and _moved(at, UTC)


def _local_day(moment: Moment, starts_at: datetime, zone: tzinfo) -> date:
    """The day at the place of the event: in the zone it was entered in, else by its offset. An offset of zero says
    nothing about a place, because any time may be written in UTC; then it is the day in the calendar's zone."""
    if moment.time_zone:
        return _moved(starts_at, zone_of(moment.time_zone)).date()
    if moment.date_time is not None and moment.date_time.utcoffset():
        return moment.date_time.date()
    return _moved(starts_at, zone).date()


def _stamp(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment and _moved(moment if moment.tzinfo else moment.replace(tzinfo=UTC), UTC)


def _moved(moment: datetime, zone: tzinfo) -> datetime:
    """The first and last representable days cannot be shifted by every offset; there the hour does not matter."""
    if moment.tzinfo is zone:
        return moment
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment.replace(tzinfo=zone)


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    return find_zone(name, unknown="booking.zone_unknown")
