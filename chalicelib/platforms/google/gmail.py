"""The stream `inquiries`: mail from others in the grant's mailbox, read by its headers alone (Gmail API v1)."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw
from msgspec.structs import replace

from chalicelib.errors import ContractChanged, CursorExpired, PermissionMissing
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream, Window
from chalicelib.platforms.core.decoding import decode_leniently
from chalicelib.platforms.core.urls import url_of
from chalicelib.platforms.google.mailbox import (
    BASE_URL,
    CHANGES,
    FAULTS,
    PAGE_SIZE,
    Named,
    Reading,
    list_changed,
    list_threads,
    read_threads,
)
from chalicelib.platforms.google.threads import THREADS, Thread, add_threads, read_messages

SCOPE = "https://www.googleapis.com/auth/gmail"
FIRST_READ = timedelta(days=396)
"""Thirteen months, so that last year's same month is there. Older mail is read by a backfill."""
MAX_WAITING = 1_000
"""The most threads that one page may name, to bound the cursor; about 50 are usual."""

# 64-bit integers are strings on the wire.
HistoryId = Annotated[str, Meta(pattern="^[0-9]{1,20}$")]


class MailboxCursor(msgspec.Struct, frozen=True):
    """`history_id` is where the next list of changes starts; while `listing`, `page_token` iterates over all threads.

    `since` bounds the list of a first read. `searching` is for a list of some days only, which not every grant may
    request; `newest` is a bounded list's newest message on this page. `waiting` holds threads of a page that must be
    read before `page_token` advances, and `own` is the mailbox's address, empty in a cursor from before it was stored.
    """

    history_id: HistoryId
    listing: bool = False
    page_token: str | None = None
    searching: bool = True
    own: str = ""
    waiting: tuple[str, ...] = ()
    newest: datetime | None = None
    since: datetime | None = None


class Profile(msgspec.Struct, frozen=True, rename="camel"):
    history_id: HistoryId
    email_address: Any = ""

    @property
    def own(self) -> str:
        return self.email_address if isinstance(self.email_address, str) else ""


class Threads(msgspec.Struct, frozen=True, rename="camel"):
    threads: list[Any] = []
    next_page_token: str | None = None


class History(msgspec.Struct, frozen=True, rename="camel"):
    history_id: HistoryId
    history: list[Any] = []
    next_page_token: str | None = None


def fetch_inquiries(client: Client, cursor: MailboxCursor | None) -> Page[MailboxCursor]:
    if cursor is not None:
        return _fetch(client, cursor if cursor.own else replace(cursor, own=_profile(client).own))
    # Read before the first list, so that mail arriving during the list is in the history that follows.
    profile = _profile(client)
    start = MailboxCursor(profile.history_id, listing=True, own=profile.own)
    try:
        return _fetch(client, start)
    except FAULTS:
        return Page([], start, last=False)


def _profile(client: Client) -> Profile:
    return client.get(url_of(f"{BASE_URL}/profile"), into=Profile)


def _fetch(client: Client, cursor: MailboxCursor) -> Page[MailboxCursor]:
    named, following = _list(client, cursor)
    reading = read_threads(client, named, began=not cursor.waiting)
    if cursor.listing:
        return _bounded(client, cursor, following, reading)
    add_threads(reading.batch, reading.raws, cursor.own)
    last = not (reading.waiting or following.page_token)
    return Page.of(reading.batch, replace(following, waiting=reading.waiting), last=last)


def _bounded(client: Client, cursor: MailboxCursor, following: MailboxCursor, reading: Reading) -> Page[MailboxCursor]:
    """A list starts at the newest thread: it is read to the first page that is too old, by the time of that thread.
    Not every grant may search for mail since a day."""
    threads = [(raw, _dates(raw)) for raw in reading.raws]
    newest = _newest(cursor, threads)
    since = cursor.since or (min(newest, client.now()) - FIRST_READ if newest else None)
    add_threads(
        reading.batch,
        [raw for raw, dates in threads if not (dates and since) or max(dates) >= since],
        cursor.own,
    )
    is_too_old = bool(newest and since and newest < since)
    last = not reading.waiting and (is_too_old or not following.page_token)
    if last:
        return Page.of(reading.batch, MailboxCursor(cursor.history_id, own=cursor.own), last=True)
    waiting = reading.waiting
    return Page.of(
        reading.batch, replace(following, waiting=waiting, since=since, newest=newest if waiting else None), last=False
    )


def _list(client: Client, cursor: MailboxCursor, query: Sequence[tuple[str, str]] = ()) -> tuple[Named, MailboxCursor]:
    """Threads to read, and the cursor to continue with once all of them are read."""
    if cursor.waiting:
        return Named(cursor.waiting), replace(cursor, waiting=())
    return _list_all(client, cursor, query) if cursor.listing else _list_changed(client, cursor)


def _list_all(client: Client, cursor: MailboxCursor, query: Sequence[tuple[str, str]]) -> tuple[Named, MailboxCursor]:
    """Includes spam and trash: a thread that has moved there is no longer an inquiry."""
    params = [*_page(cursor), ("includeSpamTrash", "true"), *query]
    listed = client.get(url_of(f"{BASE_URL}/threads"), params, into=Threads)
    named = list_threads(listed.threads)
    if len(named.thread_ids) > MAX_WAITING:
        raise ContractChanged(internal=f"a list of {PAGE_SIZE} threads names {len(named.thread_ids)}")
    return named, replace(cursor, page_token=listed.next_page_token or None)


def _list_changed(client: Client, cursor: MailboxCursor) -> tuple[Named, MailboxCursor]:
    params = [*_page(cursor), ("startHistoryId", cursor.history_id), *(("historyTypes", kind) for kind in CHANGES)]
    history = client.find(url_of(f"{BASE_URL}/history"), params, into=History)
    if history is None:
        raise CursorExpired(internal="404 GET gmail.googleapis.com/gmail/v1/users/me/history: the start is too old")
    named, token = list_changed(history.history), history.next_page_token or None
    if len(named.thread_ids) > MAX_WAITING:
        raise CursorExpired(internal=f"{PAGE_SIZE} changes name {len(named.thread_ids)} threads")
    # Every page is requested with the same start; it advances only after the last page, and never goes back.
    history_id = cursor.history_id if token else max(cursor.history_id, history.history_id, key=int)
    return named, replace(cursor, history_id=history_id, page_token=token)


def _page(cursor: MailboxCursor) -> list[tuple[str, str]]:
    size = ("maxResults", str(PAGE_SIZE))
    return [size, ("pageToken", cursor.page_token)] if cursor.page_token else [size]


def fetch_inquiries_of(client: Client, window: Window, cursor: MailboxCursor | None) -> Page[MailboxCursor]:
    """The threads with mail on these days. A grant for headers only may not search: then all threads are read, from the
    newest to the first that is too old."""
    if cursor is not None:
        return _fetch_window(client, window, cursor)
    start = MailboxCursor("0", listing=True, own=_profile(client).own)
    try:
        return _fetch_window(client, window, start)
    except PermissionMissing:
        return Page([], replace(start, searching=False), last=False)
    except FAULTS:
        return Page([], start, last=False)


def _fetch_window(client: Client, window: Window, cursor: MailboxCursor) -> Page[MailboxCursor]:
    # One more day on each side covers every studio's zone.
    after, before = (
        datetime.combine(day, time.min, UTC)
        for day in (window.first - timedelta(days=1), window.last + timedelta(days=2))
    )
    # In seconds, because a date in a search means a day in Pacific Time.
    query = [("q", f"after:{int(after.timestamp())} before:{int(before.timestamp())}")] if cursor.searching else []
    named, following = _list(client, cursor, query)
    reading = read_threads(client, named, began=not cursor.waiting)
    threads = [(raw, _dates(raw)) for raw in reading.raws]
    add_threads(
        reading.batch,
        [raw for raw, dates in threads if not dates or any(after <= date < before for date in dates)],
        cursor.own,
    )
    newest = _newest(cursor, threads)
    too_old = not cursor.searching and newest is not None and newest < after
    last = not reading.waiting and (too_old or not following.page_token)
    following = replace(following, waiting=reading.waiting, newest=newest if reading.waiting else None)
    return Page.of(reading.batch, following, last=last)


def _newest(cursor: MailboxCursor, threads: Sequence[tuple[Raw, list[datetime]]]) -> datetime | None:
    """The newest message on this page of the list."""
    ages = [cursor.newest, *(max(dates) for _, dates in threads if dates)]
    return max((age for age in ages if age), default=None)


def _dates(thread: Raw) -> list[datetime]:
    """When its messages were sent; empty for a thread that cannot be read."""
    try:
        return [message.sent_at for message in read_messages(decode_leniently(thread, Thread), "")]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return []


INQUIRIES = Stream(
    name="inquiries",
    items=(THREADS,),
    cursor=MailboxCursor,
    fetch=fetch_inquiries,
    frequency="every 15 minutes",
    scopes=((f"{SCOPE}.metadata", f"{SCOPE}.readonly", f"{SCOPE}.modify", "https://mail.google.com/"),),
    restricted=True,  # like every scope that reads messages: support.google.com/cloud/answer/13464325
    fetch_window=fetch_inquiries_of,
    slice_days=3660,  # at once: without search every slice would start at the newest thread
    api="gmail",
)
