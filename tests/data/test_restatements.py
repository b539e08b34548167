"""Restatements: earlier values of ad numbers and reviews are recorded, and can be queried."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pg8000.native
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.data.metrics import TALLY_AS_OF, Tallies, periods
from chalicelib.data.postgres.database import read, transaction
from chalicelib.data.studios import GET_STUDIO
from chalicelib.data.sync import store as sync_store
from chalicelib.data.sync.store import Upserted
from chalicelib.data.sync.tables import SYNCED
from tests.conftest import Database
from tests.data.pages import ACCOUNT, DAY, LONG_AGO, NOON, ad, now, review, store
from tests.data.rows import connection_of, new_studio


@pytest.fixture
def studio(clean_database: Database) -> UUID:
    return new_studio()


def restatements(superuser: pg8000.native.Connection, table: str) -> list[list[Any]]:
    """The recorded values, oldest first, without their owner and end time."""
    names = ", ".join(SYNCED[table].restated)
    return superuser.run(f"SELECT {names} FROM {table}_restatement ORDER BY valid_until") or []


def test_a_restatement_records_the_previous_number_and_when_it_changed(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [ad("a"), ad("b")], "meta")
    store(studio, [ad("a", spend_minor=90), ad("b")], "meta")
    changed = superuser.run(
        """
        SELECT m.spend_minor, x.spend_minor, x.currency, x.impressions, x.clicks, x.conversions,
               x.valid_until = m.updated_at, x.studio_id = m.studio_id
        FROM ad_metric AS m JOIN ad_metric_restatement AS x ON x.ad_metric_id = m.id
        """
    )
    assert changed == [[90, 100, "EUR", 10, 1, 0.5, True, True]]


@pytest.mark.parametrize(
    "change",
    [{"spend_minor": 0}, {"currency": "USD"}, {"impressions": 11}, {"clicks": 2}, {"conversions": 0.25}],
    ids=lambda change: next(iter(change)),
)
def test_each_restated_number_is_recorded(
    change: dict[str, Any], studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [ad("a")], "meta")
    store(studio, [ad("a", **change)], "meta")
    assert len(restatements(superuser, "ad_metric")) == 1


@pytest.mark.parametrize(("before", "after"), [("Lovely", None), (None, "Lovely"), ("Lovely", "Not so lovely")])
def test_an_edited_review_keeps_its_previous_text(
    before: str | None, after: str | None, studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [review(text=before)])
    assert store(studio, [review(text=after)]) == Upserted(updated=1)
    assert store(studio, [review(text=after, rating=1)]) == Upserted(updated=1)
    assert restatements(superuser, "review") == [[5, before], [5, after]]


def test_other_changes_are_not_restatements(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [review(url=None)])
    assert store(studio, [review(url="https://example.com/1", author="Ida")]) == Upserted(updated=1)
    assert store(studio, [review(url="https://example.com/1", author="Ida")]) == Upserted(unchanged=1)
    assert restatements(superuser, "review") == []


def test_an_outdated_page_restates_nothing(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [ad("a")], "meta")
    assert store(studio, [ad("a", clicks=0)], "meta", fetched_at=LONG_AGO) == Upserted(unchanged=1)
    assert restatements(superuser, "ad_metric") == []


def ratings(studio: UUID, as_of: datetime) -> int:
    """The rating of the only review, as of a given time."""
    tallies = tally(studio, as_of)
    return sum(tallied.rating_sum for tallied in tallies.reviews)


def noon(day: int) -> datetime:
    return NOON + timedelta(days=day)


def tally(studio: UUID, as_of: datetime) -> Tallies:
    """Three days from DAY, and three from NOON."""
    which = periods([noon(n) for n in range(4)], [DAY + timedelta(days=n) for n in range(4)])
    return read(studio, TALLY_AS_OF, **which, platform=None, connection=None, as_of=as_of)


def test_history_is_in_write_order_when_transactions_overlap(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [review(rating=5)])
    before = now(superuser)
    with transaction(studio) as tx:
        tx.run(GET_STUDIO)
        between = now(superuser)
        store(studio, [review(rating=4)])
        sync_store.upsert(
            tx, "review", studio, "google", [review(rating=3)], connection_id=connection_of(studio), account_id=ACCOUNT
        )
    assert [ratings(studio, moment) for moment in (before, between, now(superuser))] == [5, 5, 3]


def test_a_restatement_in_a_transaction_with_other_changes_is_recorded(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [review(rating=5)])
    before = now(superuser)
    with transaction(studio) as tx:
        for page in ([review(rating=5, author="Ida")], [review(rating=4)], [review(rating=3)]):
            sync_store.upsert(
                tx, "review", studio, "google", page, connection_id=connection_of(studio), account_id=ACCOUNT
            )
    assert [ratings(studio, moment) for moment in (before, now(superuser))] == [5, 3]
    assert len(restatements(superuser, "review")) == 1


def test_at_the_moment_of_a_restatement_the_old_number_counts(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    """The query asks for what was known before that moment."""
    store(studio, [review(rating=5)])
    store(studio, [review(rating=4)])
    rows: list[list[datetime]] = superuser.run("SELECT created_at, updated_at FROM review") or []
    moments = [moment + timedelta(microseconds=after) for moment in rows[0] for after in (0, 1)]
    assert [ratings(studio, moment) for moment in moments] == [0, 5, 5, 4]


NUMBERS = st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from(["EUR", "USD"]))
WRITES = st.lists(st.lists(st.lists(NUMBERS, min_size=1, max_size=4), min_size=1, max_size=2), max_size=5)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transactions=WRITES)
def test_numbers_as_of_any_moment_are_the_last_stored_before_it(
    transactions: list[list[list[tuple[int, int, str]]]], studio: UUID, superuser: pg8000.native.Connection
) -> None:
    superuser.run("DELETE FROM ad_campaign; DELETE FROM review")
    expected: dict[int, tuple[int, str]] = {}
    history = [(now(superuser), dict(expected))]
    for pages in transactions:
        with transaction(studio) as tx:
            for page in pages:
                numbers = [ad("a", day, spend_minor=spend, currency=word) for day, spend, word in page]
                sync_store.upsert(
                    tx,
                    "ad_metric",
                    studio,
                    "meta",
                    numbers,
                    connection_id=connection_of(studio, "meta"),
                    account_id=ACCOUNT,
                )
                reviews = [review(str(day), rating=spend + 1, reviewed_at=noon(day)) for day, spend, _ in page]
                sync_store.upsert(
                    tx,
                    "review",
                    studio,
                    "meta",
                    reviews,
                    connection_id=connection_of(studio, "meta"),
                    account_id=ACCOUNT,
                )
                expected |= {day: (spend, currency) for day, spend, currency in page}
        history.append((now(superuser), dict(expected)))
    for moment, known in history:
        tallies = tally(studio, moment)
        assert {ads.bucket - 1: (ads.spend_minor, ads.currency) for ads in tallies.ads} == known
        assert {each.bucket - 1: each.rating_sum - 1 for each in tallies.reviews} == {
            day: spend for day, (spend, _) in known.items()
        }
