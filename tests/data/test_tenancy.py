"""Tenancy: whatever a statement says, a studio reads and changes only its own rows."""

import re
from typing import Any
from uuid import UUID

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.query import Query, array_of
from chalicelib.data.sync import store as sync_store
from chalicelib.data.sync.store import FullRead, Removed
from chalicelib.errors import AlreadyExists
from chalicelib.platforms.core.records import BookingRecord
from chalicelib.services.streams import TABLES
from tests.conftest import ROOT
from tests.data import pages
from tests.data.aimed import ACROSS_STUDIOS, AIMS, ATTACKS, BUILT, CONSTANTS, AnyValue
from tests.data.aiming import Aim
from tests.data.attack import INTRUDER, VICTIM, refused, sqlstate
from tests.data.queries import find_queries
from tests.data.rows import NOW, Rows, connection_of, snapshot

REFUSED = ("42501", "23503")
"""Row-level security, a foreign key"""


def attempt(studio_id: UUID | None, query: Query[Any], rows: Rows, aim: Aim) -> Any:
    """What the query returns; None if the database rejects it."""
    try:
        with transaction(studio_id) as tx:
            return tx.run(query, **AnyValue(rows, aim))
    except AlreadyExists:
        return None
    except DatabaseError as error:
        if sqlstate(error) not in REFUSED:
            raise
        return None


def test_every_query_has_an_attack() -> None:
    assert {module: set(aims) for module, aims in AIMS.items()} == {
        module: set(constants) for module, constants in CONSTANTS.items()
    }
    named = [name for aims in AIMS.values() for name in aims]
    assert find_queries(ROOT / "chalicelib") == sorted([*named, *{each.function for each in BUILT}])
    assert TABLES.keys() < pages.TABLE_OF.keys()


@pytest.mark.parametrize("name", sorted(ACROSS_STUDIOS))
def test_a_cross_tenant_query_only_calls_one_function(name: str) -> None:
    sql = ACROSS_STUDIOS[name].sql
    for number in range(1, 4):
        sql = sql.replace(array_of("x").replace(":x", f"${number}"), f"${number}")
    assert re.fullmatch(r"SELECT cross_tenant\.\w+\((\$1(, \$\d)*)?\)", sql)


@pytest.mark.parametrize("name", sorted(ATTACKS))
@pytest.mark.parametrize("actor", [INTRUDER, None], ids=["another studio", "no studio"])
def test_a_query_aimed_at_another_studio_reads_and_changes_nothing(
    name: str, actor: UUID | None, victim: Rows, superuser: pg8000.native.Connection
) -> None:
    query, aim = ATTACKS[name]
    if aim.prepare:
        superuser.run(aim.prepare)
    before = snapshot(superuser, VICTIM)
    answer = repr(attempt(actor, query, victim, aim))
    assert snapshot(superuser, VICTIM) == before
    assert "victim" not in answer
    ids = {str(row["id"]) for row in victim.values() if "id" in row}
    assert not [found for found in ids if found in answer]


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_the_same_query_reaches_its_own_studio(name: str, victim: Rows, superuser: pg8000.native.Connection) -> None:
    """Verifies the attacks above: without the studio, each would have an effect."""
    query, aim = ATTACKS[name]
    if aim.prepare:
        superuser.run(aim.prepare)
    before, nobodys = snapshot(superuser, VICTIM), attempt(None, query, victim, aim)
    own = attempt(VICTIM, query, victim, aim)
    assert own != nobodys or snapshot(superuser, VICTIM) != before


def booking(external_id: str) -> BookingRecord:
    return BookingRecord(
        external_id=external_id,
        title="intruder",
        event_type="other",
        event_date=NOW.date(),
        starts_at=NOW,
        ends_at=NOW,
        all_day=False,
        status="confirmed",
        booked_at=NOW,
    )


def test_a_page_for_another_studio_is_refused(victim: Rows) -> None:
    account, connection_id = victim["connected_account"]["id"], victim["platform_connection"]["id"]

    def store() -> None:
        with transaction(INTRUDER) as tx:
            page = [booking("one"), booking("two")]
            sync_store.upsert(tx, "booking", VICTIM, "google", page, connection_id=connection_id, account_id=account)

    refused(store, "42501")


def test_writes_with_the_same_keys_touch_no_other_studio(victim: Rows, superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE account_position SET read_started_at = 'infinity'")  # after whatever is stored here
    ((own_run,),) = superuser.run("SELECT id FROM sync_log WHERE studio_id = :studio", studio=INTRUDER) or [[None]]
    (((account,),),) = (superuser.run("SELECT account_ids[1] FROM booking WHERE studio_id = :id", id=INTRUDER),)
    before = snapshot(superuser, VICTIM)
    with transaction(INTRUDER) as tx:
        outcome = sync_store.upsert(
            tx,
            "booking",
            INTRUDER,
            "google",
            [booking("one"), booking("two")],
            connection_id=connection_of(INTRUDER),
            account_id=account,
        )
        assert (outcome.created, outcome.updated) == (1, 1)
        assert sync_store.remove(tx, "booking", connection_of(INTRUDER), ["one"], account_id=account) == 1
        assert (
            sync_store.sweep(
                tx, "booking", connection_of(INTRUDER), FullRead(victim["sync_log"]["id"], account, "bookings")
            )
            == Removed()
        )
        assert sync_store.sweep(
            tx, "booking", connection_of(INTRUDER), FullRead(own_run, account, "bookings")
        ) == Removed(count=1)
    assert snapshot(superuser, VICTIM) == before
