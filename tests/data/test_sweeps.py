"""The end of a complete read: rows that it did not find are gone, if that is plausible."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.maintenance import FORGET_SEEN_OF_ENDED_RUNS
from chalicelib.data.postgres.database import transaction
from chalicelib.data.sync import store as sync_store
from chalicelib.data.sync.store import FullRead, Removed
from chalicelib.platforms.core.records import AdCampaignRecord
from dev.tenants import act_as
from tests.conftest import Database
from tests.data.pages import ACCOUNT, booking, column, store, wait_until_blocked
from tests.data.rows import connection_of, insert, new_studio


@pytest.fixture
def studio(clean_database: Database) -> UUID:
    return new_studio()


@pytest.fixture
def run(studio: UUID, superuser: pg8000.native.Connection) -> FullRead:
    """A run of the studio that can record what it has seen; it starts after everything the test stores."""
    connection_id = UUID(int=studio.int ^ 1)
    connection = {"id": connection_id, "studio_id": studio, "platform": "google", "access_token": b"sealed"}
    insert(superuser, "platform_connection", [connection])
    of_stream = {"studio_id": studio, "connection_id": connection_id, "stream": "bookings"}
    insert(superuser, "sync_log", [{"id": studio, "platform": "google", "trigger": "manual", **of_stream}])
    position = {"run_id": studio, "account_id": ACCOUNT, "read_started_at": "infinity"}
    insert(superuser, "account_position", [{**of_stream, **position}])
    return FullRead(studio, ACCOUNT, "bookings")


def start(superuser: pg8000.native.Connection) -> None:
    superuser.run("UPDATE account_position SET read_started_at = clock_timestamp()")


def swept(studio: UUID, run: FullRead, *, confirmed: bool = False, table: str = "booking") -> Removed:
    with transaction(studio) as tx:
        return sync_store.sweep(tx, table, connection_of(studio), run, confirmed=confirmed)


def cancelled(superuser: pg8000.native.Connection) -> set[str]:
    return {key for key, status in column(superuser, "booking", "status").items() if status == "cancelled"}


def test_a_sweep_cancels_bookings_missing_from_a_complete_read(
    studio: UUID, run: FullRead, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking(key) for key in "abcd"])
    store(studio, [booking("elsewhere")], "website")
    with transaction(studio) as tx:
        sync_store.remember_seen(tx, "booking", run, studio, ["a", "b"])
    with transaction(studio) as tx:
        sync_store.remember_seen(tx, "booking", run, studio, ["b", "d"])
        assert sync_store.sweep(tx, "booking", connection_of(studio), run) == Removed(count=1)
        assert sync_store.sweep(tx, "booking", connection_of(studio), run) == Removed()
    assert cancelled(superuser) == {"c"}


def test_a_campaign_missing_from_a_complete_read_is_archived(
    studio: UUID, run: FullRead, superuser: pg8000.native.Connection
) -> None:
    store(studio, [AdCampaignRecord(external_id=key, name="Spring", status="paused") for key in "ab"])
    with transaction(studio) as tx:
        sync_store.remember_seen(tx, "ad_campaign", run, studio, ["a"])
        sync_store.remember_seen(tx, "booking", run, studio, ["b"])
    assert swept(studio, run, table="ad_campaign") == Removed(count=1)
    assert column(superuser, "ad_campaign", "status") == {"a": "paused", "b": "archived"}


@pytest.mark.parametrize(
    ("met", "missed", "believed"),
    [
        (0, 20, True),  # all there is, but few
        (0, 21, False),
        (63, 21, True),  # a quarter of all
        (63, 22, False),
        (999, 333, True),
        (998, 333, False),
    ],
)
def test_a_sweep_of_many_rows_and_a_large_share_is_refused(
    met: int, missed: int, believed: bool, studio: UUID, run: FullRead, superuser: pg8000.native.Connection
) -> None:
    seen, unseen = [f"met {n}" for n in range(met)], [f"missed {n}" for n in range(missed)]
    store(studio, [booking(key) for key in seen + unseen])
    store(studio, [booking(f"gone {n}", status="cancelled") for n in range(100)])
    with transaction(studio) as tx:
        sync_store.remember_seen(tx, "booking", run, studio, seen)
    removed = swept(studio, run)
    assert removed == (Removed(count=missed) if believed else Removed(refused=missed))
    assert cancelled(superuser) - {f"gone {n}" for n in range(100)} == (set(unseen) if believed else set())


def test_a_confirmed_sweep_removes_any_number_of_rows(
    studio: UUID, run: FullRead, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking(str(n)) for n in range(50)])
    assert swept(studio, run) == Removed(refused=50)
    assert swept(studio, run, confirmed=True) == Removed(count=50)
    assert len(cancelled(superuser)) == 50


def test_rows_changed_after_the_read_began_are_not_missing(
    studio: UUID, run: FullRead, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking(key) for key in ("created before", "changed after")])
    start(superuser)
    store(studio, [booking("created after"), booking("changed after", title="Moved")])
    assert swept(studio, run) == Removed(count=1)
    assert cancelled(superuser) == {"created before"}


def test_rows_changed_after_the_read_began_do_not_make_a_sweep_too_large(
    studio: UUID, run: FullRead, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking(str(n)) for n in range(20)])
    start(superuser)
    store(studio, [booking(f"backfilled {n}") for n in range(40)])
    assert swept(studio, run) == Removed(count=20)


def test_a_row_stored_during_a_sweep_is_not_removed(
    studio: UUID, run: FullRead, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking(key) for key in "ab"])
    start(superuser)
    with ThreadPoolExecutor(1) as beside:
        with transaction(studio) as tx:
            sync_store.upsert(
                tx,
                "booking",
                studio,
                "google",
                [booking("a", title="Moved")],
                connection_id=connection_of(studio),
                account_id=ACCOUNT,
            )
            sweep = beside.submit(swept, studio, run)
            wait_until_blocked(superuser)
        assert sweep.result() == Removed(count=1)
    assert cancelled(superuser) == {"b"}


@pytest.mark.parametrize("started", [True, False], ids=["unknown", "not started"])
def test_a_sweep_for_a_run_that_read_nothing_removes_nothing(
    started: bool, studio: UUID, run: FullRead, superuser: pg8000.native.Connection
) -> None:
    store(studio, [booking("a")])
    if not started:
        superuser.run("UPDATE account_position SET read_started_at = NULL")
    assert swept(studio, run._replace(run_id=UUID(int=1)) if started else run, confirmed=True) == Removed()
    assert cancelled(superuser) == set()


def test_a_sweep_of_freshly_filled_tables_is_not_quadratic(
    studio: UUID, run: FullRead, clean_database: Database
) -> None:
    """A first read fills both tables before the server has statistics for either."""
    store(studio, [booking(str(number)) for number in range(2000)])
    with transaction(studio) as tx:
        sync_store.remember_seen(tx, "booking", run, studio, [str(number) for number in range(2000)])
    application = clean_database.connect("ansel_joint")
    act_as(application, studio)
    plan = application.run(f"EXPLAIN (GENERIC_PLAN) {sync_store.missing_query('booking').sql}")
    application.close()
    assert "Nested Loop" not in str(plan)


def test_seen_ids_are_deleted_with_their_run(studio: UUID, run: FullRead, superuser: pg8000.native.Connection) -> None:
    with transaction(studio) as tx:
        sync_store.remember_seen(tx, "booking", run, studio, ["a"])
    superuser.run("DELETE FROM sync_log")
    with transaction(None) as tx:
        assert tx.run(FORGET_SEEN_OF_ENDED_RUNS, batch=10).count == 1
    assert superuser.run("SELECT count(*) FROM sync_seen") == [[0]]
