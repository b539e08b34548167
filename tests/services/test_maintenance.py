"""Maintenance: what is pruned, what is kept, and what is reported."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from pg8000.exceptions import DatabaseError
from pg8000.native import Connection as Superuser

from chalicelib.data.maintenance import PRUNE_RUNS
from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.rows import BEFORE_ALL_IDS
from chalicelib.services.operations import maintenance
from chalicelib.services.operations.maintenance import MaintenanceReport, maintain
from chalicelib.settings import get_settings
from tests.conftest import Database
from tests.data.rows import new_studio

PLENTY_MS = 300_000
ENDED = ["succeeded", "failed", "cancelled"]
ACTIVE = ["queued", "running", "deferred"]


@pytest.fixture
def studio(clean_database: Database, superuser: Superuser) -> UUID:
    return connected_studio(superuser)


def connected_studio(superuser: Superuser) -> UUID:
    """A connected studio with a fresh successful run, so that no older run of its bookings is the newest."""
    studio_id = new_studio()
    superuser.run(
        "INSERT INTO platform_connection (studio_id, platform, status) VALUES (:id, 'google', 'disabled')", id=studio_id
    )
    add_runs(superuser, studio_id, days=0)
    return studio_id


def add_runs(
    superuser: Superuser,
    studio_id: UUID,
    *,
    days: float,
    count: int = 1,
    status: str = "succeeded",
    trigger: str = "manual",
    stream: str = "bookings",
) -> list[UUID]:
    """Runs queued, and if finished also finished, so long ago; later ones in the list are younger."""
    finished_at = "now() + age" if status in ENDED else "NULL"
    backfilled = "date '2026-01-01'" if trigger == "backfill" else "NULL"
    rows = superuser.run(
        f"""
        INSERT INTO sync_log
            (id, studio_id, connection_id, platform, stream, trigger, status, queued_at, finished_at, backfill_from,
             backfill_to)
        SELECT uuidv7(age), c.studio_id, c.id, 'google', '{stream}', '{trigger}', '{status}',
               now() + age, {finished_at}, {backfilled}, {backfilled}
        FROM platform_connection AS c, generate_series(1, {count}) AS i,
             LATERAL (SELECT interval '-1 day' * {days} + interval '10 ms' * i) AS a (age)
        WHERE c.studio_id = :studio_id
        RETURNING id
        """,
        studio_id=studio_id,
    )
    return [run_id for (run_id,) in rows or ()]


def add_keys(superuser: Superuser, studio_id: UUID, *, age: str, count: int = 1) -> None:
    superuser.run(
        "INSERT INTO idempotency_key (studio_id, key, request_hash, started_at)"
        f" SELECT :id, '{age} ' || i, '', now() - interval '{age}' FROM generate_series(1, {count}) AS i",
        id=studio_id,
    )


def add_seen(superuser: Superuser, studio_id: UUID, run_id: UUID, *, count: int = 1) -> None:
    superuser.run(
        "INSERT INTO sync_seen (run_id, account_id, studio_id, table_name, external_id)"
        f" SELECT :run_id, :studio_id, :studio_id, 'booking', i::text FROM generate_series(1, {count}) AS i",
        run_id=run_id,
        studio_id=studio_id,
    )


def surviving_runs(superuser: Superuser, *run_ids: UUID) -> list[UUID]:
    rows = superuser.run("SELECT id FROM sync_log WHERE id = ANY(:ids) ORDER BY id", ids=list(run_ids))
    return [run_id for (run_id,) in rows or ()]


def count(superuser: Superuser, table: str) -> int:
    return int(superuser.run(f"SELECT count(*) FROM {table}")[0][0])


def plenty() -> int:
    return PLENTY_MS


def time_for(batches: int) -> Callable[[], int]:
    """A deadline reached after so many batches."""
    remaining: Iterator[int] = iter([PLENTY_MS] * (batches - 1))
    return lambda: next(remaining, 0)


@pytest.mark.parametrize("status", ENDED)
def test_runs_older_than_the_retention_are_pruned(studio: UUID, superuser: Superuser, status: str) -> None:
    (old,) = add_runs(superuser, studio, days=401, status=status)
    (young,) = add_runs(superuser, studio, days=399, status=status)
    assert maintain(plenty) == MaintenanceReport(runs_pruned=1, complete=True)
    assert surviving_runs(superuser, old, young) == [young]


def test_the_retention_is_a_setting(studio: UUID, superuser: Superuser, monkeypatch: pytest.MonkeyPatch) -> None:
    (old,) = add_runs(superuser, studio, days=31)
    (young,) = add_runs(superuser, studio, days=29)
    monkeypatch.setenv("SYNC_LOG_RETENTION_DAYS", "30")
    get_settings.cache_clear()
    assert maintain(plenty).runs_pruned == 1
    monkeypatch.undo()
    get_settings.cache_clear()
    assert surviving_runs(superuser, old, young) == [young]


@pytest.mark.parametrize("days", [29, 0, -1000, None])
def test_a_retention_under_thirty_days_is_rejected(studio: UUID, superuser: Superuser, days: int | None) -> None:
    (old,) = add_runs(superuser, studio, days=31)
    (young,) = add_runs(superuser, studio, days=29.5)
    with transaction(None) as tx:
        assert tx.run(PRUNE_RUNS, after=BEFORE_ALL_IDS, days=days, batch=10).count == 1
    assert surviving_runs(superuser, old, young) == [young]


@pytest.mark.parametrize("status", ACTIVE)
def test_an_active_run_is_kept_at_any_age(studio: UUID, superuser: Superuser, status: str) -> None:
    active = add_runs(superuser, studio, days=1000, status=status)
    assert maintain(plenty).runs_pruned == 0
    assert surviving_runs(superuser, *active) == active


def test_a_run_that_ended_recently_is_kept(studio: UUID, superuser: Superuser) -> None:
    (run,) = add_runs(superuser, studio, days=500)
    superuser.run("UPDATE sync_log SET finished_at = now() - interval '399 days' WHERE id = :id", id=run)
    assert maintain(plenty).runs_pruned == 0


def test_the_newest_run_of_each_stream_is_kept_at_any_age(studio: UUID, superuser: Superuser) -> None:
    newest = []
    for stream in ("inquiries", "reviews"):
        *_, last = add_runs(superuser, studio, days=800, count=3, stream=stream)
        newest.append(last)
    (other,) = add_runs(superuser, connected_studio(superuser), days=900, stream="inquiries")
    assert maintain(plenty).runs_pruned == 4
    assert maintain(plenty).runs_pruned == 0
    assert surviving_runs(superuser, other, *newest) == sorted([other, *newest])


def test_a_finished_backfill_is_pruned_and_never_counts_as_the_newest_run(studio: UUID, superuser: Superuser) -> None:
    (old_backfill,) = add_runs(superuser, studio, days=900, trigger="backfill", stream="inquiries")
    (live,) = add_runs(superuser, studio, days=800, stream="inquiries")
    (backfill,) = add_runs(superuser, studio, days=700, trigger="backfill", stream="inquiries")
    maintain(plenty)
    assert surviving_runs(superuser, old_backfill, live, backfill) == [live, backfill]
    (newer,) = add_runs(superuser, studio, days=600, stream="inquiries")
    maintain(plenty)
    assert surviving_runs(superuser, live, backfill, newer) == [newer]


def test_pruning_a_backfill_deletes_only_its_own_positions(studio: UUID, superuser: Superuser) -> None:
    add_runs(superuser, studio, days=1)
    (backfill,) = add_runs(superuser, studio, days=500, trigger="backfill")
    for belongs_to in (backfill, None):
        superuser.run(
            "INSERT INTO account_position (studio_id, connection_id, stream, account_id, backfill_id)"
            " SELECT studio_id, id, 'bookings', id, :backfill FROM platform_connection WHERE studio_id = :studio",
            backfill=belongs_to,
            studio=studio,
        )
    assert maintain(plenty).runs_pruned == 1
    assert superuser.run("SELECT backfill_id FROM account_position") == [[None]]


def test_every_studio_is_pruned_alike_and_keeps_everything_else(studio: UUID, superuser: Superuser) -> None:
    other = connected_studio(superuser)
    for studio_id in (studio, other):
        add_runs(superuser, studio_id, days=401, count=2)
        add_keys(superuser, studio_id, age="2 days")
    assert maintain(plenty) == MaintenanceReport(runs_pruned=4, keys_forgotten=2, complete=True)
    remaining_runs = superuser.run("SELECT studio_id, count(*) FROM sync_log GROUP BY 1 ORDER BY 1")
    assert remaining_runs == [[studio_id, 1] for studio_id in sorted([studio, other])]
    assert count(superuser, "studio") == count(superuser, "platform_connection") == 2


def test_an_idempotency_key_is_deleted_once_it_may_be_reused(studio: UUID, superuser: Superuser) -> None:
    add_keys(superuser, studio, age="24 hours 1 minute", count=2)
    add_keys(superuser, studio, age="23 hours 59 minutes")
    assert maintain(plenty) == MaintenanceReport(keys_forgotten=2, complete=True)
    assert count(superuser, "idempotency_key") == 1


@pytest.mark.parametrize("status", [*ENDED, *ACTIVE])
def test_the_ids_a_run_has_seen_are_deleted_once_it_has_ended(studio: UUID, superuser: Superuser, status: str) -> None:
    (run,) = add_runs(superuser, studio, days=2, status=status)
    add_seen(superuser, studio, run, count=3)
    forgotten = 3 if status in ENDED else 0
    assert maintain(plenty) == MaintenanceReport(seen_forgotten=forgotten, complete=True)
    assert count(superuser, "sync_seen") == 3 - forgotten


def test_pruning_a_run_deletes_the_ids_it_has_seen(studio: UUID, superuser: Superuser) -> None:
    (run,) = add_runs(superuser, studio, days=401)
    add_seen(superuser, studio, run, count=3)
    assert maintain(plenty) == MaintenanceReport(runs_pruned=1, seen_forgotten=3, complete=True)
    assert count(superuser, "sync_seen") == 0


@pytest.fixture
def backlog(studio: UUID, superuser: Superuser, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """Seven rows of each kind to prune, with rows to keep before, between and after them, and a batch size of three."""
    monkeypatch.setattr(maintenance, "BATCH", 3)
    add_runs(superuser, studio, days=1000, stream="inquiries")
    add_runs(superuser, studio, days=600, count=4)
    (active,) = add_runs(superuser, studio, days=550, status="deferred")
    add_runs(superuser, studio, days=500, count=3)
    (ended,) = add_runs(superuser, studio, days=2)
    for run, seen in ((active, 5), (ended, 7)):
        add_seen(superuser, studio, run, count=seen)
    add_keys(superuser, studio, age="2 days", count=7)
    add_keys(superuser, studio, age="1 hour", count=2)
    return studio


EVERYTHING = MaintenanceReport(runs_pruned=7, keys_forgotten=7, seen_forgotten=7, complete=True)


def test_one_maintenance_prunes_several_batches(backlog: UUID, superuser: Superuser) -> None:
    assert maintain(plenty) == EVERYTHING
    assert [count(superuser, table) for table in ("sync_log", "sync_seen", "idempotency_key")] == [4, 5, 2]
    assert maintain(plenty) == MaintenanceReport(complete=True)


def test_maintenance_out_of_time_stops_after_a_batch_and_reports_it(backlog: UUID, superuser: Superuser) -> None:
    assert maintain(time_for(batches=1)) == MaintenanceReport(seen_forgotten=3)
    assert maintain(time_for(batches=3)) == MaintenanceReport(seen_forgotten=4, keys_forgotten=3)
    assert maintain(time_for(batches=10)) == MaintenanceReport(keys_forgotten=4, runs_pruned=2)
    assert maintain(plenty) == MaintenanceReport(runs_pruned=5, complete=True)


def test_finished_batches_stay_committed_when_a_later_one_fails(
    backlog: UUID, superuser: Superuser, caplog: pytest.LogCaptureFixture
) -> None:
    superuser.run("ALTER TABLE idempotency_key RENAME TO hidden")
    try:
        with pytest.raises(DatabaseError, match="idempotency_key"):
            maintenance_report(caplog)
    finally:
        superuser.run("ALTER TABLE hidden RENAME TO idempotency_key")
    assert reports(caplog)[-1].items() >= {"seen_forgotten": 7, "keys_forgotten": 0, "complete": False}.items()
    assert maintain(plenty) == MaintenanceReport(runs_pruned=7, keys_forgotten=7, complete=True)


def test_concurrent_maintenances_share_the_work(backlog: UUID, superuser: Superuser) -> None:
    add_runs(superuser, backlog, days=450, count=60)
    add_keys(superuser, backlog, age="3 days", count=60)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: maintain(plenty), range(4)))
    totals = [sum(getattr(report, name) for report in done) for name in ("runs_pruned", "keys_forgotten")]
    assert totals == [67, 67]
    assert sum(report.seen_forgotten for report in done) == 7


@pytest.mark.parametrize(
    ("table", "passed_over"),
    [("sync_log", "runs_pruned"), ("sync_seen", "seen_forgotten"), ("idempotency_key", "keys_forgotten")],
)
def test_rows_locked_by_other_sessions_are_skipped(
    backlog: UUID, database: Database, table: str, passed_over: str
) -> None:
    holder = database.connect()
    holder.run("BEGIN")
    holder.run(f"SELECT FROM {table} FOR UPDATE")
    try:
        report = maintain(plenty)
    finally:
        holder.run("ROLLBACK")
        holder.close()
    assert getattr(report, passed_over) == 0
    assert report.complete
    assert getattr(maintain(plenty), passed_over) == 7


def maintenance_report(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Runs a maintenance and returns the fields of its one event."""
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="ansel"):
        maintain(plenty)
    (report,) = reports(caplog)
    return report


def reports(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.fields for record in caplog.records if record.getMessage() == "maintenance.done"]  # type: ignore[attr-defined]


def test_maintenance_reports_what_it_did(backlog: UUID, caplog: pytest.LogCaptureFixture) -> None:
    report = maintenance_report(caplog)
    (stuck,) = report.pop("oldest_stuck")
    assert stuck["studio_id"] == backlog
    assert report == {
        "runs_pruned": 7,
        "keys_forgotten": 7,
        "seen_forgotten": 7,
        "grants_forgotten": 0,
        "deliveries_pruned": 0,
        "events_pruned": 0,
        "deletions_forgotten": 0,
        "set_aside_pruned": 0,
        "audit_pruned": 0,
        "complete": True,
        "runs_stuck": 1,
        "runs_abandoned": 0,
    }


def test_runs_active_for_more_than_a_day_are_reported_as_stuck(
    studio: UUID, superuser: Superuser, caplog: pytest.LogCaptureFixture
) -> None:
    stuck = []
    for stream, status in enumerate(ACTIVE):
        stuck += add_runs(superuser, studio, days=3 - stream / 2, status=status, stream=f"stream {stream}")
        add_runs(superuser, studio, days=0.99, status=status, stream=f"fresh {stream}")
    report = maintenance_report(caplog)
    assert report["runs_stuck"] == 3
    assert report["oldest_stuck"] == [{"run_id": run, "studio_id": studio} for run in stuck]


def test_only_the_oldest_stuck_runs_are_listed(
    studio: UUID, superuser: Superuser, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(25):
        add_runs(superuser, studio, days=30 - number, status="deferred", stream=f"stream {number}")
    report = maintenance_report(caplog)
    assert report["runs_stuck"] == 25
    oldest = surviving_runs(superuser, *(run["run_id"] for run in report["oldest_stuck"]))
    assert len(oldest) == 20
    assert superuser.run("SELECT max(id::text) FROM sync_log WHERE stream = 'stream 19'") == [[str(oldest[-1])]]


@pytest.mark.parametrize(("silent_for", "abandoned"), [("61 minutes", 1), ("59 minutes", 0)])
def test_a_run_whose_lease_expired_long_ago_is_reported_as_abandoned(
    studio: UUID, superuser: Superuser, caplog: pytest.LogCaptureFixture, silent_for: str, abandoned: int
) -> None:
    add_runs(superuser, studio, days=0.5, status="running")
    superuser.run(f"UPDATE sync_log SET lease_expires_at = now() - interval '{silent_for}' WHERE finished_at IS NULL")
    report = maintenance_report(caplog)
    assert (report["runs_stuck"], report["runs_abandoned"], report["oldest_stuck"]) == (0, abandoned, [])


def add_events(superuser: Superuser, studio_id: UUID, *, days: float, count: int = 1) -> list[UUID]:
    """Events of the studio's connection, recorded so long ago."""
    rows = superuser.run(
        f"""
        INSERT INTO connection_event (id, studio_id, connection_id, kind)
        SELECT uuidv7(interval '-1 day' * {days} + interval '10 ms' * i), c.studio_id, c.id, 'failed'
        FROM platform_connection AS c, generate_series(1, {count}) AS i WHERE c.studio_id = :studio_id
        RETURNING id
        """,
        studio_id=studio_id,
    )
    return [event_id for (event_id,) in rows or ()]


def add_delivery(superuser: Superuser, studio_id: UUID, *, days: float, due: bool = False) -> UUID:
    """A delivery of a fresh event, created so long ago."""
    (event_id,) = add_events(superuser, studio_id, days=0)
    ((delivery_id,),) = superuser.run(
        f"""
        WITH hook AS (
            INSERT INTO webhook_endpoint (studio_id, url, secret)
            VALUES (:studio_id, 'https://studio.example/' || uuidv7(), '')
            RETURNING id
        )
        INSERT INTO webhook_delivery (id, studio_id, endpoint_id, event_id, due_at)
        SELECT uuidv7(interval '-1 day' * {days}), :studio_id, hook.id, :event_id, {"now()" if due else "NULL"}
        FROM hook
        RETURNING id
        """,
        studio_id=studio_id,
        event_id=event_id,
    )
    return delivery_id  # type: ignore[no-any-return]


def test_events_of_a_connection_are_kept_for_four_hundred_days(studio: UUID, superuser: Superuser) -> None:
    add_events(superuser, studio, days=401, count=2)
    young = add_events(superuser, studio, days=399)
    assert maintain(plenty) == MaintenanceReport(events_pruned=2, complete=True)
    assert superuser.run("SELECT id FROM connection_event") == [young]


def test_a_delivery_is_kept_for_thirty_days_and_while_it_is_due(studio: UUID, superuser: Superuser) -> None:
    add_delivery(superuser, studio, days=31)
    kept_ones = [add_delivery(superuser, studio, days=31, due=True), add_delivery(superuser, studio, days=29)]
    assert maintain(plenty) == MaintenanceReport(deliveries_pruned=1, complete=True)
    assert sorted(id for (id,) in superuser.run("SELECT id FROM webhook_delivery") or ()) == sorted(kept_ones)


def test_an_unrevocable_expired_grant_is_deleted_a_day_later(studio: UUID, superuser: Superuser) -> None:
    superuser.run(
        """
        INSERT INTO pending_grant (studio_id, platform, access_token, warnings, expires_at, due_at)
        SELECT :studio_id, 'google', 'sealed', '[]', now() - age, now() + interval '15 minutes'
        FROM unnest(ARRAY[interval '25 hours', interval '23 hours', interval '-5 minutes']) AS a (age)
        """,
        studio_id=studio,
    )
    assert maintain(plenty) == MaintenanceReport(grants_forgotten=1, complete=True)
    assert superuser.run("SELECT count(*) FROM pending_grant WHERE expires_at > now() - interval '24 hours'") == [[2]]


def test_pruning_an_event_deletes_its_deliveries(studio: UUID, superuser: Superuser) -> None:
    add_delivery(superuser, studio, days=29)
    superuser.run("ALTER TABLE webhook_delivery DISABLE TRIGGER ALL")
    superuser.run("UPDATE webhook_delivery SET event_id = uuidv7(interval '-401 days')")
    superuser.run("UPDATE connection_event SET id = (SELECT event_id FROM webhook_delivery)")
    superuser.run("ALTER TABLE webhook_delivery ENABLE TRIGGER ALL")
    assert maintain(plenty).events_pruned == 1
    assert count(superuser, "webhook_delivery") == 0


def test_a_data_deletion_is_kept_until_long_after_its_completion(
    clean_database: Database, superuser: Superuser
) -> None:
    superuser.run(
        "INSERT INTO data_deletion (platform, code_hash, requested_at, done_at) VALUES"
        " ('meta', 'old', now() - interval '500 days', now() - interval '401 days'),"
        " ('meta', 'young', now() - interval '500 days', now() - interval '399 days'),"
        " ('meta', 'open', now() - interval '500 days', NULL)"
    )
    assert maintain(plenty) == MaintenanceReport(deletions_forgotten=1, complete=True)
    assert superuser.run("SELECT encode(code_hash, 'escape') FROM data_deletion ORDER BY 1") == [["open"], ["young"]]
