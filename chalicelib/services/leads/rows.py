"""The rows that a page of threads becomes, by table."""

from typing import Any
from uuid import UUID

import msgspec

from chalicelib.platforms.core.items import Skipped
from chalicelib.platforms.core.records import MessageRecord, ThreadRecord


class Source(msgspec.Struct, frozen=True):
    connection_id: UUID
    platform: str


class Rows(msgspec.Struct):
    """What a page stores, by table."""

    people: list[dict[str, Any]]
    identities: list[dict[str, Any]]
    conversations: list[dict[str, Any]] = []
    threads: list[dict[str, Any]] = []
    messages: list[dict[str, Any]] = []
    inquiries: list[dict[str, Any]] = []


class Placed(msgspec.Struct):
    """The page's rows, what it leaves out, and the thread and inquiry of each record that is stored."""

    rows: Rows
    skipped: list[Skipped] = []
    stored: list[tuple[UUID, UUID]] = []
    kept: set[str] = set()
    """The external ids of threads that are stored, now or before"""
    unchanged: int = 0
    """Threads that were changed after they were fetched"""


def thread_row(thread: ThreadRecord, thread_id: UUID, conversation_id: UUID) -> dict[str, Any]:
    return {
        "id": thread_id,
        "external_id": thread.external_id,
        "conversation_id": conversation_id,
        "channel": thread.channel,
        "url": thread.url,
    }


def message_row(message: MessageRecord, thread_id: UUID, effect: str | None) -> dict[str, Any]:
    return {
        "thread_id": thread_id,
        "external_id": message.external_id,
        "direction": message.direction,
        "kind": message.kind,
        "effect": effect,
        "sent_at": message.sent_at,
        "sender_name": message.sender_name,
        "sender_address": message.sender_address,
        "person_address": message.person_address,
        "recipients": message.recipients,
        "subject": message.subject,
        "preview": message.preview,
        "message_id": message.message_id or None,
        "answered_ids": message.answered_ids,
    }
