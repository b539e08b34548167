"""Turns seeds into calendar events as Google's API gives them, and says which of them are bookings."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from tests.leads.corpora.clock import DAYS, Window
from tests.leads.corpora.conversations import stamp
from tests.leads.corpora.gmail import identifier
from tests.leads.corpora.people import People, Person, fill
from tests.leads.corpora.seeds import Line, Seed

WHEN = re.compile(
    r"(?:weekly(?P<weeks>\d+)\s)?(?P<day>[a-z]+\+?|[+-]?\d+)@(?:(?P<all>all)(?P<days>\d*)|(?P<time>\d\d:\d\d)\+(?P<hours>[\d.]+)h)"
)
SEASON = 200
"""Days from the first one over which Saturdays are spread: a studio does not photograph three weddings a day."""
WEEKDAYS = {"sat": (5,), "sun": (6,), "fri": (4,), "wk": (0, 1, 2, 3, 4), "mon": (0,), "any": (0, 1, 2, 3, 4, 5, 6)}
RESPONSES = {"guest": "accepted", "asked": "needsAction", "maybe": "tentative", "refused": "declined"}
"""How the client of an event answered the studio's invitation."""
OWN_RESPONSES = {"accepted": "accepted", "declined": "declined", "needs": "needsAction", "tentative": "tentative"}
"""How the studio answered an invitation of others."""


@dataclass(frozen=True)
class Entry:
    """One line of a seed: an event, or a series of them."""

    calendar: str
    title: str
    when: re.Match[str]
    kind: str
    options: dict[str, str]

    @classmethod
    def of(cls, line: Line) -> "Entry":
        title, when, kind, *options = (part.strip() for part in line.text.split("|"))
        match = WHEN.fullmatch(when)
        if match is None:
            raise ValueError(f"{when!r} says no time of an event")
        pairs = (option.partition("=")[::2] for option in " ".join(options).split())
        return cls(line.mark, title, match, kind, dict(pairs))


class Calendars:
    def __init__(self, corpus: str, studio: dict[str, Any], people: People) -> None:
        self._corpus = corpus
        self._studio = studio
        self._people = people
        self._window = Window.of(studio)
        self._jobs = 0
        self._turns: Counter[str] = Counter()
        self._saturdays: set[tuple[str, date]] = set()
        self.events: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []

    def add_filler(self, seed: Seed, count: int) -> None:
        """One event: the lines of the seed in turn."""
        line = seed.lines[count % len(seed.lines)]
        self.expand(replace(seed, lines=[line]), f"filler.{count}")

    def expand(self, seed: Seed, turn: str) -> None:
        rng = Random(f"{self._corpus}:events:{seed.kind}:{seed.lines[0].text}:{turn}")
        person = self._person(seed, rng)
        job = self._job() if seed.label == "booking" else None
        main_day: date | None = None
        for line in seed.lines:
            entry = Entry.of(line)
            day = self._day(entry, rng, main_day)
            main_day = main_day or day
            if job and person.role == "client":
                person.day = main_day  # what their mails name
            for week in range(int(entry.when["weeks"] or 1)):
                self._add(seed, entry, person, job, day + timedelta(weeks=week), rng)

    def _person(self, seed: Seed, rng: Random) -> Person:
        language = seed.language or self._studio["language"]
        if seed.sender == "client":
            self._turns[language] += 1
            return self._people.rotate("client", self._turns[language] - 1, language)
        if seed.sender.startswith("known:"):
            return self._people.known[seed.sender.partition(":")[2].strip()]
        return self._people.make(rng, language)

    def _job(self) -> str:
        self._jobs += 1
        return f"j{self._jobs:03d}"

    def _day(self, entry: Entry, rng: Random, main_day: date | None) -> date:
        spec, first = entry.when["day"], self._window.first_day
        if spec.lstrip("+-").isdigit():
            return (main_day or first) + timedelta(days=int(spec))
        ahead = spec.endswith("+")
        wanted = WEEKDAYS[spec.rstrip("+")]
        days = range(DAYS, 400) if ahead else range(SEASON if wanted == WEEKDAYS["sat"] else DAYS)
        possible = [day for each in days if (day := first + timedelta(days=each)).weekday() in wanted]
        if wanted != WEEKDAYS["sat"]:
            return rng.choice(possible)
        free = [day for day in possible if (entry.calendar, day) not in self._saturdays]
        chosen = rng.choice(free or possible)
        self._saturdays.add((entry.calendar, chosen))
        return chosen

    def _add(self, seed: Seed, entry: Entry, person: Person, job: str | None, day: date, rng: Random) -> None:
        number = len(self.events) + 1
        event = _Event(self._studio, entry, person, self._window, rng)
        event_id = identifier(self._corpus, "event", number).translate(str.maketrans("89", "uv"))
        series = identifier(self._corpus, seed.kind, entry.title, "series") if entry.when["weeks"] else ""
        shown = event.json(day, event_id, series)
        uid = shown.get("iCalUID", "")
        self._store(seed, entry, job, entry.calendar, shown, person)
        if other := entry.options.get("copy"):
            copy = {**shown, "id": identifier("copy", event_id), "iCalUID": uid}
            copy["organizer"] = {"email": self._studio["calendars"][entry.calendar]["id"]}
            self._store(seed, entry, job, other, copy, person, copy_of=event_id)

    def _store(
        self,
        seed: Seed,
        entry: Entry,
        job: str | None,
        calendar: str,
        shown: dict[str, Any],
        person: Person,
        copy_of: str = "",
    ) -> None:
        calendar_id = self._studio["calendars"][calendar]["id"]
        self.events.append({"calendarId": calendar_id, "event": shown})
        is_off = entry.options.keys() & {"cancelled", "declined", "no"}
        is_booking = seed.label == "booking" and not is_off
        label: dict[str, Any] = {
            "event": shown["id"],
            "calendar": calendar_id,
            "label": "booking" if is_booking else "not_a_booking",
            "kind": entry.kind,
            "reason": seed.reason,
            "seed": seed.number,
        }
        if is_booking:
            label |= {
                "job": job,
                "person": person.key,
                "status": _status(entry, shown),
                "booked": seed.kind != "prospect",
            }
        if copy_of:
            label["copyOf"] = copy_of
        if seed.hard:
            label["hard"] = seed.hard
        self.labels.append(label)


def _status(entry: Entry, shown: dict[str, Any]) -> str:
    undecided = entry.options.keys() & {"hold", "needs", "tentative"}
    return "tentative" if undecided or shown["status"] == "tentative" else "confirmed"


class _Event:
    def __init__(self, studio: dict[str, Any], entry: Entry, person: Person, window: Window, rng: Random) -> None:
        self._studio = studio
        self._entry = entry
        self._person = person
        self._window = window
        self._rng = rng
        self._calendar = studio["calendars"][entry.calendar]

    def json(self, day: date, event_id: str, series: str) -> dict[str, Any]:
        options = self._entry.options
        if "cancelled" in options:
            return {
                "kind": "calendar#event",
                "etag": f'"{self._rng.randrange(10**15)}"',
                "id": event_id,
                "status": "cancelled",
            }
        created = self._created(day)
        updated = created + timedelta(seconds=self._rng.randrange(0, 86_400 * 3))
        title = fill(self._entry.title, self._person, self._rng, self._studio)
        shown: dict[str, Any] = {
            "kind": "calendar#event",
            "etag": f'"{int(updated.timestamp()) * 2000}"',
            "id": event_id,
            "status": "tentative" if "hold" in options and options["hold"] == "status" else "confirmed",
            "htmlLink": f"https://www.google.com/calendar/event?eid={event_id}",
            "created": stamp(created).replace("Z", ".000Z"),
            "updated": stamp(updated).replace("Z", ".517Z"),
            **({"summary": title} if title != "(none)" else {}),
            **self._texts(),
            **self._when(day),
            "iCalUID": f"{series or event_id}@google.com",
            "sequence": self._rng.randrange(3),
            "eventType": options.get("type", "default"),
            **self._people(),
        }
        if series:
            start = datetime.fromisoformat(shown["start"]["dateTime"]).astimezone(UTC)
            shown["id"] = f"{series}_{start:%Y%m%dT%H%M%SZ}"
            shown |= {"recurringEventId": series, "originalStartTime": shown["start"]}
        return shown

    def _created(self, day: date) -> datetime:
        last = datetime.combine(day, time(9), UTC) - timedelta(days=1)
        days = (
            self._rng.randrange(0, 240) if last > self._window.end - timedelta(days=60) else self._rng.randrange(0, 60)
        )
        return min(last, self._window.end - timedelta(days=1)) - timedelta(
            days=days, seconds=self._rng.randrange(40_000)
        )

    def _texts(self) -> dict[str, str]:
        options, texts = self._entry.options, {}
        if "loc" in options:
            texts["location"] = self._person.venue
        if "notes" in options:
            notes = self._studio["notes"][options["notes"]]
            texts["description"] = fill(notes, self._person, self._rng, self._studio)
        return texts

    def _when(self, day: date) -> dict[str, Any]:
        match, options = self._entry.when, self._entry.options
        if match["all"]:
            end = day + timedelta(days=int(match["days"] or 1))
            free = {} if "busy" in options else {"transparency": "transparent"}
            return {"start": {"date": day.isoformat()}, "end": {"date": end.isoformat()}, **free}
        zone = options.get("zone", self._studio["timeZone"])
        start = datetime.combine(day, time.fromisoformat(match["time"]), ZoneInfo(zone))
        end_at = (start.astimezone(UTC) + timedelta(hours=float(match["hours"]))).astimezone(ZoneInfo(zone))
        free = {"transparency": "transparent"} if "free" in options else {}
        return {
            "start": {"dateTime": start.isoformat(), "timeZone": zone},
            "end": {"dateTime": end_at.isoformat(), "timeZone": zone},
            **free,
        }

    def _people(self) -> dict[str, Any]:
        options, calendar = self._entry.options, self._calendar
        own = {"email": self._studio["address"], "self": True}
        client = {"email": self._person.email, "displayName": self._person.name}
        response = next((OWN_RESPONSES[key] for key in options if key in OWN_RESPONSES), None)
        if response:
            guests = [{**client, "organizer": True, "responseStatus": "accepted"}, {**own, "responseStatus": response}]
            return {"creator": {"email": client["email"]}, "organizer": client, "attendees": guests + self._others()}
        organizer: dict[str, Any] = {"email": calendar["id"], "self": True}
        if not calendar.get("primary"):
            organizer["displayName"] = calendar["summary"]
        guests = [{**client, "responseStatus": RESPONSES[key]} for key in options if key in RESPONSES]
        guests = self._others() + guests
        if guests and calendar.get("primary"):  # of any other calendar the calendar itself is the organizer
            guests.append({**own, "organizer": True, "responseStatus": "accepted"})
        return {"creator": own, "organizer": organizer, **({"attendees": guests} if guests else {})}

    def _others(self) -> list[dict[str, Any]]:
        """Guests named by `with=key,key`: colleagues and planners."""
        keys = self._entry.options.get("with", "")
        entries = {entry["key"]: entry for entry in self._studio["people"]}
        known = [entries[key] for key in keys.split(",") if key]
        return [
            {"email": each["email"], "displayName": each["name"], "optional": True, "responseStatus": "accepted"}
            for each in known
        ]
