"""Messages and threads for tests, independent of the platform they come from. Times are hours after noon."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from chalicelib.platforms.core.records import MessageRecord, ThreadRecord

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
OWN, ANA, BEN = "hello@studio.example", "ana@example.org", "ben@example.net"
QUESTION = "Are you free for our wedding?"


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def came(hours: float, sender: str = ANA, preview: str | None = QUESTION, **changes: Any) -> MessageRecord:
    """A message of a person."""
    message = MessageRecord(
        external_id=f"in{hours:g}",
        direction="in",
        kind="person",
        sent_at=at(hours),
        sender_name="Ana Ruiz",
        sender_address=sender,
        person_name="Ana Ruiz",
        person_address=sender,
        writers=(sender,),
        recipients=(OWN,),
        subject="Hello",
        preview=preview,
        message_id=f"<in{hours:g}@mail.example>",
    )
    return replace(message, **changes)


def went(hours: float, to: str = ANA, **changes: Any) -> MessageRecord:
    """A message of the studio."""
    message = MessageRecord(
        external_id=f"out{hours:g}",
        direction="out",
        kind="person",
        sent_at=at(hours),
        sender_address=OWN,
        recipients=(to,),
        subject="Re: Hello",
        preview="Yes, that day is free.",
        message_id=f"<out{hours:g}@mail.example>",
    )
    return replace(message, **changes)


def form(hours: float, person: str = ANA, **changes: Any) -> MessageRecord:
    return came(hours, sender="form@relay.example", kind="relay", person_address=person, writers=(person,), **changes)


def machine(hours: float, reason: str = "newsletter", sender: str = "news@shop.example") -> MessageRecord:
    return came(hours, sender, kind="machine", reason=reason, person_name=None, person_address=None)


def thread(*messages: MessageRecord, name: str = "one") -> ThreadRecord:
    return ThreadRecord(
        external_id=name, channel="email", url=f"https://mail.example/{name}", own=(OWN,), messages=messages
    )
