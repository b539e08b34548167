"""The stream `inquiries`: threads that others started in the grant's mailbox, by their headers alone (Gmail API v1)."""

from datetime import UTC, datetime, time, timedelta
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta, Raw

from chalicelib.errors import CursorExpired, PermissionMissing
from chalicelib.platforms.base import Page, Stream, Window
from chalicelib.platforms.client import Client
from chalicelib.platforms.decoding import decode_leniently
from chalicelib.platforms.items import Items, Skipped
from chalicelib.platforms.mailboxes import from_header, parse_mailbox
from chalicelib.platforms.records import InquiryRecord
from chalicelib.platforms.text import clean, from_entities
from chalicelib.platforms.urls import url_of

BASE_URL = "https://gmail.googleapis.com/gmail/v1/users/me"
THREADS_URL = url_of(f"{BASE_URL}/threads")
SCOPE = "https://www.googleapis.com/auth/gmail"
# Each thread of a page takes a request of its own.
PAGE_SIZE = 50
HEADERS = ("From", "To", "Subject", "Date", "List-Unsubscribe")
THREAD_PARAMS = (("format", "metadata"), *(("metadataHeaders", name) for name in HEADERS))
UNWANTED = frozenset({"SPAM", "TRASH", "CATEGORY_PROMOTIONS"})

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# 64-bit integers are strings on the wire.
HistoryId = Annotated[str, Meta(pattern="^[0-9]{1,20}$")]
Milliseconds = Annotated[str, Meta(pattern="^[0-9]{1,14}$")]


class MailboxCursor(msgspec.Struct, frozen=True):
    """`history_id` is where the next list of changes starts; while `listing`, `page_token` goes through all threads.

    `searching` is for a list of some days only, which not every grant may ask for.
    """

    history_id: HistoryId
    listing: bool = False
    page_token: str | None = None
    searching: bool = True


class Profile(msgspec.Struct, frozen=True, rename="camel"):
    history_id: HistoryId


class Header(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


class Payload(msgspec.Struct, frozen=True):
    headers: list[Header] = []


class Message(msgspec.Struct, frozen=True, rename="camel"):
    internal_date: Milliseconds
    label_ids: list[str] = []
    snippet: str | None = None
    payload: Payload = Payload()

    @property
    def sent_at(self) -> datetime:
        return EPOCH + timedelta(milliseconds=int(self.internal_date))

    def header(self, name: str) -> str | None:
        """Names are case-insensitive, and a header that is not there is simply absent."""
        headers = self.payload.headers
        return next((header.value for header in headers if header.name.lower() == name.lower()), None)


class Thread(msgspec.Struct, frozen=True):
    id: str
    messages: list[Message] = []


class ThreadRef(msgspec.Struct, frozen=True):
    id: str


class Threads(msgspec.Struct, frozen=True, rename="camel"):
    threads: list[ThreadRef] = []
    next_page_token: str | None = None


class MessageRef(msgspec.Struct, frozen=True, rename="camel"):
    thread_id: str


class AddedMessage(msgspec.Struct, frozen=True):
    message: MessageRef


class Change(msgspec.Struct, frozen=True, rename="camel"):
    messages_added: list[AddedMessage] = []


class History(msgspec.Struct, frozen=True, rename="camel"):
    history_id: HistoryId
    history: list[Change] = []
    next_page_token: str | None = None


def fetch_inquiries(client: Client, cursor: MailboxCursor | None) -> Page[MailboxCursor]:
    if cursor is None:
        # Read before the first list, so that what arrives during the list is in the history after it.
        profile = client.get(url_of(f"{BASE_URL}/profile"), into=Profile)
        cursor = MailboxCursor(history_id=profile.history_id, listing=True)
    return _fetch_all(client, cursor) if cursor.listing else _fetch_changed(client, cursor)


def _fetch_all(client: Client, cursor: MailboxCursor) -> Page[MailboxCursor]:
    threads = client.get(THREADS_URL, _page(cursor), into=Threads)
    following = MailboxCursor(
        history_id=cursor.history_id, listing=bool(threads.next_page_token), page_token=threads.next_page_token or None
    )
    batch = THREADS.read(_fetch_threads(client, [thread.id for thread in threads.threads]), MailContext())
    return Page.of(batch, following, last=not following.listing)


def _fetch_changed(client: Client, cursor: MailboxCursor) -> Page[MailboxCursor]:
    params = [*_page(cursor), ("startHistoryId", cursor.history_id), ("historyTypes", "messageAdded")]
    history = client.find(url_of(f"{BASE_URL}/history"), params, into=History)
    if history is None:
        raise CursorExpired(internal="404 GET gmail.googleapis.com/gmail/v1/users/me/history: the start is too old")
    thread_ids = [added.message.thread_id for change in history.history for added in change.messages_added]
    following = MailboxCursor(history_id=_next_history_id(cursor, history), page_token=history.next_page_token or None)
    batch = THREADS.read(_fetch_threads(client, thread_ids), MailContext())
    return Page.of(batch, following, last=not history.next_page_token)


def fetch_inquiries_of(client: Client, window: Window, cursor: MailboxCursor | None) -> Page[MailboxCursor]:
    """The threads with mail of these days. A grant for headers only may not search: then all are read, from the newest
    to the first that is too old."""
    if cursor is None:
        try:
            return _fetch_listed(client, window, MailboxCursor(history_id="0", listing=True))
        except PermissionMissing:
            cursor = MailboxCursor(history_id="0", listing=True, searching=False)
    return _fetch_listed(client, window, cursor)


def _fetch_listed(client: Client, window: Window, cursor: MailboxCursor) -> Page[MailboxCursor]:
    # A day more on each side covers every studio's zone.
    after, before = (
        datetime.combine(day, time.min, UTC)
        for day in (window.first - timedelta(days=1), window.last + timedelta(days=2))
    )
    # As seconds, because a date in a search means one of Pacific Time.
    query = [("q", f"after:{int(after.timestamp())} before:{int(before.timestamp())}")] if cursor.searching else []
    listed = client.get(THREADS_URL, [*_page(cursor), *query], into=Threads)
    threads = [(raw, _dates(raw)) for raw in _fetch_threads(client, [thread.id for thread in listed.threads])]
    newest = max((max(dates) for _, dates in threads if dates), default=None)
    too_old = not cursor.searching and newest is not None and newest < after
    within = [raw for raw, dates in threads if not dates or any(after <= date < before for date in dates)]
    following = msgspec.structs.replace(cursor, page_token=listed.next_page_token or None)
    return Page.of(THREADS.read(within, MailContext()), following, last=too_old or not following.page_token)


def _dates(thread: Raw) -> list[datetime]:
    """When its messages were sent; none for a thread that cannot be read."""
    try:
        return [message.sent_at for message in decode_leniently(thread, Thread).messages]
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return []


def _page(cursor: MailboxCursor) -> list[tuple[str, str]]:
    size = ("maxResults", str(PAGE_SIZE))
    return [size, ("pageToken", cursor.page_token)] if cursor.page_token else [size]


def _next_history_id(cursor: MailboxCursor, history: History) -> str:
    """Every page is asked for with the same start; only after the last one it moves, and never back."""
    if history.next_page_token:
        return cursor.history_id
    return max(cursor.history_id, history.history_id, key=int)


def _fetch_threads(client: Client, thread_ids: list[str]) -> list[Raw]:
    """A thread deleted since it was listed is left out."""
    urls = (url_of(BASE_URL + "/threads/{thread}", thread=thread_id) for thread_id in dict.fromkeys(thread_ids))
    threads = (client.find(url, THREAD_PARAMS, into=Raw) for url in urls)
    return [thread for thread in threads if thread is not None]


class MailContext(msgspec.Struct, frozen=True):
    """A thread needs nothing beside itself to be read."""


def parse_thread(thread: Thread, context: MailContext) -> InquiryRecord | Skipped:
    """What the studio started itself, what is unwanted and what was sent to a list is no inquiry."""
    messages = sorted(
        (message for message in thread.messages if "DRAFT" not in message.label_ids), key=lambda each: each.sent_at
    )
    if not messages or not _is_inquiry(messages[0]):
        return Skipped(external_id=thread.id, reason="not_an_inquiry")
    first, *later = messages
    name, address = parse_mailbox(first.header("From"))
    return InquiryRecord(
        external_id=thread.id,
        channel="email",
        received_at=first.sent_at,
        contact_name=name,
        contact_email=address,
        subject=from_header(first.header("Subject")),
        message=from_entities(first.snippet),
        url=clean(f"https://mail.google.com/mail/u/0/#all/{quote(thread.id, safe='')}"),
        replied_at=next((message.sent_at for message in later if "SENT" in message.label_ids), None),
    )


def _is_inquiry(message: Message) -> bool:
    labels = set(message.label_ids)
    return "SENT" not in labels and not labels & UNWANTED and message.header("List-Unsubscribe") is None


THREADS = Items(shape=Thread, context=MailContext, parse=parse_thread)

INQUIRIES = Stream(
    name="inquiries",
    record=InquiryRecord,
    items=THREADS,
    cursor=MailboxCursor,
    fetch=fetch_inquiries,
    frequency="every 15 minutes",
    scopes=(f"{SCOPE}.metadata", f"{SCOPE}.readonly", f"{SCOPE}.modify", "https://mail.google.com/"),
    restricted=True,  # all that read messages are: support.google.com/cloud/answer/13464325
    fetch_window=fetch_inquiries_of,
    slice_days=3660,  # in one go: without the search every slice would begin at the newest thread
    api="gmail",
)
