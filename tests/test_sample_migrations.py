"""Migrations on a live system, shown by two samples: locks, interruptions, traffic, and downgrades."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import UUID

import pg8000.native
import pytest
from alembic import command
from sqlalchemy.exc import ProgrammingError

from chalicelib.data.health import SCHEMA_HEAD
from dev.tenants import act_as
from tests.conftest import Database
from tests.migrating import SAMPLES, Catalog, catalog, revision, sample_config

EXPAND, CONTRACT = SAMPLES
SAMPLE = sample_config()
HASTY = sample_config(lock_timeout="50ms")
RUN_OF_NOBODY = """
    INSERT INTO sync_log (studio_id, connection_id, platform, stream, trigger, status)
    SELECT uuidv7(), uuidv7(), 'google', 'bookings', kind, 'succeeded' FROM unnest(ARRAY[{}]) AS kind
"""
NOTE_LOCKS = """
    CREATE TABLE altered (statement text, strongly boolean);
    CREATE FUNCTION note_lock() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO public.altered SELECT current_query(), EXISTS (
            SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'public.sync_log'::regclass
            AND mode = 'AccessExclusiveLock'
        );
    END $$;
    CREATE EVENT TRIGGER note_lock ON ddl_command_end EXECUTE FUNCTION note_lock()
"""


@pytest.fixture
def live(fresh: Database) -> Database:
    """A database at the product's newest revision."""
    command.upgrade(SAMPLE, SCHEMA_HEAD)
    return fresh


@pytest.fixture
def beside(live: Database) -> Iterator[pg8000.native.Connection]:
    """Another session, which sees every studio and checks no foreign key."""
    with closing(live.connect()) as connection:
        connection.run("SET session_replication_role = replica")
        yield connection


@contextmanager
def held(database: Database, table: str, mode: str) -> Iterator[None]:
    with closing(database.connect()) as holder:
        holder.run("BEGIN")
        holder.run(f"LOCK TABLE {table} IN {mode} MODE")
        yield
        holder.run("ROLLBACK")


def undisturbed(database: Database) -> Catalog:
    """The catalog after the expanding sample, which is then downgraded again."""
    command.upgrade(SAMPLE, EXPAND)
    expanded = catalog(database)
    command.downgrade(SAMPLE, SCHEMA_HEAD)
    return expanded


def test_the_samples_go_forward_back_and_forward_again(live: Database) -> None:
    states = [catalog(live)]
    for name in SAMPLES:
        command.upgrade(SAMPLE, name)
        states.append(catalog(live))
        command.downgrade(SAMPLE, "-1")
        assert catalog(live) == states[-2], f"{name} leaves something behind"
        command.upgrade(SAMPLE, name)
        assert catalog(live) == states[-1]


def test_a_migration_blocked_by_a_lock_gives_up_and_changes_nothing(live: Database) -> None:
    before = catalog(live)
    with held(live, "sync_log", "ACCESS SHARE"):
        with pytest.raises(ProgrammingError, match="55P03"):
            command.upgrade(HASTY, EXPAND)
    assert catalog(live) == before
    assert revision(live) == SCHEMA_HEAD
    command.upgrade(HASTY, EXPAND)
    assert revision(live) == EXPAND


def test_an_interrupted_migration_resumes(live: Database, beside: pg8000.native.Connection) -> None:
    expanded, before = undisturbed(live), catalog(live)
    beside.run(RUN_OF_NOBODY.format("'manual', 'schedule'"))
    with held(live, "booking", "ACCESS SHARE"):
        with pytest.raises(ProgrammingError, match="55P03"):
            command.upgrade(HASTY, EXPAND)
    assert revision(live) == SCHEMA_HEAD
    assert catalog(live)["indexes"] > before["indexes"], "what comes before the locked table is done"
    command.upgrade(HASTY, EXPAND)
    assert catalog(live) == expanded
    assert beside.run("SELECT trigger, origin FROM sync_log ORDER BY 1") == [["manual", "studio"], ["schedule", None]]


def test_an_interrupted_backfill_resumes_under_the_policies(live: Database, beside: pg8000.native.Connection) -> None:
    beside.run(RUN_OF_NOBODY.format(", ".join(["'manual'"] * 250)))
    beside.run("CREATE TABLE refused (id uuid); INSERT INTO refused SELECT max(id::text)::uuid FROM sync_log")
    beside.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " IF NEW.id IN (SELECT id FROM public.refused) THEN RAISE 'refused'; END IF; RETURN NEW; END $$;"
        " CREATE TRIGGER refuse BEFORE UPDATE ON sync_log FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with pytest.raises(ProgrammingError, match="P0001"):
        command.upgrade(SAMPLE, EXPAND)
    assert beside.run("SELECT count(*) FROM sync_log WHERE origin IS NULL") == [[50]]
    assert beside.run("SELECT relforcerowsecurity FROM pg_class WHERE relname = 'sync_log'") == [[True]]
    beside.run("DROP FUNCTION refuse() CASCADE; DROP TABLE refused")
    command.upgrade(SAMPLE, EXPAND)
    assert beside.run("SELECT count(*) FROM sync_log WHERE origin IS NULL") == [[0]]


def test_a_check_is_validated_without_blocking_the_table(live: Database, beside: pg8000.native.Connection) -> None:
    beside.run(NOTE_LOCKS)
    command.upgrade(SAMPLE, EXPAND)
    locks = beside.run(
        "SELECT statement ~ 'VALIDATE', bool_or(strongly) FROM altered WHERE statement ~ 'CONSTRAINT' AND"
        " statement ~ 'sync_log' GROUP BY 1 ORDER BY 1"
    )
    assert locks == [[False, True], [True, False]]


@pytest.mark.parametrize(
    "left",
    [
        "ALTER TABLE sync_log ADD CONSTRAINT sync_log_trigger_check_new CHECK (trigger <> '') NOT VALID",
        "CREATE INDEX sync_log_origin_idx ON sync_log (platform)",
        "ALTER TABLE sync_log ADD COLUMN origin text",
        "ALTER TABLE sync_log DROP CONSTRAINT sync_log_trigger_check",
    ],
    ids=["a check", "an index", "a column", "between two checks"],
)
def test_an_unfinished_step_is_redone_after_an_interruption(
    left: str, live: Database, beside: pg8000.native.Connection
) -> None:
    expanded = undisturbed(live)
    beside.run(left)
    command.upgrade(SAMPLE, EXPAND)
    assert catalog(live) == expanded


def test_an_index_abandoned_for_a_long_transaction_is_rebuilt(live: Database) -> None:
    """A transaction that still sees the table's old state blocks an index that is built CONCURRENTLY."""
    expanded = undisturbed(live)
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    with closing(live.connect()) as reader:
        reader.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.run("SELECT FROM studio")
        with pytest.raises(ProgrammingError, match="55P03"):
            command.upgrade(HASTY, EXPAND)
        reader.run("ROLLBACK")
        assert reader.run(invalid) == [[1]]
        command.upgrade(HASTY, EXPAND)
        assert reader.run(invalid) == [[0]]
    assert catalog(live) == expanded


def test_reads_and_writes_continue_during_a_migration(live: Database, beside: pg8000.native.Connection) -> None:
    studio = UUID("0190c1a2-0000-7000-8000-000000000001")
    beside.run("INSERT INTO studio (id, name) VALUES (:id, 'Live')", id=studio)
    beside.run(
        "INSERT INTO platform_connection (studio_id, platform, status) VALUES (:id, 'google', 'disabled')", id=studio
    )
    beside.run(RUN_OF_NOBODY.format(", ".join(["'schedule'"] * 2000)))
    ended = threading.Event()
    written: list[str] = []
    failures: list[Exception] = []

    def work() -> None:
        with closing(live.connect("ansel_joint")) as session:
            act_as(session, studio)
            while not ended.is_set():
                try:
                    key = str(len(written))
                    session.run(
                        "INSERT INTO review (studio_id, connection_id, platform, external_id, rating, reviewed_at)"
                        " SELECT c.studio_id, c.id, 'google', :key, 5, now() FROM platform_connection AS c",
                        studio=studio,
                        key=key,
                    )
                    session.run("SELECT count(*) FROM sync_log")
                    written.append(key)
                except pg8000.native.Error as error:
                    failures.append(error)
                    return

    worker = threading.Thread(target=work)
    worker.start()
    try:
        command.upgrade(SAMPLE, "heads")
        command.downgrade(SAMPLE, SCHEMA_HEAD)
    finally:
        ended.set()
        worker.join()
    assert failures == []
    assert beside.run("SELECT count(*) FROM review") == [[len(written)]]
    assert written


def test_rows_survive_a_downgrade(live: Database, beside: pg8000.native.Connection) -> None:
    command.upgrade(SAMPLE, EXPAND)
    beside.run(RUN_OF_NOBODY.format("'import', 'schedule'"))
    command.downgrade(SAMPLE, SCHEMA_HEAD)
    assert beside.run("SELECT trigger FROM sync_log ORDER BY trigger") == [["manual"], ["schedule"]]


def test_only_a_contract_step_rejects_the_previous_releases_writes(
    live: Database, beside: pg8000.native.Connection
) -> None:
    command.upgrade(SAMPLE, EXPAND)
    beside.run(RUN_OF_NOBODY.format("'manual'"))
    command.upgrade(SAMPLE, CONTRACT)
    assert beside.run("SELECT origin FROM sync_log") == [["studio"]]
    with pytest.raises(pg8000.native.DatabaseError, match="sync_log_origin_check"):
        beside.run(RUN_OF_NOBODY.format("'manual'"))


def test_a_new_tenant_table_shows_each_studio_its_own_rows(live: Database, beside: pg8000.native.Connection) -> None:
    command.upgrade(SAMPLE, EXPAND)
    beside.run("INSERT INTO sample_note (studio_id, text) SELECT uuidv7(), 'a' FROM generate_series(1, 2)")
    (own,) = beside.run("SELECT studio_id FROM sample_note LIMIT 1")[0]
    with closing(live.connect("ansel_joint")) as session:
        assert session.run("SELECT count(*) FROM sample_note") == [[0]]
        act_as(session, own)
        assert session.run("SELECT studio_id FROM sample_note") == [[own]]


def test_a_reapplied_function_keeps_its_owner_and_callers(live: Database) -> None:
    before = catalog(live)["functions"]
    command.upgrade(SAMPLE, EXPAND)
    assert catalog(live)["functions"] == before
