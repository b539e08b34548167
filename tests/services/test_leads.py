"""Pages of threads in the database: people, conversations and leads, whatever the order in which threads are read."""

from base64 import b64encode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import permutations
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.data.sync.skipped import store_skipped_query
from chalicelib.platforms.core.records import ThreadRecord
from chalicelib.services.leads.candidates import normalized
from chalicelib.services.leads.people import addresses_of
from chalicelib.services.leads.rows import Source
from chalicelib.services.leads.storing import StoredThreads, store_threads
from tests.conftest import Database
from tests.data.rows import connection_of, new_studio
from tests.services.mails import ANA, BEN, at, came, form, machine, thread, went


@pytest.fixture
def studio(clean_database: Database) -> UUID:
    return new_studio()


def store(studio: UUID, *threads: ThreadRecord, fetched_at: datetime | None = None) -> StoredThreads:
    """As a run does: what is left out is stored in the same transaction."""
    source = Source(connection_of(studio), "google")
    hashes = {address: b64encode(address.encode()).decode() for address in addresses_of(threads)}
    with transaction(studio) as tx:
        outcome = store_threads(tx, studio, source, threads, hashes, fetched_at=fetched_at)
        rows = [
            {
                **{name: getattr(each, name) for name in ("external_id", "reason", "first_in_at", "last_in_at")},
                "counterpart": hashes.get(normalized(each.counterpart)),
                "first_out_at": each.first_out_at,
                "last_out_at": each.last_out_at,
            }
            for each in outcome.skipped
        ]
        if rows:
            named = {"studio_id": studio, "connection_id": source.connection_id, "account_id": source.connection_id}
            tx.run(store_skipped_query("inquiry"), rows=rows, stream="inquiries", **named)
    return outcome


def counts(outcome: StoredThreads) -> tuple[int, int, int]:
    return outcome.created, outcome.updated, outcome.unchanged


def select(superuser: pg8000.native.Connection, columns: str, table: str = "inquiry") -> list[list[Any]]:
    return list(superuser.run(f"SELECT {columns} FROM {table} ORDER BY 1") or ())


def settled(superuser: pg8000.native.Connection) -> list[list[Any]]:
    """What must not depend on the order of reading."""
    return select(
        superuser, "received_at, external_id, certainty, reason, status, first_response_at, waiting_since, skip_reason"
    )


def test_a_thread_is_stored_as_a_person_a_conversation_messages_and_a_lead(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    outcome = store(studio, thread(came(0, "Ana@Example.org"), went(2)))
    assert (counts(outcome), outcome.skipped) == ((1, 0, 0), [])
    assert select(superuser, "name", "person") == [["Ana Ruiz"]]
    assert select(superuser, "kind, value", "person_identity") == [["email", ANA]]
    assert select(superuser, "external_id, channel, url", "thread") == [["one", "email", "https://mail.example/one"]]
    assert select(superuser, "sent_at, direction, kind, effect, recipients", "message") == [
        [at(0), "in", "person", "asks", ["hello@studio.example"]],
        [at(2), "out", "person", "answers", [ANA]],
    ]
    assert select(superuser, "external_id, certainty, reason, reason_detail, contact_email, subject, message") == [
        ["one", "lead", "trade_word", "wedding", "Ana@Example.org", "Hello", "Are you free for our wedding?"]
    ]
    assert select(superuser, "received_at, first_response_at, waiting_since, status, contacted_at") == [
        [at(0), at(2), None, "contacted", at(2)]
    ]


def test_reading_a_thread_again_changes_nothing(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), went(2)))
    tables = ("person", "conversation", "thread", "message", "inquiry")
    before = [select(superuser, "xmin::text, t::text", f"{table} AS t") for table in tables]
    assert counts(store(studio, thread(came(0), went(2)))) == (0, 0, 1)
    assert [select(superuser, "xmin::text, t::text", f"{table} AS t") for table in tables] == before


def test_a_new_message_updates_its_lead(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0)))
    before = select(superuser, "id, created_at")
    assert select(superuser, "status, waiting_since, contacted_at") == [["new", at(0), None]]
    assert counts(store(studio, thread(came(0), went(2)))) == (0, 1, 0)
    assert select(superuser, "status, waiting_since, contacted_at") == [["contacted", None, at(2)]]
    assert select(superuser, "id, created_at") == before
    assert counts(store(studio, thread(came(0), went(2), came(3, preview="Thank you!")))) == (0, 1, 0)
    assert select(superuser, "waiting_since") == [[None]]


@pytest.mark.parametrize("status", ["contacted", "qualified", "converted", "lost"])
def test_a_lead_keeps_a_status_set_by_the_studio(
    status: str, studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, thread(came(0)))
    superuser.run("UPDATE inquiry SET status = :status", status=status)
    store(studio, thread(came(0), went(2)))
    assert select(superuser, "status, contacted_at") == [[status, at(2)]]


def test_the_first_contact_keeps_its_time(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), went(2)))
    store(studio, thread(came(0), went(1), went(2)))
    assert select(superuser, "status, contacted_at, first_response_at") == [["contacted", at(2), at(1)]]


def test_a_decision_of_the_studio_stays(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0)))
    superuser.run("UPDATE inquiry SET certainty = 'perhaps', reason = 'by_hand', decided_at = now()")
    store(studio, thread(came(0), went(2)))
    assert select(superuser, "certainty, reason") == [["perhaps", "by_hand"]]


def test_a_rule_of_the_studio_comes_first(studio: UUID, superuser: pg8000.native.Connection) -> None:
    superuser.run(
        "INSERT INTO lead_rule (studio_id, kind, value, verdict) VALUES (:id, 'domain', 'example.org', 'not_a_lead')",
        id=studio,
    )
    outcome = store(studio, thread(came(0)))
    assert [(each.external_id, each.reason) for each in outcome.skipped] == [("one", "marked_by_studio")]
    assert select(superuser, "count(*)", "person") == [[0]]


def test_no_text_of_a_thread_that_is_no_lead_is_stored(studio: UUID, superuser: pg8000.native.Connection) -> None:
    outcome = store(studio, thread(machine(0)), thread(went(0), came(1), name="two"))
    assert {each.external_id: each.reason for each in outcome.skipped} == {
        "one": "newsletter",
        "two": "started_by_studio",
    }
    for table in ("person", "person_identity", "conversation", "thread", "message", "inquiry"):
        assert select(superuser, "count(*)", table) == [[0]]


# A person's other threads


def test_an_answer_in_a_thread_of_the_studio_counts(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(form(0), name="form"))
    assert select(superuser, "waiting_since") == [[at(0)]]
    assert counts(store(studio, thread(went(5), name="answer"))) == (0, 1, 0)
    assert select(superuser, "first_response_at, waiting_since") == [[at(5), None]]
    assert select(superuser, "external_id", "thread") == [["answer"], ["form"]]
    store(studio, thread(went(5), came(9, preview="And the price?"), name="answer"))
    assert select(superuser, "first_response_at, waiting_since") == [[at(5), at(9)]]


def test_a_second_thread_of_a_person_is_the_same_lead(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), went(1), name="one"))
    assert counts(store(studio, thread(came(50), name="two"))) == (0, 1, 0)
    assert select(superuser, "external_id, waiting_since") == [["one", at(50)]]


def test_a_new_thread_of_a_known_person_continues_their_lead(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(went(-99), name="before"), thread(form(0), went(1), name="form"))
    store(studio, thread(came(50, preview="When can we talk about it?"), name="later"))
    assert select(superuser, "external_id, waiting_since") == [["form", at(50)]]


def test_a_person_who_turns_out_to_be_known_is_no_lead_any_more(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    hello = thread(came(0, preview="Nice to meet you yesterday"), name="hello")
    store(studio, hello)
    assert select(superuser, "certainty, skip_reason, waiting_since") == [["perhaps", None, at(0)]]
    store(studio, thread(went(-99), name="before"))
    assert select(superuser, "skip_reason, waiting_since") == [["known", None]]
    assert [(each.external_id, each.reason) for each in store(studio, hello).skipped] == [("hello", "known")]


DAY = 24
THREADS = {
    "a form and an answer in another thread": [thread(form(0), name="a"), thread(went(5), came(9), name="b")],
    "two threads of one person": [thread(came(0), went(1), name="a"), thread(came(9), name="b")],
    "a person whom the studio wrote to before": [thread(went(-99), name="a"), thread(came(0), name="b")],
    "a person who wrote long before": [thread(came(0), name="a"), thread(came(90 * DAY), name="b")],
    "an older question, answered later": [thread(came(0), name="a"), thread(came(5), went(7), name="b")],
    "a newsletter of the same sender": [thread(machine(-9, sender=ANA), name="a"), thread(came(0), name="b")],
    "two people": [thread(came(0), name="a"), thread(came(1, BEN), went(2, BEN), name="b")],
    "a greeting before a question": [
        thread(came(0, preview="Nice to meet you"), name="a"),
        thread(came(9), name="b"),
    ],
    "a greeting before a form": [thread(came(0, preview="Nice to meet you"), name="a"), thread(form(9), name="b")],
    "three threads": [
        thread(went(-99), name="a"),
        thread(came(0, preview="Our wedding is on 14 June 2027"), name="b"),
        thread(went(5), name="c"),
    ],
}


@pytest.mark.parametrize("kind", THREADS)
def test_the_order_of_reading_does_not_matter(kind: str, studio: UUID, superuser: pg8000.native.Connection) -> None:
    found = []
    for order in permutations(THREADS[kind]):
        superuser.run("DELETE FROM person; DELETE FROM skipped_record")
        for each in order:
            store(studio, each)
        found.append(settled(superuser))
        superuser.run("DELETE FROM person; DELETE FROM skipped_record")
        store(studio, *order)
        found.append(settled(superuser))
    assert all(each == found[0] for each in found), found


def test_any_of_its_threads_makes_a_conversation_a_lead(studio: UUID, superuser: pg8000.native.Connection) -> None:
    hello = thread(came(0, preview="Nice to meet you"), name="hello")
    store(studio, hello)
    assert select(superuser, "certainty, reason") == [["perhaps", "first_contact"]]
    store(studio, thread(came(9), name="question"))
    assert select(superuser, "external_id, certainty, reason") == [["hello", "lead", "trade_word"]]
    store(studio, hello)
    assert select(superuser, "external_id, certainty, reason") == [["hello", "lead", "trade_word"]]


def test_a_thread_of_long_after_is_a_lead_of_its_own(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), name="one"), thread(came(90 * DAY), name="two"))
    assert select(superuser, "external_id, certainty, reason") == [
        ["one", "lead", "trade_word"],
        ["two", "perhaps", "repeat"],
    ]
    assert select(superuser, "count(*)", "person") == [[1]]


def test_a_closed_lead_is_not_continued(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), name="one"))
    superuser.run("UPDATE inquiry SET status = 'lost'")
    assert counts(store(studio, thread(came(9), name="two"))) == (1, 0, 0)
    assert select(superuser, "external_id, waiting_since") == [["one", None], ["two", at(9)]]


def test_a_client_with_a_booking_is_perhaps_a_lead(studio: UUID, superuser: pg8000.native.Connection) -> None:
    superuser.run(
        "INSERT INTO booking (studio_id, connection_id, platform, external_id, event_type, event_date, status,"
        " client_email, booked_at) VALUES (:studio, :connection, 'google', 'b', 'wedding', '2026-05-01', 'confirmed',"
        " 'Ana@example.org', :booked_at)",
        studio=studio,
        connection=connection_of(studio),
        booked_at=at(-1),
    )
    store(studio, thread(came(0)))
    assert select(superuser, "certainty, reason") == [["perhaps", "repeat"]]


def test_people_without_an_address_are_different_people(studio: UUID, superuser: pg8000.native.Connection) -> None:
    posts = [
        thread(came(hour, "form@relay.example", kind="relay", person_address=None), name=str(hour)) for hour in (1, 2)
    ]
    store(studio, *posts)
    assert counts(store(studio, *posts)) == (0, 0, 2)
    assert select(superuser, "count(*)", "person") == [[2]]
    assert select(superuser, "count(*)", "person_identity") == [[0]]


def test_addresses_differ_by_anything_but_case(studio: UUID, superuser: pg8000.native.Connection) -> None:
    senders = ("a.na@gmail.com", "ana@gmail.com", "ANA@gmail.com", "ana+x@gmail.com")
    store(studio, *(thread(came(n, sender), name=str(n)) for n, sender in enumerate(senders)))
    assert select(superuser, "value", "person_identity") == [["a.na@gmail.com"], ["ana+x@gmail.com"], ["ana@gmail.com"]]


# Mail that is discarded, or gone


def test_a_discarded_thread_leaves_and_comes_back(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0)))
    assert [each.reason for each in store(studio, thread(came(0, discarded="trash"))).skipped] == ["trash"]
    assert select(superuser, "skip_reason, waiting_since") == [["trash", None]]
    assert counts(store(studio, thread(came(0)))) == (0, 1, 0)
    assert select(superuser, "skip_reason, waiting_since") == [[None, at(0)]]


def test_a_lead_stays_while_its_conversation_goes_on_elsewhere(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, thread(form(0), name="form"), thread(went(1), came(2), name="answer"))
    assert store(studio, thread(form(0, discarded="trash"), name="form")).skipped == []
    assert select(superuser, "skip_reason, waiting_since") == [[None, at(2)]]


def test_a_discarded_mail_makes_nobody_known(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), name="one"))
    store(studio, thread(came(0, discarded="spam"), name="one"))
    store(studio, thread(came(9), name="two"))
    assert select(superuser, "external_id, reason, skip_reason") == [
        ["one", "trade_word", "spam"],
        ["two", "trade_word", None],
    ]


def test_an_answer_that_was_left_out_counts_on_every_later_page(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    """Also on a page that does not name the person's address."""
    store(studio, thread(went(5), name="answer"))
    store(studio, thread(came(0), name="question"))
    assert select(superuser, "first_response_at, waiting_since") == [[at(5), None]]
    source = Source(connection_of(studio), "google")
    with transaction(studio) as tx:
        store_threads(tx, studio, source, [thread(came(0), name="question")], {})
    assert select(superuser, "first_response_at, waiting_since") == [[at(5), None]]


def test_a_lead_stays_when_its_mail_is_gone(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), went(2)))
    before = settled(superuser)
    outcome = store(studio, thread(went(2, answered_ids=("<in0@mail.example>",))))
    assert (counts(outcome), outcome.skipped, outcome.kept) == ((0, 0, 0), [], [])
    assert settled(superuser) == before


def test_a_thread_that_changed_since_it_was_fetched_stays(studio: UUID, superuser: pg8000.native.Connection) -> None:
    earlier = (superuser.run("SELECT now()") or [])[0]
    store(studio, thread(came(0), went(2)))
    assert counts(store(studio, thread(came(0)), fetched_at=earlier[0])) == (0, 0, 1)
    assert select(superuser, "first_response_at") == [[at(2)]]


def test_a_message_that_is_gone_from_its_thread_still_counts(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), went(2)))
    store(studio, thread(came(0), came(1)))
    assert select(superuser, "first_response_at, waiting_since") == [[at(2), None]]


def test_a_message_that_turns_out_to_be_spam_asks_nothing(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0), went(1), came(2, BEN)))
    assert select(superuser, "waiting_since") == [[at(2)]]
    store(studio, thread(came(0), went(1), came(2, BEN, discarded="spam")))
    assert select(superuser, "waiting_since") == [[None]]
    store(studio, thread(came(0), went(1)))
    assert select(superuser, "waiting_since") == [[None]]


# Marks


def test_a_mark_of_the_studio_outlives_the_next_page(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, thread(came(0)))
    superuser.run("UPDATE inquiry SET no_answer_needed_at = :at", at=at(1))
    store(studio, thread(came(0), came(2, preview="Thank you!")))
    assert select(superuser, "waiting_since") == [[None]]
    store(studio, thread(came(0), came(3, preview="One more question")))
    assert select(superuser, "waiting_since") == [[at(3)]]
    superuser.run("UPDATE inquiry SET answered_by_hand_at = :at", at=at(4))
    store(studio, thread(came(0), came(3, preview="One more question"), machine(5)))
    assert select(superuser, "waiting_since, first_response_at") == [[None, at(4)]]


# Cost and isolation


@pytest.mark.parametrize("size", [1, 200])
def test_a_page_takes_the_same_statements_whatever_its_size(studio: UUID, size: int) -> None:
    threads: Sequence[ThreadRecord] = [
        thread(came(n, f"client{n}@example.org"), went(n + 1, f"client{n}@example.org"), name=str(n))
        for n in range(size)
    ]
    source = Source(connection_of(studio), "google")
    with query_statistics() as statistics, transaction(studio) as tx:
        outcome = store_threads(tx, studio, source, threads, {})
    assert counts(outcome) == (size, 0, 0)
    assert len(statistics.statements) == 5  # BEGIN, the lock, the look-up, the page, COMMIT
    assert statistics.round_trips == 3  # the first three in one


def test_pages_at_the_same_time_agree_about_a_person(studio: UUID, superuser: pg8000.native.Connection) -> None:
    connection_of(studio)
    threads = [thread(came(0), name="question"), thread(came(1), went(2), name="answer"), thread(came(3), name="more")]
    with ThreadPoolExecutor(len(threads)) as pool:
        outcomes = list(pool.map(lambda each: store(studio, each), threads))
    assert sum(each.created for each in outcomes) == 1
    assert select(superuser, "count(*)", "person") == [[1]]
    assert select(superuser, "received_at, first_response_at, waiting_since") == [[at(0), at(2), at(3)]]


def test_two_studios_do_not_share_people(studio: UUID, superuser: pg8000.native.Connection) -> None:
    other = new_studio("Other")
    store(studio, thread(came(0), went(1)))
    assert counts(store(other, thread(came(0)))) == (1, 0, 0)
    assert select(superuser, "waiting_since IS NULL, studio_id") == [[False, other], [True, studio]]


def test_odd_texts_are_stored_as_they_are(studio: UUID, superuser: pg8000.native.Connection) -> None:
    odd = "ü'\"\\,{}NULL \U0001f4f8 :name $1"
    store(studio, thread(came(0, subject=odd, preview=odd, person_name=odd), name=odd))
    assert select(superuser, "external_id, subject, message, contact_name") == [[odd] * 4]
