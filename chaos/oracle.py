"""The comparison: the platform's records, mapped here independently, against the database row by row.

It shares no code with the product's parsers, so that one mistake cannot hide in both.
"""

import html
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from dev.sandbox.google.accounts import Account

ZONE = ZoneInfo("Europe/Berlin")
JOB = re.compile(
    r"^(HOLD )?(wedding (?!fair)|hochzeit|standesamtliche trauung|engagement|family shoot|newborn|maternity|portrait"
    r"|business headshots|mini portrait|elopement|styled shoot|babybauchshooting)",
    re.IGNORECASE,
)
"""Titles of the sandbox's jobs, but of no private appointment."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Row = tuple[Any, ...]

StoredBooking = tuple[UUID, str, str | None, datetime | None, datetime | None, str, str | None, str | None, str | None]
"""Studio, external id, title, start, end, status or `left out`, client's address, place, series."""
StoredInquiry = tuple[UUID, str, str | None, datetime, str | None, str | None, datetime | None, datetime | None, str]
"""Studio, external id, subject, arrival, sender's address, text, time of the reply, since when the person waits,
whether it was answered."""


@dataclass
class Difference:
    """Lost: on the platform but not in the database. Duplicated: more than once. Wrong: any other difference."""

    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: "Difference") -> None:
        self.lost += other.lost
        self.duplicated += other.duplicated
        self.wrong += other.wrong
        self.notes += other.notes

    def note(self, text: str, wrong: int = 1) -> None:
        self.wrong += wrong
        self.notes.append(text)

    @property
    def is_none(self) -> bool:
        return not (self.lost or self.duplicated or self.wrong)


@dataclass(frozen=True)
class Database:
    """A studio's records as rows that begin with their external id."""

    bookings: list[Row] = field(default_factory=list)
    inquiries: list[Row] = field(default_factory=list)


def compare(account: Account, found: Database, streams: Iterable[str]) -> Difference:
    difference = Difference()
    if "bookings" in streams:
        living, gone = expected_bookings(account)
        difference.add(_compare("booking", living, gone, found.bookings))
    if "inquiries" in streams:
        difference.add(_compare("inquiry", expected_inquiries(account), set(), found.inquiries))
    return difference


def expected_bookings(account: Account) -> tuple[dict[str, Row], set[str]]:
    """The expected rows, and the ids that may exist as cancelled ones."""
    living: dict[str, Row] = {}
    gone: set[str] = set()
    for event in (account.events[index] for index in range(len(account.events))):
        if event["status"] == "cancelled" or not _is_booking(event, account.owner.email):
            gone.add(event["id"])
        elif event.get("eventType", "default") == "default" and "recurrence" not in event:
            living[event["id"]] = (
                event.get("summary"),
                _moment(event["start"]),
                _moment(event["end"]),
                _status(event),
                next((person["email"] for person in _strangers(event, account.owner.email)), None),
                event.get("location"),
                event.get("recurringEventId"),
            )
    return living, gone


def _is_booking(event: Mapping[str, Any], owner: str) -> bool:
    title = event.get("summary", "")
    if _own_answer(event) == "declined" or title.startswith("Abgesagt"):
        return False
    if event.get("transparency") == "transparent" and "dateTime" in event["start"]:
        return False
    return bool(JOB.match(title) or _strangers(event, owner))


def _status(event: Mapping[str, Any]) -> str:
    is_held = event.get("summary", "").startswith("HOLD ") or _own_answer(event) in ("tentative", "needsAction")
    return "tentative" if is_held else str(event["status"])


def _own_answer(event: Mapping[str, Any]) -> str | None:
    return next((each["responseStatus"] for each in event.get("attendees", ()) if each.get("self")), None)


def _strangers(event: Mapping[str, Any], owner: str) -> list[Mapping[str, str]]:
    """The organizer or guest who is not the studio; the sandbox's clients do not decline active events."""
    domain = owner.partition("@")[2]
    people = [event["organizer"], *event.get("attendees", ())] if "organizer" in event else event.get("attendees", [])
    return [person for person in people if not person["email"].endswith(f"@{domain}")]


def expected_inquiries(account: Account) -> dict[str, Row]:
    threads = [account.threads[index]["messages"] for index in range(len(account.threads))]
    answers: dict[str, list[datetime]] = {}
    for message in (each for thread in threads for each in thread if _is_answer(each)):
        answers.setdefault(_address(_headers(message)["To"]), []).append(_sent_at(message))
    return {external_id: row for thread in threads for external_id, row in _inquiries(thread, answers)}


def _inquiries(messages: list[dict[str, Any]], answers: Mapping[str, list[datetime]]) -> Iterator[tuple[str, Row]]:
    """The first mail of a thread, and for submissions of a form each person's first one."""
    first = messages[0]
    begun = {person: post for post in reversed(messages) if "Reply-To" in _headers(post) and (person := _person(post))}
    if not begun and (person := _person(first)):
        begun = {person: first}
    for person, post in begun.items():
        answered, received_at = answers.get(person, []), _sent_at(post)
        replied_at = min((at for at in answered if at >= received_at), default=None)
        asked = [_sent_at(each) for each in messages if _person(each) == person]
        waits_since = min((at for at in asked if at > max(answered, default=EPOCH)), default=None)
        external_id = first["id"] if post is first else f"{first['id']}/{post['id']}"
        text = html.unescape(post["snippet"]).strip()
        status = "answered" if replied_at else "new"
        row = (_headers(post)["Subject"], received_at, person, text, replied_at, waits_since, status)
        yield external_id, row


def _person(message: dict[str, Any]) -> str | None:
    """The sender's address if a person wrote it to the studio; None for machines and for the studio itself."""
    headers, labels = _headers(message), set(message["labelIds"])
    if labels & {"SPAM", "TRASH", "CHAT", "CATEGORY_SOCIAL", "CATEGORY_PROMOTIONS"}:
        return None
    if headers.keys() & {"Auto-Submitted", "X-Autoreply", "Sender"}:
        return None
    if "Reply-To" in headers:
        return _address(headers["Reply-To"])
    address = _address(headers["From"])
    is_portal = address.endswith("@member.theknot.com")
    is_listed = headers.keys() & {"List-Unsubscribe", "List-ID"} or labels & {"CATEGORY_UPDATES", "CATEGORY_FORUMS"}
    return None if "SENT" in labels or address.startswith("noreply@") or (is_listed and not is_portal) else address


def _is_answer(message: dict[str, Any]) -> bool:
    return "SENT" in message["labelIds"] and "Reply-To" not in _headers(message)


def _headers(message: dict[str, Any]) -> dict[str, str]:
    return {header["name"]: header["value"] for header in message["payload"]["headers"]}


def _address(mailbox: str) -> str:
    return mailbox.rpartition("<")[2].rstrip(">")


def _compare(noun: str, living: Mapping[str, Row], gone: set[str], rows: list[Row]) -> Difference:
    difference = Difference()
    found = {external_id: tuple(rest) for external_id, *rest in rows}
    # A record stored under two names is a duplicate as well.
    bare = Counter(str(external_id).rpartition("/")[2] for external_id, *_ in rows)
    difference.duplicated = len(rows) - len(found) + sum(count - 1 for count in bare.values())
    missing = living.keys() - found.keys()
    difference.lost = len(missing)
    difference.notes += [f"lost {noun} {external_id}" for external_id in sorted(missing)[:3]]
    for external_id, row in found.items():
        if external_id in living and row != living[external_id]:
            difference.note(f"{noun} {external_id} is {row}, not {living[external_id]}")
        elif external_id not in living and not (external_id in gone and ("cancelled" in row or "left out" in row)):
            difference.note(f"{noun} {external_id} should not exist")
    return difference


def _sent_at(message: Mapping[str, Any]) -> datetime:
    return EPOCH + timedelta(milliseconds=int(message["internalDate"]))


def _moment(value: Mapping[str, str]) -> datetime:
    if "dateTime" in value:
        return datetime.fromisoformat(value["dateTime"]).astimezone(UTC)
    return datetime.combine(datetime.fromisoformat(value["date"]), time(), ZONE).astimezone(UTC)
