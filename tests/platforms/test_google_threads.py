"""Mail threads as inquiries: who wrote and when, what is skipped and why, and the effect of one odd field."""

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.core.items import SetAside, Skipped
from chalicelib.platforms.google.threads import THREADS, MailContext, Thread, parse_thread
from tests.platforms.gmail_threads import (
    ANA,
    BEN,
    OWN,
    Lead,
    form,
    inquiry,
    judged,
    leads,
    left_out,
    message,
    read,
    reason,
    thread,
)

PAYLOAD = (Path(__file__).parent / "payloads" / "google" / "thread.json").read_bytes()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def at(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def test_a_thread_becomes_its_messages() -> None:
    sent_at = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
    record = parse_thread(msgspec.json.decode(PAYLOAD, type=Thread), MailContext())
    assert (record.external_id, record.channel, record.url) == (
        "18f2aa01",
        "email",
        "https://mail.google.com/mail/u/0/#all/18f2aa01",
    )
    first, answer = (record.messages[index] for index in (0, 1))
    assert (first.direction, first.kind, first.sent_at) == ("in", "person", sent_at)
    assert (first.person_name, first.person_address) == ("Ana Ruíz", "ana@example.com")
    assert (first.sender_name, first.sender_address) == ("Ana Ruíz", "ana@example.com")
    assert first.subject == "Wedding – 12 June"
    assert first.preview == "Hello, we're looking for someone on 12 June & wonder"
    assert (answer.direction, answer.kind, answer.sent_at) == ("out", "person", sent_at + timedelta(hours=1))
    assert (answer.person_address, answer.writers) == (None, ())


def test_a_message_names_what_it_answers_and_its_recipients() -> None:
    headers = {"in_reply_to": "<m1@mail.example>", "references": "<m0@mail.example>\r\n <m1@mail.example>", "cc": BEN}
    answer = judged(message(1, "INBOX"), message(2, "SENT", **headers))
    assert isinstance(answer, Lead)
    sent = answer.thread.messages[1]
    assert (sent.message_id, sent.answered_ids) == ("<m2@mail.example>", ("<m1@mail.example>", "<m0@mail.example>"))
    assert sent.recipients == ("ana@example.org", "ben@example.net")


def test_a_thread_without_labels_headers_or_an_answer_is_still_an_inquiry() -> None:
    bare = inquiry({"internalDate": "0"})
    assert (bare.contact_email, bare.first.subject, bare.first.preview, bare.replied_at) == (None, None, None, None)
    assert bare.received_at == EPOCH


@pytest.mark.parametrize(
    ("left_out", "why"),
    [
        ([message(1, "SENT"), message(2, "INBOX")], "started_by_studio"),
        ([message(1, "INBOX", from_=OWN)], "started_by_studio"),
        ([message(1, "SENT", "INBOX", to=OWN)], "started_by_studio"),
        ([message(1, "SPAM")], "spam"),
        ([message(1, "SPAM", "SENT", "INBOX", reply_to=BEN)], "spam"),
        ([message(1, "TRASH"), message(2, "SENT", "TRASH")], "trash"),
        ([message(1, "DRAFT")], "nothing_left"),
        ([message(1, "SENT", in_reply_to="<gone@mail.example>")], "nothing_left"),
        ([message(1, "SENT", in_reply_to="<gone@mail.example>"), message(2, from_="mailer-daemon@x")], "nothing_left"),
    ],
)
def test_mail_that_is_not_an_inquiry_is_skipped_with_a_reason(left_out: list[dict[str, Any]], why: str) -> None:
    assert reason(*left_out) == why


CORPUS = {
    "a bounce": message(1, "INBOX", from_="Mail Delivery Subsystem <mailer-daemon@googlemail.com>"),
    "an out-of-office": message(1, "INBOX", auto_submitted="auto-replied"),
    "a receipt": message(1, "INBOX", "CATEGORY_UPDATES", from_="Payments <receipts@payments.example>"),
    "a calendar notification": message(1, "INBOX", sender="Google Calendar <calendar-notification@google.com>"),
    "a social notification": message(1, "INBOX", "CATEGORY_SOCIAL", from_="Network <hello@network.example>"),
    "list mail": message(1, "INBOX", list_id="<photographers.lists.example>", precedence="list"),
    "a forum": message(1, "INBOX", "CATEGORY_FORUMS"),
    "a newsletter": message(1, "INBOX", list_unsubscribe="<https://news.example/leave>"),
    "a chat": message(1, "CHAT"),
}


@pytest.mark.parametrize(("kind", "why"), [
    ("a bounce", "bounce"),
    ("an out-of-office", "auto_reply"),
    ("a receipt", "notification"),
    ("a calendar notification", "calendar"),
    ("a social notification", "social"),
    ("list mail", "list"),
    ("a forum", "forum"),
    ("a newsletter", "newsletter"),
    ("a chat", "chat"),
])  # fmt: skip
def test_mail_from_machines_is_skipped_with_its_reason(kind: str, why: str) -> None:
    assert reason(CORPUS[kind]) == why


@pytest.mark.parametrize("kind", CORPUS)
def test_a_person_writing_in_a_machines_thread_is_an_inquiry(kind: str) -> None:
    found = inquiry(CORPUS[kind], message(2, "INBOX", from_=BEN))
    assert (found.contact_email, found.received_at) == ("ben@example.net", at(2))


def test_a_skipped_thread_keeps_counterpart_and_times() -> None:
    assert judged(message(1, "SENT"), message(2, "INBOX"), message(5, "SENT")) == Skipped(
        external_id="m1",
        reason="started_by_studio",
        counterpart="ana@example.org",
        first_in_at=at(2),
        last_in_at=at(2),
        first_out_at=at(1),
        last_out_at=at(5),
    )
    assert judged(message(1, "SENT")) == Skipped(
        external_id="m1",
        reason="started_by_studio",
        counterpart="ana@example.org",
        first_out_at=at(1),
        last_out_at=at(1),
    )


# Forms of the studio's own site


def test_a_form_sent_through_the_studios_mailbox_is_an_inquiry_from_its_author() -> None:
    found = inquiry(form(1, ANA), message(3, "SENT"))
    assert (found.thread.external_id, found.first.person_name, found.contact_email) == (
        "m1",
        "Ana Ruiz",
        "ana@example.org",
    )
    assert found.replied_at == at(3)


def test_an_archived_form_is_still_an_inquiry() -> None:
    assert inquiry(form(1, ANA, "SENT")).contact_email == "ana@example.org"
    assert reason(message(1, "SENT", reply_to="lena@home.example")) == "started_by_studio"


def test_the_studios_address_is_learned_from_its_sent_mail() -> None:
    alias = message(1, "SENT", "INBOX", from_="forms@linden.example", to="forms@linden.example", reply_to=BEN)
    assert inquiry(alias).contact_email == "ben@example.net"


def test_each_form_submission_in_a_thread_is_an_inquiry() -> None:
    batch = read(
        thread(
            form(1, ANA),
            form(2, BEN),
            message(3, "SENT", to=BEN, in_reply_to="<m2@mail.example>"),
            message(4, "SENT", to=ANA),
            form(5, BEN),
            message(6, "INBOX", from_=ANA),
        )
    )
    found = leads(batch)
    assert {key: (each.contact_email, each.received_at, each.replied_at) for key, each in found.items()} == {
        "m1": ("ana@example.org", at(1), at(4)),
        "m1/m2": ("ben@example.net", at(2), at(3)),
    }
    assert {each.thread.url for each in found.values()} == {"https://mail.google.com/mail/u/0/#all/m1"}


def test_anonymous_submissions_are_different_people() -> None:
    posts = [message(number, "INBOX", from_="no-reply-forms@webflow.com") for number in (1, 2)]
    batch = read(thread(*posts, message(3, "SENT", to="no-reply-forms@webflow.com", in_reply_to="<m1@mail.example>")))
    assert {external_id: each.replied_at for external_id, each in leads(batch).items()} == {"m1": at(3), "m1/m2": None}


def test_a_submission_keeps_its_id_when_an_earlier_one_is_deleted() -> None:
    with_both = read(thread(form(1, ANA), form(2, BEN)))
    without = read(thread(form(2, BEN), thread_id="m1"))
    assert [record.external_id for record in with_both.records] == ["m1", "m1/m2"]
    assert [record.external_id for record in without.records] == ["m1/m2"]


def test_a_thread_in_the_trash_is_skipped_with_all_its_submissions() -> None:
    batch = read(thread(form(1, ANA, "SENT", "TRASH"), form(2, BEN, "SENT", "TRASH")))
    assert left_out(batch) == [("m1", "trash"), ("m1/m2", "trash")]


def test_a_client_who_answers_through_a_group_started_nothing() -> None:
    answer = message(2, "INBOX", from_="'Ana' via Bookings <bookings@studio.example>", reply_to=ANA)
    assert reason(message(1, "SENT"), answer) == "started_by_studio"
    assert inquiry(message(1, "SENT", to=BEN), answer).contact_email == "ana@example.org"


def test_people_in_an_ordinary_thread_are_one_inquiry() -> None:
    batch = read(thread(message(1, "INBOX"), message(2, "SENT"), message(3, "INBOX", from_=BEN)))
    assert [record.external_id for record in batch.records] == ["m1"]


# Discarded mail


def test_a_thread_whose_first_mail_was_discarded_is_still_updated() -> None:
    found = inquiry(message(1, "TRASH"), message(2, "SENT"), message(3, "INBOX"))
    assert (found.received_at, found.replied_at) == (at(1), at(2))
    assert inquiry(message(1, "TRASH"), message(2, "SENT")).replied_at == at(2)
    assert reason(message(1, "SENT", "TRASH"), message(2, "INBOX")) == "started_by_studio"


def test_spam_in_a_thread_is_ignored() -> None:
    found = inquiry(message(1, "SPAM", from_=BEN), message(2, "INBOX"))
    assert (found.contact_email, found.received_at) == ("ana@example.org", at(2))


def test_answers_to_deleted_mail_change_nothing() -> None:
    remaining = thread(message(2, "SENT", in_reply_to="<m1@mail.example>"), thread_id="m1")
    assert left_out(read(remaining)) == [("m1", "nothing_left")]
    again = thread(*remaining["messages"], message(3, "INBOX"), thread_id="m1")
    assert [record.external_id for record in read(again).records] == ["m1"]


# Answers


@pytest.mark.parametrize(
    "headers",
    [
        {"auto_submitted": "auto-replied"},
        {"auto_submitted": "auto-generated"},
        {"x_autoreply": "yes", "precedence": "bulk"},
        {"subject": "Automatische Antwort: Hochzeit"},
    ],
)
def test_an_automatic_reply_is_not_an_answer(headers: dict[str, str]) -> None:
    assert inquiry(message(1, "INBOX"), message(2, "SENT", **headers)).replied_at is None
    assert inquiry(message(1, "INBOX"), message(2, "SENT", **headers), message(3, "SENT")).replied_at == at(3)


def test_forwarded_mail_is_not_an_answer() -> None:
    assert inquiry(message(1, "INBOX"), message(2, "SENT", to="second@shooter.example")).replied_at is None
    assert inquiry(message(1, "INBOX"), message(2, "SENT", to="x@y.example", cc=ANA)).replied_at == at(2)
    portal = message(1, "INBOX", from_="WeddingWire <messages@weddingwire.com>", subject="Ana says: Hello")
    assert inquiry(portal, message(2, "SENT", to="reply-1@reply.weddingwire.com")).replied_at == at(2)


def test_an_answer_from_another_mail_program_counts() -> None:
    assert inquiry(message(1, "INBOX"), message(2, "INBOX", from_=OWN, to=ANA)).replied_at == at(2)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**12), st.sampled_from(["INBOX", "SENT", "DRAFT", "SPAM", "TRASH"]), st.text(max_size=40)
        ),
        min_size=1,
    )
)
def test_any_thread_is_a_storable_inquiry_or_skipped(messages: list[tuple[int, str, str]]) -> None:
    found = judged(*(message(when, label, from_=text, reply_to=text, subject=text) for when, label, text in messages))
    if isinstance(found, Lead):
        assert found.replied_at is None or found.replied_at >= found.received_at
    assert b"\\u0000" not in msgspec.json.encode(found)


# One odd field

GOOD = thread(message(1, "INBOX"), message(2, "SENT"))
PLACES: list[tuple[str | int, ...]] = [
    ("id",),
    ("messages",),
    ("messages", 0),
    *(("messages", 0, name) for name in ("id", "internalDate", "labelIds", "payload", "snippet")),
    ("messages", 0, "labelIds", 0),
    ("messages", 0, "payload", "headers"),
    ("messages", 0, "payload", "headers", 0),
    ("messages", 0, "payload", "headers", 0, "name"),
    ("messages", 0, "payload", "headers", 0, "value"),
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=5
)
EXTREMES = st.sampled_from(["", "-1", "0" * 20, "9" * 15, 10**30, -(10**30), 1e308, "\0", "x" * 100_000, [[]] * 100])
ABSENT = object()


def odd_thread(place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    found = deepcopy(GOOD)
    parent: Any = found
    for step in place[:-1]:
        parent = parent[step]
    if value is ABSENT and isinstance(parent, dict):
        parent.pop(place[-1], None)
    elif value is ABSENT:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value
    return found


@given(st.sampled_from(PLACES), ANY_JSON | EXTREMES | st.just(ABSENT))
def test_one_odd_field_spoils_no_other_thread(place: tuple[str | int, ...], value: Any) -> None:
    before, after = thread(message(7, "INBOX")), thread(message(8, "INBOX"))
    batch = read(before, odd_thread(place, value), after)
    stored = [record.external_id for record in batch.records]
    assert stored[0] == "m7"
    assert stored[-1] == "m8"
    for set_aside in batch.set_aside:
        assert set_aside.reason
        assert isinstance(THREADS.read_again(set_aside.content), SetAside)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("messages", 0, "labelIds"), None),
        (("messages", 0, "labelIds"), [5, None, "INBOX"]),
        (("messages", 0, "payload", "headers"), None),
        (("messages", 0, "payload", "headers", 0), {"name": "Subject", "value": 5}),
        (("messages", 0, "payload", "headers", 0), "Subject: x"),
        (("messages", 0, "payload"), 5),
        (("messages", 0, "snippet"), {"now": "an object"}),
        (("messages", 0, "id"), 5),
        (("messages", 0, "internalDate"), 1),
        (("messages", 1), None),
        (("messages", 1, "internalDate"), "-5"),
        (("messages", 1, "internalDate"), ABSENT),
    ],
)
def test_an_odd_field_loses_only_itself(place: tuple[str | int, ...], value: Any) -> None:
    batch = read(odd_thread(place, value))
    assert ([record.external_id for record in batch.records], batch.set_aside) == (["m1"], [])


def test_a_message_without_googles_time_uses_the_senders() -> None:
    dated = message(5, "INBOX", date="Mon, 21 Sep 2026 14:13:20 +0200")
    assert inquiry({**dated, "internalDate": "-1"}).received_at == datetime(2026, 9, 21, 12, 13, 20, tzinfo=UTC)
    for date in ("", "yesterday", "Mon, 21 Sep 1026 14:13:20 +0000", "Mon, 21 Sep 2026 14:13:20 +9999"):
        batch = read(thread({**message(5, "INBOX", date=date), "internalDate": None}))
        assert [(each.external_id, each.field) for each in batch.set_aside] == [("m5", "messages")]


def test_ignored_messages_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    inquiry(message(1, "INBOX"), {"id": "m2"}, 5)
    (record,) = [record for record in caplog.records if record.getMessage() == "inquiry.messages_unreadable"]
    assert vars(record)["fields"] == {"messages": 2, "of": 3}
