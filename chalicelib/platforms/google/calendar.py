"""The stream `bookings`: events of the grant's calendars (Calendar API v3)."""

import logging
from datetime import datetime, time, timedelta

import msgspec
from msgspec import Raw

from chalicelib import logs
from chalicelib.errors import AccountGone, AnswerTooLarge, ScopeMissing, TransientFault
from chalicelib.platforms.core.accounts import FoundAccount, FoundAccounts
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import AccountKind, Page, Stream, Window
from chalicelib.platforms.core.decoding import decode_leniently
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.core.urls import Url, url_of
from chalicelib.platforms.google.events import EVENTS, CalendarContext, zone_of

BASE_URL = "https://www.googleapis.com/calendar/v3"
SCOPE = "https://www.googleapis.com/auth/calendar"
PRIMARY = "primary"
"""Google's alias for the grant's own calendar, whatever its id is."""
PAGE_SIZES = (1000, 100, 10)
"""One page is one statement; Google allows 2500. The smaller sizes are for events whose response would be too large."""

CALENDAR_LIST = url_of(f"{BASE_URL}/users/me/calendarList")
CALENDAR_LIST_PARAMS = (("maxResults", "250"), ("minAccessRole", "reader"))
"""Calendars that share only free/busy times have no events to read."""
MOST_LIST_PAGES = 20

# The same for every request: a sync token only continues a list with the same parameters, and excludes orderBy and
# timeMin.
LIST_PARAMS = (("singleEvents", "true"), ("eventTypes", "default"))


class CalendarCursor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page within a list, or (with a sync token alone) the start of the next list of changes.

    Earlier releases kept the calendar in it; such a cursor does not decode and so counts as expired.
    """

    page_token: str | None = None
    sync_token: str | None = None


class CalendarEntry(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    summary: str | None = None
    summary_override: str | None = None
    time_zone: str | None = None
    primary: bool = False


class CalendarList(msgspec.Struct, frozen=True, rename="camel"):
    items: list[Raw] = []
    next_page_token: str | None = None


class Events(msgspec.Struct, frozen=True, rename="camel"):
    """Only the last page has a `next_sync_token`. The list ends when `next_page_token` is absent or empty."""

    items: list[Raw] = []
    time_zone: str | None = None
    next_page_token: str | None = None
    next_sync_token: str | None = None


def list_calendars(client: Client) -> FoundAccounts:
    """All calendars whose events the grant may read; only the primary one is read until the studio decides otherwise.

    `calendar.events.readonly` alone reads events, but cannot see whose calendar they are in.
    """
    calendars: list[FoundAccount] = []
    complete, page_token = True, None
    for _ in range(MOST_LIST_PAGES):
        try:
            page = client.get(CALENDAR_LIST, [*CALENDAR_LIST_PARAMS, *_page_param(page_token)], into=CalendarList)
        except ScopeMissing:
            return _primary_calendar(client)
        entries = [_read_entry(raw) for raw in page.items]
        calendars += [_described(entry) for entry in entries if entry is not None]
        complete = complete and None not in entries
        page_token = page.next_page_token or None
        if page_token is None:
            return FoundAccounts(calendars, complete)
    raise TransientFault(internal="the list of calendars never ends")


def _primary_calendar(client: Client) -> FoundAccounts:
    events = client.get(_events_url(PRIMARY), [("maxResults", "1"), *LIST_PARAMS], into=Events)
    return FoundAccounts([FoundAccount(time_zone=clean(events.time_zone), is_primary=True)], complete=False)


def _read_entry(raw: Raw) -> CalendarEntry | None:
    try:
        return decode_leniently(raw, CalendarEntry)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        logs.event("calendar.unreadable", level=logging.WARNING)
        return None


def _described(entry: CalendarEntry) -> FoundAccount:
    return FoundAccount(
        external_id=clean(entry.id),
        name=clean(entry.summary_override) or clean(entry.summary),
        time_zone=clean(entry.time_zone),
        is_primary=entry.primary,
        selected=entry.primary,
    )


def fetch_bookings(client: Client, cursor: CalendarCursor | None) -> Page[CalendarCursor]:
    """A list that ends without a sync token leaves no cursor: the next read returns everything again."""
    start = cursor or CalendarCursor()
    params = [("syncToken", start.sync_token)] if start.sync_token else []
    events = _list(client, start, params)
    page_token = events.next_page_token or None
    sync_token = start.sync_token if page_token else events.next_sync_token or None
    following = CalendarCursor(page_token, sync_token) if page_token or sync_token else None
    return _page(client, events, following)


def fetch_bookings_of(client: Client, window: Window, cursor: CalendarCursor | None) -> Page[CalendarCursor]:
    """The events that take place on these days, in the calendar's zone."""
    zone = zone_of(client.account.time_zone or "UTC")
    bounds = [
        ("timeMin", datetime.combine(window.first, time.min, zone).isoformat()),
        ("timeMax", datetime.combine(window.last + timedelta(days=1), time.min, zone).isoformat()),
    ]
    events = _list(client, cursor or CalendarCursor(), bounds)
    page_token = events.next_page_token or None
    return _page(client, events, CalendarCursor(page_token) if page_token else None)


def _list(client: Client, cursor: CalendarCursor, params: list[tuple[str, str]]) -> Events:
    """One page, with as many events as Google can return."""
    page = _page_param(cursor.page_token)
    *larger, smallest = ([("maxResults", str(size)), *LIST_PARAMS, *params, *page] for size in PAGE_SIZES)
    for query in larger:
        try:
            return _find(client, query)
        except AnswerTooLarge:
            continue
    return _find(client, smallest)


def _page_param(token: str | None) -> list[tuple[str, str]]:
    return [("pageToken", token)] if token else []


def _find(client: Client, params: list[tuple[str, str]]) -> Events:
    events = client.find(_events_url(client.account.external_id or PRIMARY), params, into=Events)
    if events is None:
        raise AccountGone("The calendar was deleted, or is no longer shared with the connected account")
    return events


def _page(client: Client, events: Events, following: CalendarCursor | None) -> Page[CalendarCursor]:
    account = client.account
    zone = events.time_zone or account.time_zone or "UTC"
    context = CalendarContext(account.external_id, zone, account.rule, account.words, account.own_address)
    return Page.of(EVENTS.read(events.items, context), following, last=not events.next_page_token)


def _events_url(calendar_id: str) -> Url:
    return url_of(BASE_URL + "/calendars/{calendar}/events", calendar=calendar_id)


BOOKINGS = Stream(
    name="bookings",
    items=(EVENTS,),
    cursor=CalendarCursor,
    fetch=fetch_bookings,
    frequency="every 15 minutes",
    scopes=(
        (
            f"{SCOPE}.events.readonly",
            f"{SCOPE}.readonly",
            f"{SCOPE}.events",
            SCOPE,
            f"{SCOPE}.events.owned.readonly",
            f"{SCOPE}.events.owned",
        ),
    ),
    # To list the grant's calendars, and for the id of its own, which is the studio's address.
    helpful_scopes=(f"{SCOPE}.calendarlist.readonly",),
    complete=True,
    accounts=AccountKind("calendar", list_calendars),
    fetch_window=fetch_bookings_of,
    slice_days=366,
    api="calendar",
)
