"""Rows that are stored again: their change times, outdated pages, and the campaigns of ad numbers."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.data.postgres.query import Query
from chalicelib.data.studios import GET_STUDIO
from chalicelib.data.sync import store as sync_store
from chalicelib.data.sync.store import Upserted
from chalicelib.data.sync.upsert_sql import upsert_sql
from chalicelib.platforms.core.records import AdCampaignRecord, AdMetricRecord
from dev.tenants import act_as
from tests.conftest import Database
from tests.data.attack import refused
from tests.data.pages import ACCOUNT, DAY, LONG_AGO, ad, age, booking, column, now, review, store, wait_until_blocked
from tests.data.rows import connection_of, new_studio


@pytest.fixture
def studio(clean_database: Database) -> UUID:
    return new_studio()


def test_a_row_records_when_a_sync_last_changed_it(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [booking("changed"), booking("same")])
    age(superuser)
    before = now(superuser)
    store(studio, [booking("changed", title="Moved"), booking("same"), booking("new")])
    changed = column(superuser, "booking", "updated_at")
    assert changed.pop("same") == LONG_AGO
    assert changed.keys() == {"changed", "new"}
    assert all(before < moment < now(superuser) for moment in changed.values())


def test_marking_a_booking_as_gone_is_a_change(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [booking("gone"), booking("gone before", status="cancelled"), booking("there")])
    age(superuser)
    before = now(superuser)
    with transaction(studio) as tx:
        sync_store.remove(tx, "booking", connection_of(studio), ["gone", "gone before"], account_id=ACCOUNT)
    changed = column(superuser, "booking", "updated_at")
    assert changed.pop("gone") > before
    assert set(changed.values()) == {LONG_AGO}


def test_a_rows_change_time_never_goes_back(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [booking("a")])
    with transaction(studio) as tx:
        tx.run(GET_STUDIO)
        store(studio, [booking("a", title="of the later one")])
        later = column(superuser, "booking", "updated_at")
        sync_store.upsert(
            tx,
            "booking",
            studio,
            "google",
            [booking("a", title="of the earlier one")],
            connection_id=connection_of(studio),
            account_id=ACCOUNT,
        )
    assert column(superuser, "booking", "title") == {"a": "of the earlier one"}
    assert column(superuser, "booking", "updated_at") == later


def test_a_page_fetched_before_a_row_changed_does_not_overwrite_it(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking("changed since"), booking("not changed since")])
    fetched_at = now(superuser)
    store(studio, [booking("changed since", title="newer"), booking("created since", title="newer")])
    page = [booking(key, title="older") for key in ("changed since", "created since", "not changed since", "unknown")]
    assert store(studio, page, fetched_at=fetched_at) == Upserted(created=1, updated=1, unchanged=2)
    assert column(superuser, "booking", "title") == {
        "changed since": "newer",
        "created since": "newer",
        "not changed since": "older",
        "unknown": "older",
    }


def test_a_row_changed_at_the_moment_of_the_fetch_is_not_overwritten(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking("a")])
    age(superuser)
    assert store(studio, [booking("a", title="older")], fetched_at=LONG_AGO) == Upserted(unchanged=1)
    after = LONG_AGO + timedelta(microseconds=1)
    assert store(studio, [booking("a", title="older")], fetched_at=after) == Upserted(updated=1)


def test_a_page_fetched_before_a_cancellation_does_not_revert_it(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking("a")])
    fetched_at = now(superuser)
    with transaction(studio) as tx:
        sync_store.remove(tx, "booking", connection_of(studio), ["a"], account_id=ACCOUNT)
    assert store(studio, [booking("a")], fetched_at=fetched_at) == Upserted(unchanged=1)
    assert column(superuser, "booking", "status") == {"a": "cancelled"}


def numbers(superuser: pg8000.native.Connection, name: str = "spend_minor") -> dict[tuple[str, int], Any]:
    """One column of the ad numbers, by campaign and day."""
    rows = superuser.run(
        f"""
        SELECT c.platform || ' ' || c.external_id, m.day, m.{name}
        FROM ad_metric AS m JOIN ad_campaign AS c ON c.id = m.campaign_id
        """
    )
    return {(campaign, (day - DAY).days): value for campaign, day, value in rows or ()}


def test_ad_numbers_are_keyed_by_campaign_and_day_and_counted(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    assert store(studio, [ad("a"), ad("a", 1), ad("b")], "meta") == Upserted(created=3)
    again = [ad("a"), ad("a", 1, spend_minor=7), ad("b", clicks=2), ad("b", 1), ad("c")]
    assert store(studio, again, "meta") == Upserted(created=2, updated=2, unchanged=1)
    assert numbers(superuser) == {
        ("meta a", 0): 100,
        ("meta a", 1): 7,
        ("meta b", 0): 100,
        ("meta b", 1): 100,
        ("meta c", 0): 100,
    }
    assert store(studio, again, "meta") == Upserted(unchanged=5)


def test_a_missing_campaign_is_created_from_its_numbers(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [ad("a", day, campaign_name="Autumn") for day in range(3)], "meta")
    assert superuser.run("SELECT platform, external_id, name, status, objective FROM ad_campaign") == [
        ["meta", "a", "Autumn", "active", None]
    ]
    filled = AdCampaignRecord(external_id="a", name="Autumn", status="paused", objective="leads")
    assert store(studio, [filled], "meta") == Upserted(updated=1)
    assert superuser.run("SELECT status, objective FROM ad_campaign") == [["paused", "leads"]]


def test_an_existing_campaign_is_not_touched_by_its_numbers(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [AdCampaignRecord(external_id="a", name="Spring", status="ended")], "meta")
    before = superuser.run("SELECT xmin::text, c::text FROM ad_campaign AS c")
    store(studio, [ad("a", campaign_name="Another name")], "meta")
    assert superuser.run("SELECT xmin::text, c::text FROM ad_campaign AS c") == before


def test_campaigns_of_the_same_external_id_on_two_platforms_are_two(
    studio: UUID, superuser: pg8000.native.Connection
) -> None:
    store(studio, [ad("a", spend_minor=1)], "meta")
    assert store(studio, [ad("a", spend_minor=2)], "google") == Upserted(created=1)
    assert numbers(superuser) == {("meta a", 0): 1, ("google a", 0): 2}


def test_another_studio_has_campaigns_of_its_own(studio: UUID, superuser: pg8000.native.Connection) -> None:
    store(studio, [ad("a")], "meta")
    assert store(new_studio("Other"), [ad("a")], "meta") == Upserted(created=1)
    assert superuser.run("SELECT count(*) FROM ad_metric JOIN ad_campaign USING (studio_id)") == [[2]]


def test_of_two_numbers_for_one_day_the_last_one_counts(studio: UUID, superuser: pg8000.native.Connection) -> None:
    page = [ad("a", spend_minor=1), ad("a", 1), ad("a", spend_minor=2), ad("a", external_id="odd", spend_minor=3)]
    assert store(studio, page, "meta") == Upserted(created=2)
    assert numbers(superuser) == {("meta a", 0): 3, ("meta a", 1): 100}


def test_a_page_of_ad_numbers_is_one_statement(studio: UUID) -> None:
    page = [ad(f"{n:03}", day) for n in range(500) for day in range(2)]
    connection_id = connection_of(studio, "meta")
    with query_statistics() as statistics:
        assert store(studio, page, "meta", connection_id=connection_id) == Upserted(created=1000)
    assert statistics.round_trips == 1 + 1


def test_ad_numbers_are_not_compared_with_every_campaign(
    studio: UUID, superuser: pg8000.native.Connection, clean_database: Database
) -> None:
    store(studio, [ad(f"campaign {number}") for number in range(1000)], "meta")
    superuser.run("ANALYZE ad_campaign")  # or the plan is made for what the table held in an earlier test
    application = clean_database.connect("ansel_joint")
    act_as(application, studio)
    statement: Query[None] = Query(upsert_sql("ad_metric", AdMetricRecord.__struct_fields__))
    plan = application.run(f"EXPLAIN (GENERIC_PLAN) {statement.sql}")
    application.close()
    assert "Nested Loop" not in str(plan)


@pytest.mark.parametrize("table", ["ad_metric", "review"])
def test_rows_for_another_studio_are_rejected(table: str, studio: UUID) -> None:
    other = new_studio("Other")

    def store_for_other() -> None:
        with transaction(studio) as tx:
            page = [ad("a")] if table == "ad_metric" else [review()]
            source: dict[str, Any] = {"connection_id": connection_of(other, "meta"), "account_id": ACCOUNT}
            sync_store.upsert(tx, table, other, "meta", page, **source)

    refused(store_for_other, "42501")


def test_two_concurrent_transactions_create_one_campaign(studio: UUID, superuser: pg8000.native.Connection) -> None:
    with ThreadPoolExecutor(1) as beside:
        with transaction(studio) as tx:
            sync_store.upsert(
                tx,
                "ad_metric",
                studio,
                "meta",
                [ad("a", 0), ad("b", 0)],
                connection_id=connection_of(studio, "meta"),
                account_id=ACCOUNT,
            )
            other = beside.submit(store, studio, [ad("a", 1), ad("c", 1)], "meta")
            wait_until_blocked(superuser)
        assert other.result() == Upserted(created=2)
    assert set(numbers(superuser)) == {("meta a", 0), ("meta a", 1), ("meta b", 0), ("meta c", 1)}
    assert superuser.run("SELECT count(*) FROM ad_campaign") == [[3]]
