"""Mail threads as inquiries: what each field comes from, what is no inquiry, and how changes are followed."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import ContractChanged, CursorExpired, RateLimited
from chalicelib.platforms.base import Platform
from chalicelib.platforms.client import Client
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.google.gmail import INQUIRIES, MailboxCursor, Thread, parse_thread
from chalicelib.platforms.records import InquiryRecord
from tests.http_fake import Fake, Reply

ClientOf = Callable[[Platform], Client]

PAYLOAD = (Path(__file__).parent / "payloads" / "google" / "thread.json").read_bytes()
BASE = "/gmail.googleapis.com/gmail/v1/users/me"


def message(at: int, *labels: str, **headers: str) -> dict[str, Any]:
    named = [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]
    return {"id": str(at), "internalDate": str(at), "labelIds": list(labels), "payload": {"headers": named}}


def thread(*messages: dict[str, Any]) -> Thread:
    return msgspec.convert({"id": "t1", "messages": list(messages)}, Thread)


def test_a_thread_becomes_an_inquiry() -> None:
    assert parse_thread(msgspec.json.decode(PAYLOAD, type=Thread)) == InquiryRecord(
        external_id="18f2aa01",
        channel="email",
        received_at=datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        contact_name="Ana Ruíz",
        contact_email="ana@example.com",
        subject="Wedding – 12 June",
        message="Hello, we're looking for someone on 12 June & wonder",
        url="https://mail.google.com/mail/u/0/#all/18f2aa01",
        replied_at=datetime(2026, 9, 21, 15, 13, 20, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [message(1, "DRAFT")],
        [message(1, "SENT"), message(2, "INBOX")],
        [message(1, "SPAM")],
        [message(1, "TRASH"), message(2, "INBOX")],
        [message(1, "INBOX", "CATEGORY_PROMOTIONS")],
        [message(1, "INBOX", list_unsubscribe="<https://x.test>")],
    ],
    ids=["empty", "draft", "the studio's own", "spam", "trash", "promotion", "newsletter"],
)
def test_what_nobody_asked_is_no_inquiry(messages: list[dict[str, Any]]) -> None:
    assert parse_thread(thread(*messages)) is None


def test_a_thread_without_labels_headers_or_an_answer_is_an_inquiry_all_the_same() -> None:
    bare = parse_thread(msgspec.convert({"id": "t1", "messages": [{"internalDate": "0"}]}, Thread))
    assert bare
    assert (bare.contact_email, bare.subject, bare.message, bare.replied_at) == (None, None, None, None)
    assert bare.received_at == datetime(1970, 1, 1, tzinfo=UTC)


@given(
    st.lists(st.tuples(st.integers(0, 10**14 - 1), st.sampled_from(["INBOX", "SENT", "DRAFT"]), st.text(max_size=40)))
)
def test_any_thread_is_a_storable_inquiry_or_none(messages: list[tuple[int, str, str]]) -> None:
    parsed = thread(*(message(at, label, From=text, Subject=text) for at, label, text in messages))
    record = parse_thread(parsed)
    if record:
        assert record.replied_at is None or record.replied_at >= record.received_at
        assert b"\\u0000" not in msgspec.json.encode(record)


def test_the_first_run_reads_where_history_stands_before_it_lists_all_threads(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/profile", Reply({"emailAddress": "lena@example.com", "historyId": "991300"}))
    fake.on(
        f"{BASE}/threads",
        Reply({"threads": [{"id": "18f2aa01"}, {"id": "gone"}], "nextPageToken": "p2", "resultSizeEstimate": 2}),
        Reply({"resultSizeEstimate": 0}),
    )
    fake.on(f"{BASE}/threads/18f2aa01", Reply(body=PAYLOAD))
    client = client_of(GOOGLE)
    first = INQUIRIES.fetch_page(client, None)
    assert fake.paths() == [f"{BASE}/{path}" for path in ("profile", "threads", "threads/18f2aa01", "threads/gone")]
    assert [record.external_id for record in first.records] == ["18f2aa01"]
    assert (first.last, first.cursor) == (False, MailboxCursor("991300", listing=True, page_token="p2"))
    last = INQUIRIES.fetch_page(client, msgspec.json.encode(first.cursor).decode())
    assert (last.records, last.last, last.cursor) == ([], True, MailboxCursor("991300"))
    assert fake.requests[-1].query == [("maxResults", "50"), ("pageToken", "p2")]
    assert client.api_calls == 5


def test_threads_are_read_by_their_headers_alone(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/threads", Reply({"threads": [{"id": "18f2aa01"}]}))
    fake.on(f"{BASE}/threads/18f2aa01", Reply(body=PAYLOAD))
    INQUIRIES.fetch(client_of(GOOGLE), MailboxCursor("1", listing=True))
    assert fake.requests[1].query[0] == ("format", "metadata")
    names = ["From", "To", "Subject", "Date", "List-Unsubscribe"]
    assert fake.requests[1].query[1:] == [("metadataHeaders", name) for name in names]


def added(*thread_ids: str) -> dict[str, Any]:
    return {"messagesAdded": [{"message": {"id": "m", "threadId": thread_id}} for thread_id in thread_ids]}


def test_the_next_run_reads_each_changed_thread_once(fake: Fake, client_of: ClientOf) -> None:
    fake.on(
        f"{BASE}/history",
        Reply(
            {
                "history": [added("18f2aa01"), added("18f2aa01", "gone"), {"id": "5"}],
                "historyId": "99",
                "nextPageToken": "p2",
            }
        ),
        Reply({"historyId": "100"}),
    )
    fake.on(f"{BASE}/threads/18f2aa01", Reply(body=PAYLOAD))
    client = client_of(GOOGLE)
    first = INQUIRIES.fetch(client, MailboxCursor("98"))
    assert fake.paths() == [f"{BASE}/{path}" for path in ("history", "threads/18f2aa01", "threads/gone")]
    assert (len(first.records), first.last, first.cursor) == (1, False, MailboxCursor("98", page_token="p2"))
    last = INQUIRIES.fetch(client, first.cursor)
    # As numbers: as text, "98" would come after "100".
    assert (last.records, last.last, last.cursor) == ([], True, MailboxCursor("100"))
    start = [("startHistoryId", "98"), ("historyTypes", "messageAdded")]
    assert fake.requests[0].query == [("maxResults", "50"), *start]
    assert fake.requests[-1].query == [("maxResults", "50"), ("pageToken", "p2"), *start]


def test_history_never_goes_back(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/history", Reply({"historyId": "99"}))
    assert INQUIRIES.fetch(client_of(GOOGLE), MailboxCursor("100")).cursor == MailboxCursor("100")


def test_history_that_is_too_old_means_reading_from_the_start(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/history", Reply({"error": {"code": 404}}, status=404))
    with pytest.raises(CursorExpired):
        INQUIRIES.fetch(client_of(GOOGLE), MailboxCursor("1"))


def test_a_rate_limit_within_a_page_ends_it(fake: Fake, client_of: ClientOf) -> None:
    fake.on(f"{BASE}/threads", Reply({"threads": [{"id": "a"}, {"id": "b"}]}))
    fake.on(f"{BASE}/threads/a", Reply({}, status=429))
    with pytest.raises(RateLimited):
        INQUIRIES.fetch(client_of(GOOGLE), MailboxCursor("1", listing=True))
    assert fake.paths()[-1] == f"{BASE}/threads/a"


@pytest.mark.parametrize("history_id", [7, "", "x", "１", "1" * 30])
def test_a_history_id_that_is_no_number_is_a_changed_contract(
    fake: Fake, client_of: ClientOf, history_id: object
) -> None:
    fake.on(f"{BASE}/profile", Reply({"historyId": history_id}))
    with pytest.raises(ContractChanged, match="historyId"):
        INQUIRIES.fetch(client_of(GOOGLE), None)
