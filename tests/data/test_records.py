"""Records in bulk: what a page changes in the tables, what is counted, and what stays unchanged."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pg8000.native
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.data.sync import store as sync_store
from chalicelib.data.sync.store import FullRead, Upserted
from tests.conftest import Database
from tests.data.pages import ACCOUNT, NOON, booking, column, review, store
from tests.data.rows import connection_of, new_studio


@pytest.fixture
def studio(clean_database: Database) -> UUID:
    return new_studio()


def test_created_updated_and_unchanged_rows_are_counted(studio: UUID) -> None:
    assert store(studio, [booking("a"), booking("b"), booking("c")]) == Upserted(created=3)
    again = [booking("a"), booking("b", title="Moved"), booking("c"), booking("d")]
    assert store(studio, again) == Upserted(created=1, updated=1, unchanged=2)


def test_storing_the_same_page_again_changes_nothing(studio: UUID, superuser: pg8000.native.Connection) -> None:
    page = [booking(str(n), client_name=f"Client {n}", source_updated_at=NOON) for n in range(50)]
    store(studio, page)
    before = superuser.run("SELECT xmin::text, b::text FROM booking AS b ORDER BY id")
    assert store(studio, page) == Upserted(unchanged=50)
    assert superuser.run("SELECT xmin::text, b::text FROM booking AS b ORDER BY id") == before


def test_of_duplicate_keys_in_a_page_the_last_one_wins(studio: UUID, superuser: pg8000.native.Connection) -> None:
    page = [booking("a", title="first"), booking("b"), booking("a", title="last")]
    assert store(studio, page) == Upserted(created=2)
    assert column(superuser, "booking", "title") == {"a": "last", "b": "Wedding"}


def test_an_empty_page_sends_nothing(studio: UUID) -> None:
    with query_statistics() as statistics, transaction(studio) as tx:
        source: dict[str, Any] = {"connection_id": UUID(int=1), "account_id": ACCOUNT}
        assert sync_store.upsert(tx, "booking", studio, "google", [], **source) == Upserted()
        assert sync_store.remove(tx, "booking", UUID(int=1), [], account_id=ACCOUNT) == 0
        sync_store.remember_seen(tx, "booking", FullRead(studio, ACCOUNT, "bookings"), studio, [])
    assert statistics.round_trips == 0


def test_a_null_replaces_a_value(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [booking("a", location="The barn", source_updated_at=NOON)])
    assert store(studio, [booking("a", location=None, source_updated_at=None)]) == Upserted(updated=1)
    assert superuser.run("SELECT location, source_updated_at FROM booking") == [[None, None]]


def test_the_same_external_id_on_two_platforms_is_two_rows(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [booking("a")], "google")
    assert store(studio, [booking("a", title="Elsewhere")], "website") == Upserted(created=1)
    assert superuser.run("SELECT platform, title FROM booking ORDER BY 1") == [
        ["google", "Wedding"],
        ["website", "Elsewhere"],
    ]


def test_columns_missing_from_a_record_are_never_touched(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [booking("a")])
    superuser.run("UPDATE booking SET value_minor = 250000, currency = 'EUR'")
    assert store(studio, [booking("a", title="Renamed")]) == Upserted(updated=1)
    assert superuser.run("SELECT title, value_minor, currency FROM booking") == [["Renamed", 250000, "EUR"]]


def test_an_update_keeps_the_rows_id_and_creation_time(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [review()])
    before = superuser.run("SELECT id, created_at FROM review")
    store(studio, [review(text="Edited")])
    assert superuser.run("SELECT id, created_at FROM review") == before


def test_rows_are_stored_in_key_order_so_that_pages_never_deadlock(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    keys = [f"{n * 7 % 1500:04}" for n in range(1500)]
    store(studio, [booking(key) for key in keys])
    stored = superuser.run("SELECT external_id FROM booking ORDER BY id") or ()
    assert [key for (key,) in stored] == sorted(keys)


def test_2500_records_are_three_statements(studio: UUID, superuser: pg8000.native.Connection) -> None:
    page = [booking(f"{n:04}", notes="x" * 100) for n in range(2500)]
    connection_id = connection_of(studio)
    with query_statistics() as statistics:
        assert store(studio, page, connection_id=connection_id) == Upserted(created=2500)
    assert statistics.round_trips == 3 + 1
    assert superuser.run("SELECT count(DISTINCT external_id) FROM booking") == [[2500]]


def test_a_page_is_stored_atomically(studio: UUID, superuser: pg8000.native.Connection) -> None:
    page = [booking(str(n)) for n in range(1500)] + [booking("bad", status="imagined")]
    with pytest.raises(pg8000.native.DatabaseError, match="booking_status_check"):
        store(studio, page)
    assert superuser.run("SELECT count(*) FROM booking") == [[0]]


@pytest.mark.parametrize(
    "text",
    [
        "Ünïcödé 日本 \U0001f4f8 ‮ e\u0301",
        'O\'Brien "the" photographer',
        "back\\slash \\u0041 \\n",
        "line\nfeed\ttab\r\x01\x1f\x7f",
        "'; DROP TABLE booking; --",
        ":name $1 %s {} ::text",
        "x" * 1_000_000,
        "",
        " ",
    ],
    ids=range(9),
)
def test_any_text_is_stored_as_it_is(text: str, studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [booking("a", title=text, notes=text)])
    assert superuser.run("SELECT title, notes FROM booking") == [[text, text]]
    assert store(studio, [booking("a", title=text, notes=text)]) == Upserted(unchanged=1)


def test_an_external_id_may_be_any_text(studio: UUID, superuser: pg8000.native.Connection) -> None:
    odd = "ü'\"\\,{}NULL \U0001f4f8"
    store(studio, [booking(odd)])
    assert store(studio, [booking(odd)]) == Upserted(unchanged=1)
    with transaction(studio) as tx:
        assert sync_store.remove(tx, "booking", connection_of(studio), [odd], account_id=ACCOUNT) == 1
    assert column(superuser, "booking", "status") == {odd: "cancelled"}


def test_times_are_stored_to_the_microsecond(studio: UUID, superuser: pg8000.native.Connection) -> None:
    moment = datetime(2026, 3, 29, 0, 59, 59, 999999, tzinfo=UTC)
    store(studio, [booking("a", starts_at=moment, event_date=date(2028, 2, 29))])
    assert superuser.run("SELECT starts_at, event_date FROM booking") == [[moment, date(2028, 2, 29)]]


def test_two_studios_may_have_the_same_external_ids(studio: UUID, superuser: pg8000.native.Connection) -> None:
    other = new_studio("Other")
    store(studio, [booking("a", title="mine")])
    assert store(other, [booking("a", title="theirs")]) == Upserted(created=1)
    with transaction(other) as tx:
        assert sync_store.remove(tx, "booking", connection_of(other), ["a"], account_id=ACCOUNT) == 1
    rows = superuser.run("SELECT title, status FROM booking ORDER BY title")
    assert rows == [["mine", "confirmed"], ["theirs", "cancelled"]]


def test_removed_bookings_are_cancelled_and_counted_once(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [booking("a"), booking("b"), booking("c", status="cancelled")])
    store(studio, [booking("a")], "website")
    with transaction(studio) as tx:
        assert sync_store.remove(tx, "booking", connection_of(studio), ["a", "c", "unknown"], account_id=ACCOUNT) == 1
        assert sync_store.remove(tx, "booking", connection_of(studio), ["a"], account_id=ACCOUNT) == 0
    rows = superuser.run("SELECT platform, external_id, status FROM booking WHERE status = 'cancelled' ORDER BY 2")
    assert rows == [["google", "a", "cancelled"], ["google", "c", "cancelled"]]


def test_a_removed_booking_that_comes_back_is_confirmed_again(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking("a")])
    with transaction(studio) as tx:
        sync_store.remove(tx, "booking", connection_of(studio), ["a"], account_id=ACCOUNT)
    assert store(studio, [booking("a")]) == Upserted(updated=1)
    assert column(superuser, "booking", "status") == {"a": "confirmed"}


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
PAGES = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.none() | TEXT, st.sampled_from(["tentative", "confirmed", "cancelled"])),
        min_size=1,
        max_size=6,
    ),
    max_size=5,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pages=PAGES)
def test_after_any_pages_the_table_has_the_last_value_of_each_key(
    pages: list[list[tuple[str, str | None, str]]], studio: UUID, superuser: pg8000.native.Connection
) -> None:
    superuser.run("DELETE FROM booking")
    expected: dict[str, list[str | None]] = {}
    for page in pages:
        before = dict(expected)
        expected |= {key: [title, status] for key, title, status in page}
        outcome = store(studio, [booking(key, title=title, status=status) for key, title, status in page])
        met = {key for key, _, _ in page}
        assert outcome.created == len(met - before.keys())
        assert outcome.updated == sum(before[key] != expected[key] for key in met & before.keys())
        assert outcome.created + outcome.updated + outcome.unchanged == len(met)
    stored = superuser.run("SELECT external_id, title, status FROM booking")
    assert {key: rest for key, *rest in stored or ()} == expected
