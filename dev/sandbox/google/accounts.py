"""The Google users of the sandbox: a busy studio, an empty one, and any size in between for benchmarks."""

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, partial

from dev.sandbox.clock import Clock, machine_time, milliseconds
from dev.sandbox.google import events, mail
from dev.sandbox.store import Journal, Listed, Original, Store
from dev.sandbox.studio import STUDIO, Person, appointments, conversations
from dev.sandbox.wire import Json

PRIMARY = "primary"
WEDDINGS = "c_5d1f0a7e9b@group.calendar.google.com"
FAMILY = "c_83b2c64e10@group.calendar.google.com"
STUDIO_CALENDARS = ((WEDDINGS, "Weddings", "owner"), (FAMILY, "Family", "writer"))
"""The studio's calendars beside its own: id, name, role."""


@dataclass(frozen=True)
class Calendar:
    """A calendar as one user sees it. `role` is what the user may do with it."""

    id: str
    name: str
    events: Store
    changes: Journal[str]
    role: str = "owner"
    is_primary: bool = False


@dataclass(frozen=True)
class Account:
    """One user with calendars and a mailbox. The primary calendar is the user's own, under the user's address.

    A journal entry of the calendar is an event's id, one of the mailbox is a Gmail history record.
    """

    name: str
    user_id: str
    owner: Person
    events: Store
    changes: Journal[str]
    threads: Store
    history: Journal[Json]
    thread_of: dict[str, str]
    """Threads of messages that do not start their thread; for those that do, the ids are equal."""
    deleted: set[str]
    """Messages that are gone for good; a thread without any is gone as well."""
    others: dict[str, Calendar]
    """The calendars beside the primary one, by id."""

    def version(self) -> tuple[int | str, ...]:
        """Changes whenever anything readable has changed."""
        journals = (self.changes.position, self.changes.oldest, self.history.position, self.history.oldest)
        others = [(each.id, each.changes.position, each.changes.oldest) for each in self.others.values()]
        return (*journals, self.owner.email, *(part for other in others for part in other))

    def calendars(self) -> list[Calendar]:
        own = Calendar(self.owner.email, self.owner.name, self.events, self.changes, is_primary=True)
        return [own, *self.others.values()]

    def calendar(self, calendar_id: str) -> Calendar | None:
        return next(
            (
                each
                for each in self.calendars()
                if calendar_id == each.id or (calendar_id == PRIMARY and each.is_primary)
            ),
            None,
        )

    def event(self, event_id: str, calendar_id: str = "primary") -> Json:
        """Raises ValueError if there is none."""
        event = self._calendar(calendar_id).events.get(event_id)
        if event is None:
            raise ValueError(f"there is no event {event_id!r}")
        return event

    def _calendar(self, calendar_id: str) -> Calendar:
        calendar = self.calendar(calendar_id)
        if calendar is None:
            raise ValueError(f"there is no calendar {calendar_id!r}")
        return calendar

    def message(self, message_id: str) -> Json:
        """Raises ValueError if there is none."""
        for message in self._thread_of(message_id)["messages"]:
            if message["id"] == message_id:
                found: Json = message
                return found
        raise ValueError(f"there is no message {message_id!r}")

    def put_event(self, make: Callable[[int], Json], calendar_id: str = "primary") -> Json:
        """Adds or replaces the event that `make` builds for its position in the calendar's journal."""
        calendar = self._calendar(calendar_id)

        def put(position: int) -> str:
            event = make(position)
            calendar.events.put(event)
            event_id: str = event["id"]
            return event_id

        return self.event(calendar.changes.append(put), calendar_id)

    def put_message(self, thread_id: str, make: Callable[[int], Json]) -> Json:
        """Adds the message that `make` creates to the thread, or to a new one if `thread_id` is empty."""
        if thread_id and self.threads.get(thread_id) is None:
            raise ValueError(f"there is no thread {thread_id!r}")

        def put(position: int) -> Json:
            message = make(position)
            self.threads.put(mail.grown(self.threads.get(thread_id), message))
            if thread_id:
                self.thread_of[message["id"]] = thread_id
            return mail.change(message, position, "messagesAdded")

        arrived = self.history.append(put)["messages"][0]
        return self.message(arrived["id"])

    def label_message(self, message_id: str, add: Sequence[str], remove: Sequence[str]) -> Json:
        """Changes a message's labels; Gmail reports added and removed labels separately."""
        labels = self.message(message_id)["labelIds"]
        kept = [label for label in labels if label not in remove]
        added, removed = [label for label in add if label not in kept], [label for label in labels if label in remove]

        def put(position: int, member: str, changed: list[str]) -> Json:
            message = {**self.message(message_id), "labelIds": [*kept, *added], "historyId": str(position)}
            self.threads.put(mail.replaced(self._thread_of(message_id), message))
            return mail.change(message, position, member, changed)

        for member, changed in (("labelsAdded", added), ("labelsRemoved", removed)):
            if changed:
                self.history.append(partial(put, member=member, changed=changed))
        return self.message(message_id)

    def delete_message(self, message_id: str) -> None:
        """Deletes permanently, as Gmail does after 30 days in the trash."""
        message = self.message(message_id)

        def put(position: int) -> Json:
            self.threads.put(mail.without(self._thread_of(message_id), message, position))
            self.deleted.add(message_id)
            return mail.change(message, position, "messagesDeleted")

        self.history.append(put)

    def _thread_of(self, message_id: str) -> Json:
        return self.threads.get(self.thread_of.get(message_id, message_id)) or {"messages": []}


def new_calendar(calendar_id: str, name: str, start: int, clock: Clock, *, role: str = "owner") -> Calendar:
    return Calendar(calendar_id, name, Store(Listed([])), Journal(start, clock), role)


def open_account(name: str, today: date, clock: Clock = machine_time) -> Account | None:
    """`studio`, `empty`, or `bulk-N` with N events and N threads; None for any other name.

    Dates are relative to this week's Monday, so that weddings fall on Saturdays and data do not change within a week.
    """
    monday = today - timedelta(days=today.weekday())
    if name == "studio":
        return _studio(name, monday, clock)
    if name == "empty":
        return _bulk(name, 0, monday, clock)
    size = re.fullmatch(r"bulk-(\d{1,8})", name, re.ASCII)
    return _bulk(name, int(size[1]), monday, clock) if size else None


def _studio(name: str, monday: date, clock: Clock) -> Account:
    calendar, threads = _studio_records(monday)
    replies = {message["id"]: thread["id"] for thread in threads for message in thread["messages"][1:]}
    account = _account(name, STUDIO, Listed(calendar), Listed(threads), replies, monday, clock)
    for calendar_id, title, role in STUDIO_CALENDARS:
        account.others[calendar_id] = new_calendar(calendar_id, title, account.changes.oldest, clock, role=role)
    return account


@lru_cache(maxsize=1)
def _studio_records(monday: date) -> tuple[list[Json], list[Json]]:
    """Cached: a store never changes its initial records, so many sandboxes of one process can share them."""
    return events.of_studio(appointments(monday)), mail.of_studio(conversations(monday))


def _bulk(name: str, count: int, monday: date, clock: Clock) -> Account:
    owner = Person("Bulk Studio", f"{name}@studio.example")
    calendar, threads = events.in_bulk(count, owner, monday), mail.in_bulk(count, owner, monday)
    return _account(name, owner, calendar, threads, {}, monday, clock)


def _account(
    name: str,
    owner: Person,
    calendar: Original,
    threads: Original,
    thread_of: dict[str, str],
    monday: date,
    clock: Clock,
) -> Account:
    start = milliseconds(datetime.combine(monday, time(), UTC))
    return Account(
        name=name,
        user_id=f"1{zlib.crc32(name.encode()):020}",
        owner=owner,
        events=Store(calendar),
        changes=Journal(start, clock),
        threads=Store(threads),
        history=Journal(start, clock),
        thread_of=thread_of,
        deleted=set(),
        others={},
    )
