"""Gmail's lists of a mailbox: its threads, and what changed. Reading a thread takes a request of its own."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Raw

from chalicelib.errors import AnswerTooLarge, RateLimited, RefreshInProgress, TransientFault
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.items import Batch, SetAside, Skipped
from chalicelib.platforms.core.urls import url_of
from chalicelib.platforms.google.messages import is_id
from chalicelib.platforms.google.threads import THREADS, MailContext
from chalicelib.platforms.mail.headers import HEADERS

BASE_URL = "https://gmail.googleapis.com/gmail/v1/users/me"
PAGE_SIZE = 50
"""Threads of a list, or changes, per page."""
PAGE_SECONDS = 25
"""How long threads are read for one page: less than the engine reserves for a page before an invocation ends."""
THREAD_PARAMS = (("format", "metadata"), *(("metadataHeaders", name) for name in ("Date", "Message-ID", *HEADERS)))

CHANGES = {
    "messageAdded": "messagesAdded",
    "messageDeleted": "messagesDeleted",
    "labelAdded": "labelsAdded",
    "labelRemoved": "labelsRemoved",
}
"""The kinds of change we request, and the members that describe them."""
_JUDGED = frozenset(
    {"SPAM", "TRASH", "CHAT", *(f"CATEGORY_{name}" for name in ("PROMOTIONS", "SOCIAL", "UPDATES", "FORUMS"))}
)
"""Labels that decide whether a thread is an inquiry. Reading or archiving mail changes other labels, all day long."""

FAULTS = (RateLimited, TransientFault, RefreshInProgress)
"""Errors that end a page early and keep what was read; the next page hits the same error first, and waits."""


class Named(msgspec.Struct):
    """The threads that a list names, each once, and the entries that name none."""

    thread_ids: Sequence[str]
    odd: Sequence[Any] = ()


class Reading(msgspec.Struct):
    """Threads as returned, the outcomes of the others, and the threads still to be read."""

    raws: list[Raw]
    batch: Batch
    waiting: tuple[str, ...] = ()


def list_threads(threads: Sequence[Any]) -> Named:
    """The threads in a threads.list response."""
    return _named((entry.get("id") if isinstance(entry, dict) else None, entry) for entry in threads)


def list_changed(history: Sequence[Any]) -> Named:
    """The threads in a history.list response with a relevant change."""
    return _named(pair for change in history for pair in _changes(change))


def read_threads(client: Client, named: Named, *, began: bool) -> Reading:
    """Reads as many threads as time and quota allow. Raises the error that stops the first one, unless this page
    `began` with something worth keeping, such as the list itself."""
    reading = Reading([], Batch())
    for entry in named.odd:
        reading.batch.add(THREADS.read_one(Raw(msgspec.json.encode(entry)), MailContext()))
    end = client.now() + timedelta(seconds=PAGE_SECONDS)
    for done, thread_id in enumerate(named.thread_ids):
        if done >= PAGE_SIZE or (done and client.now() > end):
            break
        try:
            _read_thread(client, thread_id, reading)
        except FAULTS:
            if not (done or began):
                raise
            break
    else:
        return reading
    reading.waiting = tuple(named.thread_ids[done:])
    return reading


def _read_thread(client: Client, thread_id: str, reading: Reading) -> None:
    try:
        raw = client.find(url_of(BASE_URL + "/threads/{thread}", thread=thread_id), THREAD_PARAMS, into=Raw)
    except AnswerTooLarge:
        content = msgspec.json.encode({"item": {"id": thread_id}, "context": MailContext()})
        set_aside = SetAside(external_id=thread_id, field="", reason="is too large to be read", content=content)
        reading.batch.add(set_aside)
        return
    if raw is None:
        reading.batch.add(Skipped(external_id=thread_id, reason="deleted"))
    else:
        reading.raws.append(raw)


def _changes(change: Any) -> Iterator[tuple[Any, Any]]:
    """Thread ids, each with the entry that names it."""
    members = (change.get(member) or [] for member in CHANGES.values()) if isinstance(change, dict) else [[change]]
    for member in members:
        for entry in member if isinstance(member, list) else [member]:
            message = entry.get("message") if isinstance(entry, dict) else None
            if not isinstance(message, dict):
                yield None, entry
            elif _counts(entry.get("labelIds"), message.get("labelIds")):
                yield message.get("threadId"), entry


def _counts(changed: Any, labels: Any) -> bool:
    """Ignores drafts, which change with every pause in typing, and changes of labels that decide nothing."""
    if isinstance(labels, list) and "DRAFT" in labels:
        return False
    return not isinstance(changed, list) or any(isinstance(label, str) and label in _JUDGED for label in changed)


def _named(entries: Iterable[tuple[Any, Any]]) -> Named:
    thread_ids: dict[str, None] = {}
    odd = []
    for thread_id, entry in entries:
        if is_id(thread_id):
            thread_ids[thread_id] = None
        else:
            odd.append(entry)
    return Named(list(thread_ids), odd)
