"""Reading a mailbox: all threads, then changes, page by page, under any quota and with any odd entries."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from chalicelib.errors import AnswerTooLarge, ContractChanged, CursorExpired, RateLimited, TransientFault
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Platform, Window
from chalicelib.platforms.core.faults import Fault
from chalicelib.platforms.core.items import SetAside
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.google.gmail import FIRST_READ, INQUIRIES, MailboxCursor, fetch_inquiries_of
from chalicelib.platforms.google.mailbox import THREAD_PARAMS
from chalicelib.secret import Secret
from tests.http_fake import Fake, Reply
from tests.platforms.gmail_threads import OWN, message, thread

ClientOf = Callable[[Platform], Client]

BASE = "/gmail.googleapis.com/gmail/v1/users/me"
PROFILE = Reply({"emailAddress": OWN, "historyId": "991300"})
LIMITED = Reply({}, status=429)
CHANGES = [("historyTypes", kind) for kind in ("messageAdded", "messageDeleted", "labelAdded", "labelRemoved")]


SINCE = datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC) - FIRST_READ
"""Of a mailbox whose newest message is the one that `serve` serves"""


def listing(**fields: Any) -> MailboxCursor:
    return MailboxCursor("991300", listing=True, own=OWN, **fields)


def changes(history_id: str, **fields: Any) -> MailboxCursor:
    return MailboxCursor(history_id, own=OWN, **fields)


def serve(fake: Fake, *thread_ids: str) -> None:
    for thread_id in thread_ids:
        fake.on(f"{BASE}/threads/{thread_id}", Reply(thread(message(1, "INBOX"), thread_id=thread_id)))


def listed(*thread_ids: Any, **more: Any) -> Reply:
    return Reply({"threads": [{"id": thread_id} for thread_id in thread_ids], **more})


def stored(page: Page[Any]) -> list[str]:
    return [record.external_id for record in page.records]


def left_out(page: Page[Any]) -> dict[str, str]:
    return {skipped.external_id: skipped.reason for skipped in page.skipped}


def run(client: Client, cursor: MailboxCursor | None = None) -> tuple[list[str], int]:
    """What a run has stored at its end, and how often a limit stopped it."""
    ids: list[str] = []
    stops = 0
    for _ in range(300):
        try:
            page = INQUIRIES.fetch_page(client, None if cursor is None else msgspec.json.encode(cursor).decode())
        except (RateLimited, TransientFault):
            stops += 1
            continue
        ids += stored(page)
        cursor = page.cursor
        if page.last:
            return ids, stops
    raise AssertionError(f"no end after {len(ids)} threads")


# All threads


def test_the_first_run_reads_the_history_id_before_listing_threads(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/profile", PROFILE)
    fake.on(f"{BASE}/threads", listed("a", "gone", nextPageToken="p2"), Reply({"resultSizeEstimate": 0}))
    serve(fake, "a")
    client = client_of(GOOGLE)
    first = INQUIRIES.fetch_page(client, None)
    assert fake.paths() == [f"{BASE}/{path}" for path in ("profile", "threads", "threads/a", "threads/gone")]
    assert (stored(first), left_out(first)) == (["a"], {"gone": "deleted"})
    assert (first.last, first.cursor) == (False, listing(page_token="p2", since=SINCE))
    last = INQUIRIES.fetch_page(client, msgspec.json.encode(first.cursor).decode())
    assert (last.records, last.last, last.cursor) == ([], True, changes("991300"))
    assert fake.requests[-1].query == [("maxResults", "50"), ("pageToken", "p2"), ("includeSpamTrash", "true")]
    assert client.api_calls == 5


def test_threads_are_read_by_their_headers_alone(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/threads", listed("a"))
    serve(fake, "a")
    INQUIRIES.fetch(client_of(GOOGLE), listing())
    assert fake.requests[1].query == list(THREAD_PARAMS)
    assert THREAD_PARAMS[0] == ("format", "metadata")
    assert {"From", "Reply-To", "List-Unsubscribe", "Auto-Submitted"} <= {value for _, value in THREAD_PARAMS}


def test_an_empty_token_ends_a_list(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/threads", listed(nextPageToken=""))
    fake.on(f"{BASE}/history", Reply({"historyId": "991301", "nextPageToken": ""}))
    page = INQUIRIES.fetch(client_of(GOOGLE), listing())
    assert (page.last, page.cursor) == (True, changes("991300"))
    page = INQUIRIES.fetch(client_of(GOOGLE), page.cursor)
    assert (page.last, page.cursor) == (True, changes("991301"))


# Changes


def change(member: str, thread_id: Any, *labels: str, of_message: list[str] | None = None) -> dict[str, Any]:
    named: dict[str, Any] = {"id": "m", "threadId": thread_id}
    entry: dict[str, Any] = {"message": named if of_message is None else {**named, "labelIds": of_message}}
    return {"id": "5", "messages": [named], member: [{**entry, "labelIds": list(labels)} if labels else entry]}


def test_a_later_run_reads_each_changed_thread_once(fake: Fake, client_of: ClientOf) -> None:
    page = [change("messagesAdded", "a"), change("messagesAdded", "a"), change("messagesAdded", "gone"), {"id": "5"}]
    fake.on(
        f"{BASE}/history",
        Reply({"history": page, "historyId": "99", "nextPageToken": "p2"}),
        Reply({"historyId": "100"}),
    )
    serve(fake, "a")
    client = client_of(GOOGLE)
    first = INQUIRIES.fetch(client, changes("98"))
    assert fake.paths() == [f"{BASE}/{path}" for path in ("history", "threads/a", "threads/gone")]
    assert (stored(first), left_out(first)) == (["a"], {"gone": "deleted"})
    assert (first.last, first.cursor) == (False, changes("98", page_token="p2"))
    last = INQUIRIES.fetch(client, first.cursor)
    # As numbers: as text, "98" would come after "100".
    assert (last.records, last.last, last.cursor) == ([], True, changes("100"))
    start = [("startHistoryId", "98"), *CHANGES]
    assert fake.requests[0].query == [("maxResults", "50"), *start]
    assert fake.requests[-1].query == [("maxResults", "50"), ("pageToken", "p2"), *start]


@pytest.mark.parametrize(
    "change",
    [
        change("labelsRemoved", "a", "SPAM"),
        change("labelsAdded", "a", "INBOX", "TRASH"),
        change("labelsRemoved", "a", "CATEGORY_PROMOTIONS"),
        change("messagesDeleted", "a"),
        change("messagesDeleted", "a", of_message=["TRASH"]),
        change("messagesAdded", "a", of_message=["INBOX"]),
        {"labelsRemoved": [{"message": {"threadId": "a"}, "labelIds": None}]},
        {"labelsRemoved": [{"message": {"threadId": "a"}}]},
    ],
)
def test_relevant_changes_are_read(fake: Fake, client_of: ClientOf, change: dict[str, Any]) -> None:
    fake.on(f"{BASE}/history", Reply({"history": [change], "historyId": "99"}))
    serve(fake, "a")
    assert stored(INQUIRIES.fetch(client_of(GOOGLE), changes("98"))) == ["a"]


@pytest.mark.parametrize(
    "change",
    [
        change("labelsRemoved", "a", "UNREAD"),
        change("labelsRemoved", "a", "INBOX"),
        change("labelsAdded", "a", "STARRED", "Label_7"),
        change("messagesAdded", "a", of_message=["DRAFT"]),
        change("messagesDeleted", "a", of_message=["DRAFT"]),
    ],
)
def test_reading_archiving_and_drafting_cost_no_request(
    fake: Fake, client_of: ClientOf, change: dict[str, Any]
) -> None:
    fake.on(f"{BASE}/history", Reply({"history": [change], "historyId": "99"}))
    client = client_of(GOOGLE)
    assert INQUIRIES.fetch(client, changes("98")).cursor == changes("99")
    assert client.api_calls == 1


def test_history_never_goes_back(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/history", Reply({"historyId": "99"}))
    assert INQUIRIES.fetch(client_of(GOOGLE), changes("100")).cursor == changes("100")


def test_expired_history_restarts_the_read(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/history", Reply({"error": {"code": 404}}, status=404))
    with pytest.raises(CursorExpired):
        INQUIRIES.fetch(client_of(GOOGLE), changes("1"))


def test_an_old_cursor_without_the_address_fetches_it_once(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/profile", PROFILE)
    fake.on(f"{BASE}/history", Reply({"historyId": "99"}))
    client = client_of(GOOGLE)
    page = INQUIRIES.fetch_page(client, '{"history_id":"98","listing":false,"page_token":null,"searching":true}')
    assert page.cursor == changes("99")
    INQUIRIES.fetch(client, page.cursor)
    assert fake.paths() == [f"{BASE}/{path}" for path in ("profile", "history", "history")]


# Quotas


@pytest.mark.parametrize("fault", [LIMITED, Reply({}, status=503), Reply(breaks=True), Reply(body=b"<html>")])
def test_a_fault_during_a_page_keeps_what_was_read(fake: Fake, client_of: ClientOf, fault: Reply) -> None:
    fake.on(f"{BASE}/threads", listed("a", "b", "c", nextPageToken="p2"))
    serve(fake, "a", "c")
    fake.on(f"{BASE}/threads/b", fault, Reply(thread(message(1, "INBOX"), thread_id="b")))
    client = client_of(GOOGLE)
    page = INQUIRIES.fetch(client, listing())
    assert (stored(page), page.last, page.cursor) == (
        ["a"],
        False,
        listing(page_token="p2", waiting=("b", "c"), since=SINCE, newest=SINCE + FIRST_READ),
    )
    rest = INQUIRIES.fetch(client, page.cursor)
    assert (stored(rest), rest.last, rest.cursor) == (["b", "c"], False, listing(page_token="p2", since=SINCE))
    assert fake.paths().count(f"{BASE}/threads") == 1


def test_a_fault_without_progress_is_raised(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/threads/a", LIMITED)
    with pytest.raises(RateLimited):
        INQUIRIES.fetch(client_of(GOOGLE), listing(waiting=("a",)))
    fake.on(f"{BASE}/threads", LIMITED)
    with pytest.raises(RateLimited):
        INQUIRIES.fetch(client_of(GOOGLE), listing())
    fake.on(f"{BASE}/profile", LIMITED)
    with pytest.raises(RateLimited):
        INQUIRIES.fetch(client_of(GOOGLE), None)


def test_threads_that_were_read_are_not_requested_again(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/profile", PROFILE)
    fake.on(f"{BASE}/threads", LIMITED, listed("a"))
    fake.on(f"{BASE}/threads/a", LIMITED, Reply(thread(message(1, "INBOX"), thread_id="a")))
    client = client_of(GOOGLE)
    assert run(client) == (["a"], 0)  # each limit ended a page that had records to keep
    assert fake.paths() == [f"{BASE}/{path}" for path in ("profile", "threads", "threads", "threads/a", "threads/a")]


def test_changes_continue_where_a_limit_stopped_them(fake: Fake, client_of: ClientOf) -> None:
    page = [change("messagesAdded", "a"), change("messagesAdded", "b")]
    fake.on(f"{BASE}/history", Reply({"history": page, "historyId": "99"}))
    serve(fake, "a")
    fake.on(f"{BASE}/threads/b", LIMITED, Reply(thread(message(1, "INBOX"), thread_id="b")))
    client = client_of(GOOGLE)
    first = INQUIRIES.fetch(client, changes("98"))
    assert (stored(first), first.last, first.cursor) == (["a"], False, changes("99", waiting=("b",)))
    last = INQUIRIES.fetch(client, first.cursor)
    assert (stored(last), last.last, last.cursor) == (["b"], True, changes("99"))


def test_a_page_of_slow_threads_ends_early(fake: Fake) -> None:
    fake.on(f"{BASE}/threads", listed("a", "b", "c"))
    serve(fake, "a", "b", "c")
    seconds = count()
    clock = lambda: datetime(2026, 11, 30, tzinfo=UTC) + timedelta(seconds=20 * next(seconds))  # noqa: E731
    client = Client(GOOGLE, Secret("ya29.canary"), sandbox_url=fake.url, now=clock)
    page = INQUIRIES.fetch(client, listing())
    assert stored(page) == ["a", "b"]
    assert page.cursor == listing(waiting=("c",), since=SINCE, newest=SINCE + FIRST_READ)


def test_many_changes_on_one_page_are_read_in_parts(fake: Fake, client_of: ClientOf) -> None:
    ids = [f"t{number}" for number in range(120)]
    fake.on(
        f"{BASE}/history", Reply({"history": [change("labelsAdded", each, "TRASH") for each in ids], "historyId": "9"})
    )
    serve(fake, *ids)
    assert run(client_of(GOOGLE), changes("8")) == (ids, 0)
    assert fake.paths().count(f"{BASE}/history") == 1


def test_a_cursor_stays_small(fake: Fake, client_of: ClientOf) -> None:
    ids = [f"t{number}" for number in range(1001)]
    fake.on(f"{BASE}/threads", listed(*ids))
    fake.on(f"{BASE}/history", Reply({"history": [change("messagesAdded", each) for each in ids], "historyId": "9"}))
    with pytest.raises(ContractChanged):
        INQUIRIES.fetch(client_of(GOOGLE), listing())
    with pytest.raises(CursorExpired):
        INQUIRIES.fetch(client_of(GOOGLE), changes("8"))


# Odd responses


ODD: list[Any] = [None, True, 5, 1.5, "", "x" * 65, "\x07", [], {}, {"id": None}, {"id": 5}]


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_list_entry_hides_no_other(fake: Fake, client_of: ClientOf, odd: Any) -> None:
    entries = [{"id": "a"}, odd if isinstance(odd, dict | list | bool) else {"id": odd}, {"id": "b"}]
    fake.on(f"{BASE}/threads", Reply({"threads": entries}))
    serve(fake, "a", "b")
    page = INQUIRIES.fetch(client_of(GOOGLE), listing())
    assert (stored(page), page.last) == (["a", "b"], True)
    (set_aside,) = page.set_aside
    assert set_aside.reason
    assert isinstance(INQUIRIES.items[0].read_again(set_aside.content), SetAside)


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_change_hides_no_other(fake: Fake, client_of: ClientOf, odd: Any) -> None:
    fake.on(
        f"{BASE}/history",
        Reply({"history": [change("messagesAdded", "a"), odd, change("messagesAdded", odd)], "historyId": "99"}),
        Reply(
            {
                "history": [
                    {"messagesAdded": odd, "labelsAdded": [odd, *change("messagesAdded", "b")["messagesAdded"]]}
                ],
                "historyId": "99",
            }
        ),
    )
    serve(fake, "a", "b", "x" * 65)
    client = client_of(GOOGLE)
    assert stored(INQUIRIES.fetch(client, changes("98"))) == ["a"]
    assert stored(INQUIRIES.fetch(client, changes("98"))) == ["b"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_labels_hide_no_change(fake: Fake, client_of: ClientOf, odd: Any) -> None:
    named = {"threadId": "a", "labelIds": [odd]}
    entries = [{"message": named, "labelIds": odd}, {"message": named, "labelIds": [odd, "SPAM"]}]
    fake.on(f"{BASE}/history", Reply({"history": [{"labelsAdded": entries}], "historyId": "99"}))
    serve(fake, "a")
    assert stored(INQUIRIES.fetch(client_of(GOOGLE), changes("98"))) == ["a"]


def test_an_unreadable_thread_hides_no_other(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/threads", listed("a", "odd", "large", "b"))
    serve(fake, "a", "b")
    fake.on(f"{BASE}/threads/odd", Reply({"id": "odd", "messages": [{"internalDate": "-1"}]}))
    fake.on(f"{BASE}/threads/large", Reply(status=413))
    page = INQUIRIES.fetch(client_of(replace(GOOGLE, classify=refuse_large)), listing())
    assert (stored(page), page.last) == (["a", "b"], True)
    assert {each.external_id: each.reason for each in page.set_aside} == {
        "odd": "has no message with a time",
        "large": "is too large to be read",
    }
    for set_aside in page.set_aside:
        assert isinstance(INQUIRIES.items[0].read_again(set_aside.content), SetAside)


def refuse_large(response: PlatformResponse) -> Fault | None:
    return Fault(AnswerTooLarge) if response.status == 413 else None


@pytest.mark.parametrize("history_id", [7, "", "x", "１", "1" * 30])
def test_a_history_id_must_be_a_number(fake: Fake, client_of: ClientOf, history_id: object) -> None:
    fake.on(f"{BASE}/profile", Reply({"historyId": history_id}))
    with pytest.raises(ContractChanged, match="historyId"):
        INQUIRIES.fetch(client_of(GOOGLE), None)


@pytest.mark.parametrize("address", [None, 5, [], ""])
def test_a_profile_may_lack_an_address(fake: Fake, client_of: ClientOf, address: object) -> None:
    fake.on(f"{BASE}/profile", Reply({"historyId": "1", "emailAddress": address}))
    fake.on(f"{BASE}/threads", listed("a"))
    serve(fake, "a")
    assert stored(INQUIRIES.fetch(client_of(GOOGLE), None)) == ["a"]


# The first read

MONTHS = 31 * 24 * 3600 * 1000


def test_a_first_read_ends_thirteen_months_before_the_newest_mail(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/profile", PROFILE)
    pages = [
        listed("new", "year", nextPageToken="2"),
        listed("edge", "old1", nextPageToken="3"),
        listed("old2", "old3", nextPageToken="4"),
    ]
    fake.on(f"{BASE}/threads", *pages)
    for thread_id, month in {"new": 40, "year": 28, "edge": 28, "old1": 20, "old2": 19, "old3": 1}.items():
        fake.on(f"{BASE}/threads/{thread_id}", Reply(thread(message(month * MONTHS, "INBOX"), thread_id=thread_id)))
    client = client_of(GOOGLE)
    assert run(client) == (["new", "year", "edge"], 0)
    assert fake.paths().count(f"{BASE}/threads") == 3
    assert not [request for request in fake.requests if "q" in dict(request.query)]


def test_an_old_thread_with_new_mail_is_part_of_a_first_read(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/threads", listed("both"))
    fake.on(
        f"{BASE}/threads/both",
        Reply(thread(message(0, "INBOX"), message(40 * MONTHS, "INBOX"), thread_id="both")),
    )
    page = INQUIRIES.fetch(client_of(GOOGLE), listing())
    assert (stored(page), page.last, page.cursor) == (["both"], True, changes("991300"))


def test_mail_from_the_future_does_not_shorten_a_first_read(fake: Fake) -> None:
    fake.on(f"{BASE}/threads", listed("odd", "new", "gone"))
    now = datetime(2026, 11, 30, tzinfo=UTC)
    for thread_id, sent_at in {"odd": datetime(2099, 1, 1, tzinfo=UTC), "new": now - timedelta(days=300)}.items():
        milliseconds = int(sent_at.timestamp()) * 1000
        fake.on(f"{BASE}/threads/{thread_id}", Reply(thread(message(milliseconds, "INBOX"), thread_id=thread_id)))
    client = Client(GOOGLE, Secret("ya29.canary"), sandbox_url=fake.url, now=lambda: now)
    assert stored(INQUIRIES.fetch(client, listing())) == ["odd", "new"]


# Days of the past

WINDOW = Window(date(1970, 1, 3), date(1970, 1, 4))
DAY = 86_400_000


def backfilled(client: Client) -> tuple[list[str], list[MailboxCursor | None]]:
    ids: list[str] = []
    cursors: list[MailboxCursor | None] = [None]
    for _ in range(20):
        page = fetch_inquiries_of(client, WINDOW, cursors[-1])
        ids += stored(page)
        cursors.append(page.cursor)
        if page.last:
            return ids, cursors
    raise AssertionError("no end")


def dated(fake: Fake, **days: int) -> None:
    for thread_id, day in days.items():
        fake.on(f"{BASE}/threads/{thread_id}", Reply(thread(message(day * DAY, "INBOX"), thread_id=thread_id)))


def test_a_backfill_without_search_reads_back_to_its_days(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/profile", PROFILE)
    refused = Reply({"error": {"errors": [{"reason": "forbidden"}]}}, status=403)
    pages = [
        listed("new", "in1", nextPageToken="2"),
        listed("in2", "old1", nextPageToken="3"),
        listed("old2", nextPageToken="4"),
    ]
    fake.on(f"{BASE}/threads", refused, *pages)
    dated(fake, new=9, in1=3, in2=2, old1=0, old2=0)
    ids, _ = backfilled(client_of(GOOGLE))
    assert ids == ["in1", "in2"]


def test_a_backfill_continues_where_a_limit_stopped_it(fake: Fake, client_of: ClientOf) -> None:
    """The page is older than its days only if all of it is, even if it was read in parts."""
    fake.on(f"{BASE}/profile", PROFILE)
    fake.on(f"{BASE}/threads", LIMITED, Reply({}, status=403), listed("in1", "old1", nextPageToken="2"), listed("in2"))
    dated(fake, in1=2, in2=3, old1=0)
    fake.on(f"{BASE}/threads/old1", LIMITED, Reply(thread(message(0, "INBOX"), thread_id="old1")))
    client = client_of(GOOGLE)
    start = fetch_inquiries_of(client, WINDOW, None)
    assert (start.records, start.last) == ([], False)
    fake.on(f"{BASE}/threads", Reply({}, status=403), listed("in1", "old1", nextPageToken="2"), listed("in2"))
    ids, cursors = backfilled(client)
    assert ids == ["in1", "in2"]
    assert [cursor.waiting for cursor in cursors if cursor] == [(), ("old1",), (), ()]
