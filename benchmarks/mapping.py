"""Work on one record or one request, without a server: an event decoded and mapped, and a query decoded."""

from statistics import median

import msgspec

from benchmarks import timing
from benchmarks.table import Row, Table
from chalicelib.api.sync import LogQuery
from chalicelib.platforms.google.events import CalendarContext, CalendarEvent, parse_event
from chalicelib.runtime.decoding import decode_query

CONTEXT = CalendarContext("lena@studio.example", "Europe/Berlin")
EVENTS = 100
"""Few enough to stay in the processor's caches, as those of a page just decoded do."""
QUERY = {"platform": ["google"], "syncType": ["bookings"], "status": ["failed"], "limit": ["20"]}
DECODE, MAP, ASK = "JSON to an event", "event to a booking", "query of four parameters"


def measure(quick: bool) -> list[Table]:
    rounds, repeats = (2, 1) if quick else (50, 20)
    raws = [msgspec.json.encode(_event(number)) for number in range(EVENTS)]
    decoder = msgspec.json.Decoder(CalendarEvent)
    events = [decoder.decode(raw) for raw in raws]

    def decode() -> None:
        for _ in range(repeats):
            for raw in raws:
                decoder.decode(raw)

    def map_events() -> None:
        for _ in range(repeats):
            for event in events:
                parse_event(event, CONTEXT)

    def ask() -> None:
        for _ in range(repeats * EVENTS):
            decode_query(QUERY, LogQuery)

    taken = timing.interleaved({DECODE: decode, MAP: map_events, ASK: ask}, rounds=rounds)
    each = {name: median(times) / repeats / EVENTS * 1e6 for name, times in taken.items()}
    rows: list[Row] = [(name, microseconds, microseconds / each[DECODE]) for name, microseconds in each.items()]
    return [Table("Work on one record or request", ("work", "microseconds", f"times {DECODE}"), rows)]


def _event(number: int) -> dict[str, object]:
    """A timed wedding with a client."""
    zone = {"timeZone": "Europe/Berlin"}
    return {
        "id": f"event{number}",
        "status": "confirmed",
        "iCalUID": f"event{number}@google.com",
        "summary": f"Wedding Keller {number}",
        "description": "Bring the white blanket",
        "location": "Studio A",
        "htmlLink": f"https://www.google.com/calendar/event?eid={number}",
        "created": "2026-10-02T08:11:00.000Z",
        "updated": "2026-10-05T14:20:31.120Z",
        "start": {"dateTime": "2026-12-01T10:00:00+01:00", **zone},
        "end": {"dateTime": "2026-12-01T12:00:00+01:00", **zone},
        "organizer": {"email": "lena@studio.example", "self": True},
        "attendees": [
            {"email": "lena@studio.example", "self": True, "responseStatus": "accepted"},
            {"email": f"mara{number}@client.example", "displayName": "Mara Keller", "responseStatus": "accepted"},
        ],
    }
