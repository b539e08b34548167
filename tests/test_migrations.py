"""Migrations: forward, back and forward again, equal to the models, and never in the way of a live system."""

import re
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pg8000.native
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from pg8000.exceptions import DatabaseError
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import ProgrammingError

from chalicelib.data.health import SCHEMA_HEAD
from chalicelib.data.models import Base
from dev.ports import HOST
from dev.postgres import Postgres
from tests.conftest import ROOT, Database

CONFIG = Config(ROOT / "alembic.ini")
REVISIONS = [script.revision for script in reversed(list(ScriptDirectory.from_config(CONFIG).walk_revisions()))]
CATALOG = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "column grants": """
        SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute
        WHERE attacl IS NOT NULL AND attrelid >= 16384
    """,
    "policies": "SELECT * FROM pg_policies",
    "functions": """
        SELECT p.oid::regprocedure::text, prosrc, proconfig, coalesce(proacl, acldefault('f', proowner))::text
        FROM pg_proc AS p
        JOIN pg_namespace AS n ON n.oid = pronamespace
        WHERE nspname NOT IN ('pg_catalog', 'information_schema')
    """,
    "tables": """
        SELECT relname, relrowsecurity, relforcerowsecurity, coalesce(relacl, acldefault('r', relowner))::text
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    """,
    "schemas": """
        SELECT nspname, coalesce(nspacl, acldefault('n', nspowner))::text
        FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
    """,
    "types": "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace",
}
"""Everything a migration may leave in a database, role grants included."""

Catalog = dict[str, set[str]]


@pytest.fixture
def fresh(server: dict[str, object], worker_id: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """An empty database, and alembic led to it as the schema's owner."""
    admin = Database("postgres", server["port"], server["passwords"]).connect()  # type: ignore[arg-type]
    fresh = Database(f"migrated_{worker_id}", server["port"], server["passwords"])  # type: ignore[arg-type]
    admin.run(f"CREATE DATABASE {fresh.name} OWNER ansel_owner")
    monkeypatch.setenv("MIGRATION_DATABASE_URL", fresh.url("ansel_owner"))
    yield fresh
    admin.run(f"DROP DATABASE {fresh.name} WITH (FORCE)")
    admin.close()


def catalog(database: Database) -> Catalog:
    connection = database.connect()
    found = {name: {repr(row) for row in connection.run(query) or ()} for name, query in CATALOG.items()}
    connection.close()
    return found


def revision(database: Database) -> str | None:
    connection = database.connect()
    rows = connection.run("SELECT version_num FROM alembic_version") or []
    connection.close()
    return rows[0][0] if rows else None


def without_version_table(found: Catalog) -> Catalog:
    return {name: {row for row in rows if "alembic_version" not in row} for name, rows in found.items()}


def test_the_code_names_the_newest_revision_as_its_own() -> None:
    assert REVISIONS[-1] == SCHEMA_HEAD


def test_revisions_are_numbered_in_their_order_and_files_are_named_after_them() -> None:
    assert sorted(set(REVISIONS)) == REVISIONS
    assert all(re.fullmatch(r"\d{4}", name) for name in REVISIONS)
    files = sorted(path.name[:4] for path in (ROOT / "migrations/versions").glob("*.py"))
    assert files == REVISIONS


def test_each_revision_goes_forward_back_and_forward_again(fresh: Database) -> None:
    states = [without_version_table(catalog(fresh))]
    for name in REVISIONS:
        command.upgrade(CONFIG, name)
        states.append(without_version_table(catalog(fresh)))
        command.downgrade(CONFIG, "-1")
        assert without_version_table(catalog(fresh)) == states[-2], f"{name} leaves something behind"
        command.upgrade(CONFIG, name)
        assert without_version_table(catalog(fresh)) == states[-1]
    assert revision(fresh) == SCHEMA_HEAD


def test_downgrading_to_the_base_leaves_nothing_but_alembics_own_table(fresh: Database) -> None:
    before = catalog(fresh)
    command.upgrade(CONFIG, "head")
    command.downgrade(CONFIG, "base")
    assert without_version_table(catalog(fresh)) == before
    assert revision(fresh) is None


def test_upgrading_twice_changes_nothing(fresh: Database) -> None:
    command.upgrade(CONFIG, "head")
    before = catalog(fresh)
    command.upgrade(CONFIG, "head")
    assert catalog(fresh) == before


def test_the_migrated_schema_is_the_models_schema_to_the_last_constraint(fresh: Database, database: Database) -> None:
    """Stricter than autogenerate, which looks at neither CHECK constraints nor server defaults."""
    engine = create_engine(make_url(fresh.url("ansel_owner")).set(drivername="postgresql+pg8000"))
    Base.metadata.create_all(engine)
    engine.dispose()
    modelled, migrated = catalog(fresh), without_version_table(catalog(database))
    for part in ("columns", "constraints", "indexes"):
        assert migrated[part] == modelled[part], part


def test_autogenerate_finds_no_difference(fresh: Database) -> None:
    command.upgrade(CONFIG, "head")
    command.check(CONFIG)


def test_a_migration_that_meets_a_lock_gives_up_soon_and_changes_nothing(fresh: Database) -> None:
    command.upgrade(CONFIG, "0001")
    before = catalog(fresh)
    holder = fresh.connect()
    holder.run("BEGIN")
    holder.run("LOCK TABLE booking IN ACCESS SHARE MODE")
    hasty = Config(ROOT / "alembic.ini", cmd_opts=Namespace(x=["lock_timeout=50ms"]))
    with pytest.raises(ProgrammingError, match="55P03"):
        command.upgrade(hasty, "head")
    holder.run("ROLLBACK")
    holder.close()
    assert catalog(fresh) == before
    assert revision(fresh) == "0001"
    command.upgrade(CONFIG, "head")
    assert revision(fresh) == SCHEMA_HEAD


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


def test_the_check_of_the_trigger_is_validated_without_locking_the_log_away(fresh: Database) -> None:
    command.upgrade(CONFIG, "0003")
    connection = fresh.connect()
    connection.run(NOTE_LOCKS)
    command.upgrade(CONFIG, "0004")
    locks = connection.run("SELECT statement ~ 'VALIDATE', bool_or(strongly) FROM altered GROUP BY 1 ORDER BY 1")
    connection.close()
    assert locks == [[False, True], [True, False]]


def test_a_widening_of_the_trigger_that_was_interrupted_starts_again(fresh: Database) -> None:
    command.upgrade(CONFIG, "0004")
    done = catalog(fresh)
    command.downgrade(CONFIG, "0003")
    connection = fresh.connect()
    connection.run("ALTER TABLE sync_log ADD CONSTRAINT sync_log_trigger_new_check CHECK (trigger <> '') NOT VALID")
    connection.close()
    command.upgrade(CONFIG, "0004")
    assert catalog(fresh) == done


def test_retries_stay_in_the_log_when_their_migration_is_taken_back(fresh: Database) -> None:
    command.upgrade(CONFIG, "0004")
    connection = fresh.connect()
    connection.run("SET session_replication_role = replica")  # a run of nobody's: no foreign key is checked
    connection.run(
        "INSERT INTO sync_log (studio_id, connection_id, platform, stream, trigger)"
        " SELECT uuidv7(), uuidv7(), 'google', 'bookings', kind FROM unnest(ARRAY['retry', 'schedule']) AS kind"
    )
    command.downgrade(CONFIG, "0003")
    kept = connection.run("SELECT trigger FROM sync_log ORDER BY trigger")
    connection.close()
    assert kept == [["manual"], ["schedule"]]


BROKEN_LISTS = {
    "platform_connection": ("scopes", "studio_id, platform, status", "uuidv7(), 'google', 'disabled'"),
    "oauth_state": ("streams", "studio_id, platform, state_hash, expires_at", "uuidv7(), 'google', '', now()"),
    "pending_grant": (
        "scopes",
        "studio_id, platform, code_hash, access_token, warnings, expires_at, due_at",
        "uuidv7(), 'google', 'hash', '', '[]', now(), now()",
    ),
    "api_key": ("scopes", "studio_id, name, secret_hash", "uuidv7(), '', ''"),
    "data_key": ("wrapped_under", "studio_id, wrapped, provider", "uuidv7(), '', ''"),
}
"""The lists of texts: table, column, and what else a row needs."""


def test_lists_that_hold_a_null_are_mended_before_that_is_refused(fresh: Database) -> None:
    command.upgrade(CONFIG, REVISIONS[REVISIONS.index("0020") - 1])
    before = catalog(fresh)
    connection = fresh.connect()
    connection.run("SET session_replication_role = replica")  # rows of nobody's: no foreign key is checked
    for table, (column, names, values) in BROKEN_LISTS.items():
        connection.run(f"INSERT INTO {table} ({column}, {names}) VALUES (ARRAY['a', NULL, 'b', NULL], {values})")
    command.upgrade(CONFIG, "0020")
    for table, (column, _, _) in BROKEN_LISTS.items():
        assert connection.run(f"SELECT {column} FROM {table}") == [[["a", "null", "b", "null"]]]
        with pytest.raises(DatabaseError, match=f"{table}_{column}_check"):
            connection.run(f"UPDATE {table} SET {column} = ARRAY['a', NULL]")
        connection.run(f"UPDATE {table} SET {column} = '{{}}'")
    connection.close()
    assert catalog(fresh)["column grants"] == before["column grants"]


def test_a_check_of_lists_that_was_interrupted_starts_again(fresh: Database) -> None:
    command.upgrade(CONFIG, "0020")
    done = catalog(fresh)
    command.downgrade(CONFIG, "-1")
    connection = fresh.connect()
    connection.run("ALTER TABLE api_key ADD CONSTRAINT api_key_scopes_check CHECK (scopes <> '{}') NOT VALID")
    connection.close()
    command.upgrade(CONFIG, "0020")
    assert catalog(fresh) == done


def test_indexes_of_maintenance_that_an_interruption_left_unfinished_are_made_again(fresh: Database) -> None:
    command.upgrade(CONFIG, "0008")
    done = catalog(fresh)
    command.downgrade(CONFIG, "0007")
    connection = fresh.connect()
    connection.run("CREATE INDEX idempotency_key_started_idx ON idempotency_key (key)")
    connection.run("CREATE INDEX sync_seen_run_idx ON sync_seen (run_id)")
    connection.close()
    command.upgrade(CONFIG, "0008")
    assert catalog(fresh) == done


PROBE = """
from alembic import op
revision = "probe"
down_revision = None
def upgrade():
    op.execute("CREATE TABLE seen AS SELECT current_user::text AS who, current_setting('lock_timeout') AS lock,"
               " current_setting('statement_timeout') AS statement, rolsuper, rolbypassrls, rolcreatedb"
               " FROM pg_roles WHERE rolname = current_user")
"""


def test_a_migration_runs_with_timeouts_and_as_no_superuser(fresh: Database, tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("version_locations", str(tmp_path))
    command.upgrade(config, "head")
    connection = fresh.connect()
    assert connection.run("SELECT * FROM seen") == [["ansel_owner", "5s", "10min", False, False, False]]
    connection.close()


def test_without_a_url_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIGRATION_DATABASE_URL", raising=False)
    with pytest.raises(SystemExit, match="MIGRATION_DATABASE_URL"):
        command.current(CONFIG)


def test_a_server_without_the_roles_gets_them_from_an_owner_that_is_no_superuser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a managed server, where nobody has made the application's roles before."""
    with Postgres(tmp_path / "data", durable=False) as managed:
        admin = pg8000.native.Connection(
            "postgres", host=HOST, port=managed.port, database="postgres", password=managed.passwords.get("postgres")
        )
        admin.run("CREATE ROLE master LOGIN CREATEROLE NOSUPERUSER PASSWORD 'master'")
        admin.run("CREATE DATABASE product OWNER master")
        monkeypatch.setenv("MIGRATION_DATABASE_URL", f"postgresql://master:master@{HOST}:{managed.port}/product")
        command.upgrade(CONFIG, "head")
        roles = admin.run(
            "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles"
            " WHERE rolname LIKE 'ansel%' ORDER BY 1"
        )
        admin.close()
    assert roles == [
        ["ansel_admin", True, False, False, False],
        ["ansel_app", True, False, False, False],
        ["ansel_door", False, False, False, False],
    ]
