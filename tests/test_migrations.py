"""Migrations: forward, back and forward again, equal to the models, as the schema's owner."""

import re
from pathlib import Path

import pg8000.native
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, make_url

from chalicelib.data.health import SCHEMA_HEAD
from chalicelib.data.models import Base
from dev.ports import HOST
from dev.postgres import Postgres
from migrations.privileges import ADMIN, API, DEFINER, MAINTENANCE, ROLES, SYNC, TICK
from tests.conftest import ROOT, Database
from tests.migrating import catalog, revision, revisions, without_version_table

CONFIG = Config(ROOT / "alembic.ini")
REVISIONS = revisions(CONFIG)


def test_the_code_requires_the_newest_revision() -> None:
    assert REVISIONS[-1] == SCHEMA_HEAD


def test_revisions_and_files_are_numbered_in_order() -> None:
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


def test_downgrading_to_the_base_leaves_only_alembics_table(fresh: Database) -> None:
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


def test_the_migrated_schema_equals_the_models_schema(fresh: Database, database: Database) -> None:
    """Stricter than autogenerate, which ignores CHECK constraints and server defaults."""
    engine = create_engine(make_url(fresh.url("ansel_owner")).set(drivername="postgresql+pg8000"))
    Base.metadata.create_all(engine)
    engine.dispose()
    modelled, migrated = catalog(fresh), without_version_table(catalog(database))
    for part in ("columns", "constraints", "indexes"):
        assert migrated[part] == modelled[part], part


def test_autogenerate_finds_no_difference(fresh: Database) -> None:
    command.upgrade(CONFIG, "head")
    command.check(CONFIG)


PROBE = """
from alembic import op
revision = "probe"
down_revision = None
def upgrade():
    op.execute("CREATE TABLE seen AS SELECT current_user::text AS who, current_setting('lock_timeout') AS lock,"
               " current_setting('statement_timeout') AS statement, rolsuper, rolbypassrls, rolcreatedb"
               " FROM pg_roles WHERE rolname = current_user")
"""


def test_a_migration_runs_with_timeouts_and_without_superuser(fresh: Database, tmp_path: Path) -> None:
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


def test_an_owner_without_superuser_creates_the_roles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a managed server, where the application's roles do not exist yet."""
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
        limits = connection_limits(admin)
        admin.run("ALTER ROLE ansel_api CONNECTION LIMIT 3")
        command.upgrade(CONFIG, "head")
        limited_again = connection_limits(admin)
        admin.close()
    assert roles == [
        *([role, role != DEFINER, False, False, False] for role in sorted(ROLES)),
    ]
    assert limits == {API: 50, SYNC: 25, TICK: 4, MAINTENANCE: 4, ADMIN: 6, DEFINER: -1}, "of the usual 100 connections"
    assert limited_again == limits, "each migration sets them, so that a larger server allows more"


def connection_limits(admin: pg8000.native.Connection) -> dict[str, int]:
    return dict(admin.run("SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname LIKE 'ansel%'"))


def test_a_role_that_somebody_else_created_keeps_its_connection_limit(
    fresh: Database, superuser: pg8000.native.Connection
) -> None:
    before = connection_limits(superuser)
    command.upgrade(CONFIG, "head")
    assert connection_limits(superuser) == before
