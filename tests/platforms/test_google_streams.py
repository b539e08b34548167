"""Google's streams end to end against the sandbox: in full, by changes, and after Google expired the position."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
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
    TokenExpired,
    TokenRevoked,
    TransientFault,
)
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.accounts import ConnectedAccount, FoundAccount
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.platforms.core.items import Skipped
from chalicelib.platforms.core.records import BookingRecord
from chalicelib.platforms.google import GOOGLE, identify
from chalicelib.platforms.google.calendar import BOOKINGS, list_calendars
from chalicelib.platforms.google.gmail import INQUIRIES
from chalicelib.secret import Secret
from chalicelib.settings import OAuthClient
from dev.sandbox import CLIENT_ID, CLIENT_SECRET, DEFAULT_SCOPES, Grant, Sandbox, issue_token
from tests.conftest import TODAY
from tests.platforms.gmail_threads import judge_record, leads_of


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(today=TODAY) as started:
        yield started


def client_for(sandbox: Sandbox, grant: Grant | None = None, refresh: Callable[[], Secret] | None = None) -> Client:
    return Client(GOOGLE, Secret((grant or issue_token()).access_token), sandbox_url=sandbox.url, refresh=refresh)


def read(stream: Stream[Any], client: Client, cursor: str | None = None) -> tuple[list[Any], list[str], str]:
    """All pages of one run: the records, the deleted ids, and the stored cursor."""
    records: list[Any] = []
    deleted: list[str] = []
    for _ in range(200):
        page: Page[Any] = stream.fetch_page(client, cursor)
        records += page.records
        deleted += [gone.external_id for gone in page.deleted]
        cursor = msgspec.json.encode(page.cursor).decode()
        if page.last:
            return records, deleted, cursor
    raise AssertionError("the stream never ends")


def pages_of(client: Client, cursor: str | None = None) -> list[Page[Any]]:
    """All pages of one run over a mailbox."""
    pages = [INQUIRIES.fetch_page(client, cursor)]
    while not pages[-1].last:
        pages.append(INQUIRIES.fetch(client, pages[-1].cursor))
    return pages


def refresh(sandbox: Sandbox, grant: Grant) -> oauth2.TokenGrant:
    return oauth2.refresh(
        GOOGLE,
        client=OAuthClient(CLIENT_ID, (Secret(CLIENT_SECRET),)),
        access_token=Secret(grant.access_token),
        refresh_token=Secret(grant.refresh_token),
        sandbox_url=sandbox.url,
    )


def test_the_account_is_identified_with_its_scopes(sandbox: Sandbox) -> None:
    account = identify(client_for(sandbox))
    assert account.external_id
    assert account.name
    assert account.scopes == DEFAULT_SCOPES
    for stream in GOOGLE.streams:
        assert stream.is_covered_by(DEFAULT_SCOPES)


def test_a_calendar_is_read_in_full_and_then_by_changes(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    records, _, cursor = read(BOOKINGS, client)
    assert {"wedding", "engagement", "portrait", "consultation"} <= {record.event_type for record in records}
    assert len({record.external_id for record in records}) == len(records) > 20
    assert all(isinstance(record, BookingRecord) for record in records)

    assert read(BOOKINGS, client, cursor)[:2] == ([], [])
    first, second = records[0].external_id, records[1].external_id
    sandbox.google.update_event(first, {"summary": "Family Keller"})
    sandbox.google.delete_event(second)
    changed, deleted, _ = read(BOOKINGS, client, cursor)
    assert [(record.external_id, record.title) for record in changed] == [(first, "Family Keller")]
    assert deleted == [second]


def test_events_that_are_not_bookings_are_skipped_with_a_reason(sandbox: Sandbox) -> None:
    page = BOOKINGS.fetch_page(client_for(sandbox), None)
    assert page.last
    reasons = Counter(skipped.reason for skipped in page.skipped)
    assert reasons == {"no_match": 2, "free": 1, "declined": 1, "called_off": 1}
    titles = {record.title for record in page.records if isinstance(record, BookingRecord)}
    assert {"HOLD Hochzeit Vogel", "Standesamtliche Trauung Berger", "Babybauchshooting Sommer"} <= titles
    assert not titles & {"Zahnarzt", "Wedding fair Arena Berlin"}
    statuses = {record.title: record.status for record in page.records if isinstance(record, BookingRecord)}
    tentative = ("HOLD Hochzeit Vogel", "Styled shoot, Villa Seeblick", "Wedding Iris & Omar")
    assert {statuses[title] for title in tentative} == {"tentative"}


def test_the_rule_all_skips_only_free_declined_and_called_off_events(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    client.account = ConnectedAccount(rule="all")
    page = BOOKINGS.fetch_page(client, None)
    assert Counter(skipped.reason for skipped in page.skipped) == {"free": 1, "declined": 1, "called_off": 1}


def test_a_changed_answer_changes_the_booking(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    records, _, cursor = read(BOOKINGS, client)
    invited = next(record for record in records if record.title == "Styled shoot, Villa Seeblick")
    assert (invited.status, invited.client_name) == ("tentative", "Ada Planner")
    sandbox.google.respond(invited.external_id, "accepted")
    (accepted,), deleted, cursor = read(BOOKINGS, client, cursor)
    assert (accepted.external_id, accepted.status, deleted) == (invited.external_id, "confirmed", [])
    sandbox.google.respond(invited.external_id, "declined")
    assert read(BOOKINGS, client, cursor)[:2] == ([], [invited.external_id])


def test_an_event_that_becomes_free_is_skipped(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    records, _, cursor = read(BOOKINGS, client)
    event_id = records[0].external_id
    sandbox.google.update_event(event_id, {"transparency": "transparent"})
    page = BOOKINGS.fetch_page(client, cursor)
    assert (page.records, page.deleted) == ([], [])
    assert [(skipped.external_id, skipped.reason) for skipped in page.skipped] == [(event_id, "free")]


def test_a_calendar_of_several_pages_is_read_in_full(sandbox: Sandbox) -> None:
    client = client_for(sandbox, issue_token("bulk-2500"))
    records, _, _ = read(BOOKINGS, client)
    assert len({record.external_id for record in records}) == 2500
    assert client.api_calls == 3


def primary(client: Client) -> FoundAccount:
    (found,) = [account for account in list_calendars(client).accounts if account.is_primary]
    return found


def test_the_primary_calendar_is_found_after_its_id_changed(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    found = primary(client)
    assert (found.external_id, found.time_zone) == ("hello@lindenandlight.example", "Europe/Berlin")
    client.account = ConnectedAccount(external_id=found.external_id)
    records, _, cursor = read(BOOKINGS, client)
    sandbox.google.rename_calendar("studio@lindenandlight.example")
    with pytest.raises(AccountGone):
        read(BOOKINGS, client, cursor)
    client.account = ConnectedAccount(external_id=primary(client).external_id)
    again = read(BOOKINGS, client)[0]
    assert [record.external_id for record in again] == [record.external_id for record in records]


def test_an_expired_sync_token_restarts_the_read(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    records, _, cursor = read(BOOKINGS, client)
    sandbox.google.expire_sync_tokens()
    with pytest.raises(CursorExpired):
        read(BOOKINGS, client, cursor)
    assert read(BOOKINGS, client)[0] == records


def test_a_mailbox_is_read_in_full_and_then_by_changes(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    records, _, cursor = read(INQUIRIES, client)
    assert len(records) > 10
    found = leads_of(records)
    assert all(each.contact_email for each in found.values())
    assert any(each.replied_at for each in found.values())

    assert read(INQUIRIES, client, cursor)[0] == []
    unanswered = next(external_id for external_id, each in found.items() if each.replied_at is None)
    sandbox.google.add_message(thread_id=unanswered, labels=["SENT"])
    sandbox.google.add_message(sender="Kim Lund <kim@example.com>", subject="Newborn photos")
    sandbox.google.add_message(labels=["SPAM"])
    sandbox.google.add_message(headers={"List-Unsubscribe": "<https://news.example.com>"})
    changed = leads_of(read(INQUIRIES, client, cursor)[0])
    answered, (new,) = changed.pop(unanswered), changed.values()
    assert answered.received_at == found[unanswered].received_at
    assert answered.replied_at is not None
    first = new.first
    assert (first.person_name, first.person_address, first.subject) == ("Kim Lund", "kim@example.com", "Newborn photos")


def test_a_studios_mailbox_yields_people_and_not_machines(sandbox: Sandbox) -> None:
    records = [record for page in pages_of(client_for(sandbox)) for record in page.records]
    addresses = [each.contact_email or "" for each in leads_of(records).values()]
    assert len(set(addresses)) == len(addresses) == 47  # 42 wrote, 5 of them through a relay
    assert not [each for each in addresses if re.match(r"form-submission@|bookings@|hello@lindenandlight", each)]
    reasons = Counter(each.reason for each in map(judge_record, records) if isinstance(each, Skipped))
    assert reasons == {
        "started_by_studio": 5,
        "promotion": 4,
        "newsletter": 4,
        "spam": 4,
        "trash": 2,
        "auto_reply": 2,
        **dict.fromkeys(("bounce", "notification", "calendar", "social", "list", "chat", "robot"), 1),
    }


@pytest.mark.parametrize("label", ["SPAM", "TRASH", "CATEGORY_PROMOTIONS"])
def test_rescued_threads_arrive_and_discarded_ones_leave(sandbox: Sandbox, label: str) -> None:
    client = client_for(sandbox)
    arrived = sandbox.google.add_message(labels=[label], sender="Kim Lund <kim@example.com>")["id"]
    _, _, cursor = read(INQUIRIES, client)
    sandbox.google.label_message(arrived, add=["INBOX"], remove=[label])
    records, _, cursor = read(INQUIRIES, client, cursor)
    assert {external_id: each.contact_email for external_id, each in leads_of(records).items()} == {
        arrived: "kim@example.com"
    }

    sandbox.google.label_message(arrived, remove=["UNREAD"])
    assert [(page.records, page.skipped) for page in pages_of(client, cursor)] == [([], [])]
    sandbox.google.label_message(arrived, add=[label], remove=["INBOX"])
    ((discarded,),) = (page.records for page in pages_of(client, cursor))
    left_out = judge_record(discarded)
    assert isinstance(left_out, Skipped)
    reason = "promotion" if label == "CATEGORY_PROMOTIONS" else label.lower()
    assert (left_out.external_id, left_out.reason, left_out.counterpart) == (arrived, reason, "kim@example.com")


def test_a_deleted_thread_is_skipped(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    (first, second) = (sandbox.google.add_message()["id"] for _ in range(2))
    sandbox.google.add_message(thread_id=second, labels=["SENT"])
    _, _, cursor = read(INQUIRIES, client)
    for message_id in (first, second):
        sandbox.google.delete_message(message_id)
    (page,) = pages_of(client, cursor)
    assert [(each.external_id, each.reason) for each in page.skipped] == [(first, "deleted")]
    (rest,) = page.records
    left_out = judge_record(rest)  # it still has an answer
    assert isinstance(left_out, Skipped)
    assert (left_out.external_id, left_out.reason) == (second, "nothing_left")


@pytest.mark.parametrize("lets_through", [1, 2, 7, 49])
def test_a_mailbox_is_read_in_full_under_any_quota(sandbox: Sandbox, lets_through: int) -> None:
    for number in range(1, 200):
        sandbox.add_fault(kind="status", status=429, after=number * lets_through)
    client = client_for(sandbox, issue_token("bulk-60"))
    found, cursor, limited = [], None, 0
    while True:
        try:
            page = INQUIRIES.fetch_page(client, cursor)
        except RateLimited:
            limited += 1
            continue
        found += [record.external_id for record in page.records]
        cursor = msgspec.json.encode(page.cursor).decode()
        assert len(cursor) < 2_000
        if page.last:
            break
    assert len(found) == len(set(found)) == 60
    needed = 1 + 2 + 60  # the profile, two lists, the threads
    assert client.api_calls == needed + (needed - 1) // lets_through
    assert limited < needed


def test_mail_arriving_during_the_first_list_is_not_missed(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    first = INQUIRIES.fetch_page(client, None)
    assert not first.last
    arrived = sandbox.google.add_message(subject="In between")["threadId"]
    _, _, cursor = read(INQUIRIES, client, msgspec.json.encode(first.cursor).decode())
    assert arrived in [record.external_id for record in read(INQUIRIES, client, cursor)[0]]


def test_expired_history_restarts_the_read(sandbox: Sandbox) -> None:
    client = client_for(sandbox)
    _, _, cursor = read(INQUIRIES, client)
    sandbox.google.expire_history()
    with pytest.raises(CursorExpired):
        read(INQUIRIES, client, cursor)


@pytest.mark.parametrize("stream", GOOGLE.streams, ids=lambda stream: stream.name)
def test_an_empty_account_can_be_followed(sandbox: Sandbox, stream: Stream[Any]) -> None:
    client = client_for(sandbox, issue_token("empty"))
    records, deleted, cursor = read(stream, client)
    assert (records, deleted) == ([], [])
    assert read(stream, client, cursor)[:2] == ([], [])


@pytest.mark.parametrize("stream", GOOGLE.streams, ids=lambda stream: stream.name)
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "30"}}, RateLimited),
        (
            {"kind": "status", "status": 403, "body": {"error": {"errors": [{"reason": "rateLimitExceeded"}]}}},
            RateLimited,
        ),
        ({"kind": "status", "status": 500}, TransientFault),
        ({"kind": "status", "status": 503}, TransientFault),
        ({"kind": "reset"}, TransientFault),
        ({"kind": "truncate"}, TransientFault),
    ],
)
def test_a_fault_is_classified_and_the_page_can_be_read_again(
    sandbox: Sandbox, stream: Stream[Any], fault: dict[str, Any], kind: type[PlatformError]
) -> None:
    client = client_for(sandbox)
    sandbox.add_fault(**fault)
    with pytest.raises(kind) as caught:
        stream.fetch_page(client, None)
    assert (getattr(caught.value, "resume_at", None) is not None) is ("headers" in fault)
    assert stream.fetch_page(client, None).records


def test_a_changed_shape_is_reported(sandbox: Sandbox) -> None:
    sandbox.add_fault(kind="shape", path=".*/events", body={"items": {"now": "an object"}})
    with pytest.raises(ContractChanged, match="at `items`"):
        BOOKINGS.fetch_page(client_for(sandbox), None)


def test_a_missing_scope_stops_one_stream_and_not_the_other(sandbox: Sandbox) -> None:
    client = client_for(sandbox, issue_token(scopes=[scope for scope in DEFAULT_SCOPES if "gmail" not in scope]))
    with pytest.raises(PermissionMissing):
        INQUIRIES.fetch_page(client, None)
    assert BOOKINGS.fetch_page(client, None).records


def test_events_alone_are_enough_for_bookings(sandbox: Sandbox) -> None:
    client = client_for(sandbox, issue_token(scopes=["https://www.googleapis.com/auth/calendar.events.readonly"]))
    everything = client_for(sandbox)
    assert primary(client) == FoundAccount(time_zone="Europe/Berlin", is_primary=True)
    assert [record.external_id for record in read(BOOKINGS, client)[0]] == [
        record.external_id for record in read(BOOKINGS, everything)[0]
    ]
    assert identify(client).scopes == ("https://www.googleapis.com/auth/calendar.events.readonly",)


def test_an_expired_token_is_refreshed_during_a_read(sandbox: Sandbox) -> None:
    expired = issue_token(lifetime=0)
    client = client_for(sandbox, expired, refresh=lambda: refresh(sandbox, expired).access_token)
    assert identify(client).external_id
    assert read(BOOKINGS, client)[0]
    with pytest.raises(TokenExpired):
        identify(client_for(sandbox, expired))


def test_a_refresh_keeps_the_scopes_and_brings_no_new_refresh_token(sandbox: Sandbox) -> None:
    refreshed = refresh(sandbox, issue_token())
    assert (refreshed.refresh_token, refreshed.scopes) == (None, DEFAULT_SCOPES)
    assert refreshed.expires_in
    assert refreshed.access_token.reveal().startswith("ya29.")


def test_a_revoked_grant_can_neither_be_used_nor_refreshed_nor_revoked_again(sandbox: Sandbox) -> None:
    grant = issue_token()
    token = Secret(grant.refresh_token)
    assert oauth2.revoke(GOOGLE, token=token, sandbox_url=sandbox.url) is True
    assert oauth2.revoke(GOOGLE, token=token, sandbox_url=sandbox.url) is False
    with pytest.raises(TokenRevoked):
        refresh(sandbox, grant)
    with pytest.raises(TokenExpired):
        BOOKINGS.fetch_page(client_for(sandbox, grant), None)
