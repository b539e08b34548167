"""The stream `bookings`: which calendar is requested, page by page, and how its responses are handled."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chalicelib.errors import (
    AccountGone,
    ContractChanged,
    CursorExpired,
    PermissionMissing,
    PlatformError,
    RateLimited,
    TransientFault,
)
from chalicelib.platforms.core.accounts import ConnectedAccount, FoundAccount, FoundAccounts
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Platform, Window
from chalicelib.platforms.core.records import BookingRecord
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.google.calendar import BOOKINGS, CalendarCursor, fetch_bookings_of, list_calendars
from tests.http_fake import Fake, Reply

ClientOf = Callable[[Platform], Client]

PAYLOAD = (Path(__file__).parent / "payloads" / "google" / "events.json").read_bytes()
CALENDAR_LIST = "/www.googleapis.com/calendar/v3/users/me/calendarList"
CALENDAR = "lena#x@example.com"
EVENTS = "/www.googleapis.com/calendar/v3/calendars/lena%23x%40example.com/events"
EVENTS_BY_ALIAS = "/www.googleapis.com/calendar/v3/calendars/primary/events"
LIST = [("maxResults", "1000"), ("singleEvents", "true"), ("eventTypes", "default")]
SCOPE_MISSING = {"error": {"code": 403, "errors": [{"reason": "insufficientPermissions"}]}}


@pytest.fixture
def client(client_of: ClientOf) -> Client:
    """A client with the calendar to read."""
    client = client_of(GOOGLE)
    client.account = ConnectedAccount(external_id=CALENDAR, time_zone="Europe/Berlin")
    return client


def test_all_calendars_are_listed_and_the_primary_one_is_selected(fake: Fake, client_of: ClientOf) -> None:
    own = {"id": CALENDAR, "summary": "lena@example.com", "timeZone": "Europe/Berlin", "primary": True}
    weddings = {"id": "w@group.calendar.google.com", "summary": "Bookings", "summaryOverride": "Weddings"}
    fake.on(CALENDAR_LIST, Reply({"items": [own], "nextPageToken": "p2"}), Reply({"items": [weddings]}))
    accounts = list_calendars(client_of(GOOGLE))
    assert accounts == FoundAccounts(
        [
            FoundAccount(
                external_id=CALENDAR,
                name="lena@example.com",
                time_zone="Europe/Berlin",
                is_primary=True,
                selected=True,
            ),
            FoundAccount(external_id="w@group.calendar.google.com", name="Weddings", selected=False),
        ]
    )
    queries = [request.query for request in fake.requests]
    assert queries[0] == [("maxResults", "250"), ("minAccessRole", "reader")]
    assert queries[1] == [*queries[0], ("pageToken", "p2")]


def test_an_endless_list_is_transient(fake: Fake, client_of: ClientOf) -> None:
    fake.on(CALENDAR_LIST, Reply({"items": [], "nextPageToken": "again"}))
    with pytest.raises(TransientFault):
        list_calendars(client_of(GOOGLE))
    assert len(fake.requests) == 20


def test_an_unreadable_entry_makes_the_list_incomplete(fake: Fake, client_of: ClientOf) -> None:
    fake.on(CALENDAR_LIST, Reply({"items": [{"id": 7}, {"id": CALENDAR, "primary": True}]}))
    accounts = list_calendars(client_of(GOOGLE))
    assert ([account.external_id for account in accounts.accounts], accounts.complete) == ([CALENDAR], False)


def test_without_the_list_scope_the_calendar_has_no_id(fake: Fake, client_of: ClientOf) -> None:
    fake.on(CALENDAR_LIST, Reply(SCOPE_MISSING, status=403))
    fake.on(EVENTS_BY_ALIAS, Reply(body=PAYLOAD))
    own = FoundAccount(time_zone="Europe/Berlin", is_primary=True)
    assert list_calendars(client_of(GOOGLE)) == FoundAccounts([own], complete=False)
    assert fake.requests[1].query[0] == ("maxResults", "1")


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Reply({}, status=404), ContractChanged),
        (Reply({"error": {"code": 403, "errors": [{"reason": "forbidden"}]}}, status=403), PermissionMissing),
        (Reply({"error": {"code": 403, "errors": [{"reason": "rateLimitExceeded"}]}}, status=403), RateLimited),
        (Reply({}, status=503), TransientFault),
    ],
)
def test_any_other_error_of_the_list_is_raised(
    fake: Fake, client_of: ClientOf, refusal: Reply, kind: type[PlatformError]
) -> None:
    fake.on(CALENDAR_LIST, refusal)
    with pytest.raises(kind):
        list_calendars(client_of(GOOGLE))
    assert fake.paths() == [CALENDAR_LIST]


def test_a_full_read_ends_with_a_sync_token(fake: Fake, client: Client) -> None:
    fake.on(EVENTS, Reply(body=PAYLOAD))
    page = BOOKINGS.fetch_page(client, None)
    assert [(request.path, request.query) for request in fake.requests] == [(EVENTS, LIST)]
    assert page.last
    assert page.cursor == CalendarCursor(sync_token="CPDAlvWDx70CEPDAlvWDx70CGAU=")
    assert [record.external_id for record in page.records] == ["evt7k1", "evt8day"]
    assert {record.calendar_id for record in page.records if isinstance(record, BookingRecord)} == {CALENDAR}


def test_a_calendar_without_an_id_is_read_by_its_alias_with_the_same_keys(fake: Fake, client_of: ClientOf) -> None:
    fake.on(EVENTS_BY_ALIAS, Reply(body=PAYLOAD))
    page = BOOKINGS.fetch_page(client_of(GOOGLE), None)
    assert [record.external_id for record in page.records] == ["evt7k1", "evt8day"]
    assert {record.calendar_id for record in page.records if isinstance(record, BookingRecord)} == {None}


def test_later_pages_repeat_the_parameters_and_keep_the_sync_token(fake: Fake, client: Client) -> None:
    cursor = CalendarCursor(sync_token="s1")
    fake.on(
        EVENTS, Reply({"timeZone": "UTC", "nextPageToken": "p2"}), Reply({"timeZone": "UTC", "nextSyncToken": "s2"})
    )
    first = BOOKINGS.fetch(client, cursor)
    assert (first.records, first.last, first.cursor) == ([], False, CalendarCursor("p2", "s1"))
    second = BOOKINGS.fetch(client, first.cursor)
    assert (second.last, second.cursor) == (True, CalendarCursor(None, "s2"))
    assert fake.requests[0].query == [*LIST, ("syncToken", "s1")]
    assert fake.requests[1].query == [*LIST, ("syncToken", "s1"), ("pageToken", "p2")]


@pytest.mark.parametrize("end", [{}, {"nextSyncToken": ""}, {"nextPageToken": "", "nextSyncToken": None}])
@pytest.mark.parametrize("cursor", [None, CalendarCursor(sync_token="s1")])
def test_a_list_that_ends_without_a_sync_token_leaves_no_cursor(
    fake: Fake, client: Client, end: dict[str, Any], cursor: CalendarCursor | None
) -> None:
    fake.on(EVENTS, Reply({"items": [], **end}))
    page = BOOKINGS.fetch(client, cursor)
    assert (page.last, page.cursor) == (True, None)


def test_past_days_are_in_the_calendars_zone(fake: Fake, client: Client) -> None:
    fake.on(EVENTS, Reply({"nextPageToken": "p2"}), Reply({"items": []}))
    window = Window(date(2026, 3, 1), date(2026, 3, 31))
    first = fetch_bookings_of(client, window, None)
    assert fake.requests[0].query[3:] == [
        ("timeMin", "2026-03-01T00:00:00+01:00"),
        ("timeMax", "2026-04-01T00:00:00+02:00"),
    ]
    assert (first.last, first.cursor) == (False, CalendarCursor("p2"))
    last = fetch_bookings_of(client, window, first.cursor)
    assert (last.last, last.cursor) == (True, None)


def test_an_expired_sync_token_or_old_cursor_restarts_the_read(fake: Fake, client: Client) -> None:
    """The last cursor is from an earlier release, which kept the calendar in its cursors and keys."""
    fake.on(EVENTS, Reply({"error": {"code": 410, "errors": [{"reason": "fullSyncRequired"}]}}, status=410))
    current = msgspec.json.encode(CalendarCursor(sync_token="old")).decode()
    before = '{"calendar_id": "lena@example.com", "time_zone": "UTC", "page_token": null, "sync_token": "old"}'
    for stored in (current, '{"since": 5}', "not json", before):
        with pytest.raises(CursorExpired):
            BOOKINGS.fetch_page(client, stored)


def test_a_calendar_that_is_not_found_is_gone(fake: Fake, client: Client) -> None:
    fake.on(EVENTS, Reply({}, status=404))
    for cursor in (CalendarCursor("p2"), CalendarCursor(sync_token="s1"), None):
        with pytest.raises(AccountGone):
            BOOKINGS.fetch(client, cursor)
    with pytest.raises(AccountGone):
        fetch_bookings_of(client, Window(date(2026, 3, 1), date(2026, 3, 31)), None)
