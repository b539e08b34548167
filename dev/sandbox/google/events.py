"""Calendar events in Google's format: the studio's, any number of generated ones, and changed ones."""

import hashlib
import zlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from dev.sandbox.store import Generated
from dev.sandbox.studio import STUDIO, ZONE, Appointment, Person
from dev.sandbox.wire import Json

BULK_FIRST_ID = 0x4000_0000_0000_0000
BULK_TITLES = ("Wedding", "Engagement shoot", "Family shoot", "Newborn shoot", "Portrait session", "Meeting")
BULK_DAYS = 730
SPARSE = ("kind", "etag", "id", "status", "recurringEventId", "originalStartTime")


def of_studio(appointments: Sequence[Appointment]) -> list[Json]:
    series = {appointment.key: appointment for appointment in appointments if appointment.repeats}
    return [_event(appointment, series.get(appointment.series)) for appointment in appointments]


def in_bulk(count: int, owner: Person, monday: date) -> Generated:
    """`count` events spread evenly over a year before and a year after this Monday."""
    start = datetime.combine(monday, time(8), UTC) - timedelta(days=BULK_DAYS // 2)
    touched = _stamp(start)

    def make(event_id: str, index: int) -> Json:
        starts = start + timedelta(minutes=index * BULK_DAYS * 1440 // count)
        title = BULK_TITLES[index % len(BULK_TITLES)]
        client = {"email": f"client{index}@example.com", "displayName": f"Client {index}", "responseStatus": "accepted"}
        return {
            **_frame(event_id, touched, owner),
            "status": "confirmed" if index % 9 else "tentative",
            "summary": f"{title} {index}",
            "location": "Studio A, Berlin",
            "start": {"dateTime": _stamp(starts, "seconds"), "timeZone": ZONE.key},
            "end": {"dateTime": _stamp(starts + timedelta(hours=2), "seconds"), "timeZone": ZONE.key},
            "attendees": [client],
        }

    return Generated(count, BULK_FIRST_ID, make)


def new_event(event_id: str, owner: Person, fields: Json, position: int) -> Json:
    """An event added now, by default a confirmed hour tomorrow; `fields` overrides its members."""
    now = datetime.fromtimestamp(position / 1000, UTC)
    starts = now.replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    return {
        **_frame(event_id, _stamp(now), owner),
        "status": "confirmed",
        "summary": "New booking",
        "start": {"dateTime": _stamp(starts, "seconds"), "timeZone": ZONE.key},
        "end": {"dateTime": _stamp(starts + timedelta(hours=1), "seconds"), "timeZone": ZONE.key},
        **fields,
    }


def changed_event(event: Json, fields: Json, position: int) -> Json:
    updated = _stamp(datetime.fromtimestamp(position / 1000, UTC))
    sequence = event.get("sequence", 0) + 1
    return {**event, "updated": updated, "etag": _etag(updated + event["id"]), "sequence": sequence, **fields}


def answered_event(event: Json, response: str, owner: Person, position: int) -> Json:
    """The event after the owner of the calendar has answered the invitation."""
    others = [guest for guest in event.get("attendees", ()) if not guest.get("self")]
    own = {"email": owner.email, "self": True, "responseStatus": response}
    return changed_event(event, {"attendees": [*others, own]}, position)


def moved_event(event: Json, calendar_id: str, name: str, position: int) -> Json:
    """The event in the calendar that it was moved to, which organizes it from then on."""
    organizer = {"email": calendar_id, "displayName": name, "self": True}
    return changed_event(event, {"organizer": organizer}, position)


def deleted_event(event: Json) -> Json:
    """What remains of a deleted event: only the id is guaranteed, and for an instance its place in the series."""
    return {name: value for name, value in {**event, "status": "cancelled"}.items() if name in SPARSE}


def _event(appointment: Appointment, series: Appointment | None) -> Json:
    event_id = _id(appointment.key) if series is None else _instance_id(series, appointment)
    event = {
        **_frame(event_id, _stamp(appointment.booked_at), STUDIO),
        "status": appointment.status,
        "summary": appointment.title,
        "start": _moment(appointment.starts),
        "end": _moment(appointment.ends),
        "eventType": appointment.kind,
        "reminders": {"useDefault": True},
        **_details(appointment),
    }
    if series is not None:
        event |= {"iCalUID": f"{_id(series.key)}@google.com", "recurringEventId": _id(series.key)}
        event["originalStartTime"] = event["start"]
        return deleted_event(event) if appointment.status == "cancelled" else event
    return event


def _details(appointment: Appointment) -> Json:
    """Members that Google omits when they have no value."""
    details: Json = {"location": appointment.location, "description": appointment.notes}
    if appointment.client:
        details["attendees"] = _attendees(appointment.client, appointment.status)
    if appointment.host:
        host = {"email": appointment.host.email, "displayName": appointment.host.name}
        invited = {"email": STUDIO.email, "self": True, "responseStatus": appointment.response}
        details |= {
            "creator": host,
            "organizer": host,
            "attendees": [{**host, "organizer": True, "responseStatus": "accepted"}, invited],
        }
    if not appointment.blocks_time:
        details["transparency"] = "transparent"
    if appointment.repeats:
        details["recurrence"] = [appointment.repeats]
    if appointment.kind == "birthday":
        details |= {"birthdayProperties": {"type": "birthday"}, "visibility": "private"}
    if appointment.kind == "focusTime":
        details["focusTimeProperties"] = {"autoDeclineMode": "declineNone", "chatStatus": "doNotDisturb"}
    return {name: value for name, value in details.items() if value}


def _attendees(client: Person, status: str) -> list[Json]:
    answer = {"confirmed": "accepted", "tentative": "needsAction", "cancelled": "declined"}[status]
    return [
        {"email": STUDIO.email, "organizer": True, "self": True, "responseStatus": "accepted"},
        {"email": client.email, "displayName": client.name, "responseStatus": answer},
    ]


def _frame(event_id: str, updated: str, owner: Person) -> Json:
    """Members of every event."""
    person = {"email": owner.email, "displayName": owner.name, "self": True}
    return {
        "kind": "calendar#event",
        "etag": _etag(updated + event_id),
        "id": event_id,
        "status": "confirmed",
        "htmlLink": f"https://www.google.com/calendar/event?eid={event_id}",
        "created": updated,
        "updated": updated,
        "creator": person,
        "organizer": person,
        "iCalUID": f"{event_id}@google.com",
        "sequence": 0,
        "eventType": "default",
    }


def _id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:26]


def _etag(of: str) -> str:
    return f'"{zlib.crc32(of.encode()):016d}"'


def _instance_id(series: Appointment, instance: Appointment) -> str:
    starts = instance.starts.astimezone(UTC) if isinstance(instance.starts, datetime) else instance.starts
    return f"{_id(series.key)}_{starts:%Y%m%dT%H%M%SZ}"


def _moment(value: datetime | date) -> Json:
    if isinstance(value, datetime):
        return {"dateTime": value.isoformat(timespec="seconds"), "timeZone": ZONE.key}
    return {"date": value.isoformat()}


def _stamp(moment: datetime, precision: str = "milliseconds") -> str:
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
