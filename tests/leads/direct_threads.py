"""Direct messages, as Meta's API gives a Page's conversations, as threads."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal

from chalicelib.platforms.core.records import MessageRecord, ThreadRecord

CHANNELS = {"instagram": "instagram_dm", "messenger": "facebook_message"}


def direct_thread(conversation: dict[str, Any], own: Collection[str], until: datetime | None = None) -> ThreadRecord:
    """`own` holds the ids under which the studio writes. People are known by their ids on the platform."""
    newest = conversation["messages"]["data"]
    messages = [direct_message(each, own) for each in reversed(newest)]
    return ThreadRecord(
        external_id=conversation["id"],
        channel=CHANNELS[conversation["platform"]],
        own=tuple(own),
        messages=tuple(each for each in messages if until is None or each.sent_at <= until),
    )


def direct_message(message: dict[str, Any], own: Collection[str]) -> MessageRecord:
    sender = message["from"]
    incoming = sender["id"] not in own
    name = sender.get("name") or sender.get("username")
    return MessageRecord(
        external_id=message["id"],
        direction="in" if incoming else "out",
        kind="person",
        sent_at=datetime.fromisoformat(message["created_time"]),
        sender_name=name,
        sender_address=sender["id"],
        person_name=name if incoming else None,
        person_address=sender["id"] if incoming else None,
        writers=(sender["id"],) if incoming else (),
        recipients=tuple(each["id"] for each in message["to"]["data"]),
        preview=message["message"],
        reaction=reaction_of(message),
    )


def reaction_of(message: dict[str, Any]) -> Literal["", "story", "mention", "share"]:
    if "story" in message:
        return "mention" if "mention" in message["story"] else "story"
    return "share" if "shares" in message else ""
