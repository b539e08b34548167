"""The cross-tenant functions' files: the database holds the newest of each, and migrations the version they name."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pg8000.native
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine, make_url

from chalicelib.data.system import functions
from chalicelib.data.system.functions import EARLIER, load_function, newest_functions
from migrations.steps import apply_function
from tests.conftest import ROOT, Database

NEWEST = newest_functions()
DEFINITIONS = """
    SELECT p.proname, pg_get_functiondef(p.oid) FROM pg_proc AS p
    WHERE p.pronamespace = 'cross_tenant'::regnamespace ORDER BY p.oid::regprocedure::text
"""
VERSIONED = """
-- Answers a number.
-- callers: ansel_api
-- version: {version}
CREATE OR REPLACE FUNCTION cross_tenant.sample() RETURNS integer LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS 'SELECT {version}'
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A function with two versions, replacing the product's."""
    (tmp_path / "earlier").mkdir()
    (tmp_path / "sample.sql").write_text(VERSIONED.format(version=2))
    (tmp_path / "earlier/sample.1.sql").write_text(VERSIONED.format(version=1))
    monkeypatch.setattr(functions, "FOLDER", tmp_path)
    monkeypatch.setattr(functions, "EARLIER", tmp_path / "earlier")
    return tmp_path


@pytest.fixture
def migrating(clean_database: Database) -> Iterator[Operations]:
    """A migration's connection; its changes are rolled back."""
    engine = create_engine(make_url(clean_database.url("ansel_owner")).set(drivername="postgresql+pg8000"))
    with engine.connect() as connection, Operations.context(MigrationContext.configure(connection)) as operations:
        yield operations
        connection.rollback()
    engine.dispose()


def test_the_database_holds_the_newest_version_of_each_file(
    superuser: pg8000.native.Connection, migrating: Operations
) -> None:
    definitions = superuser.run(DEFINITIONS)
    for function in NEWEST.values():
        apply_function(function.name, function.version)
    filed = migrating.get_bind().exec_driver_sql(DEFINITIONS).all()
    assert [list(row) for row in filed] == definitions
    assert sorted(name for name, _ in definitions or ()) == sorted(NEWEST), (
        "each file is one function, without overloads"
    )


def test_every_earlier_version_is_kept() -> None:
    names = {path.name for path in EARLIER.glob("*")}
    earlier = [(function.name, version) for function in NEWEST.values() for version in range(1, function.version)]
    assert names == {f"{name}.{version}.sql" for name, version in earlier}
    assert all(load_function(name, version).version == version for name, version in earlier)


def test_a_migration_applies_the_version_that_it_names(folder: Path, migrating: Operations) -> None:
    for version in (1, 2, 1):  # forward, and back again
        apply_function("sample", version)
        assert migrating.get_bind().exec_driver_sql("SELECT prosrc FROM pg_proc WHERE proname = 'sample'").all() == [
            (f"SELECT {version}",)
        ]


def test_a_later_version_replaces_the_callers(folder: Path, migrating: Operations) -> None:
    later = folder / "sample.sql"
    later.write_text(later.read_text().replace("callers: ansel_api", "callers: ansel_sync, ansel_tick"))
    for version, callers in ((1, {"ansel_api"}), (2, {"ansel_sync", "ansel_tick"})):
        apply_function("sample", version)
        granted = migrating.get_bind().exec_driver_sql(
            "SELECT grantee::regrole::text FROM pg_proc, aclexplode(proacl)"
            " WHERE proname = 'sample' AND grantee <> proowner"
        )
        assert set(granted.scalars()) == callers


def test_a_missing_version_is_named(folder: Path) -> None:
    with pytest.raises(LookupError, match="the function sample has no version 3"):
        load_function("sample", 3)
    with pytest.raises(LookupError, match="the function unknown has no version 1"):
        load_function("unknown", 1)


@pytest.mark.parametrize(
    ("text", "with_what"),
    [("-- version: 1\n", ""), ("-- callers: ansel_api\n", ""), ("cross_tenant.sample()", "cross_tenant.other()")],
    ids=["no version", "no callers", "another function"],
)
def test_an_incomplete_file_is_rejected(folder: Path, text: str, with_what: str) -> None:
    (folder / "sample.sql").write_text(VERSIONED.format(version=1).replace(text, with_what))
    with pytest.raises(ValueError, match=r"sample\.sql"):
        newest_functions()


def test_serving_code_does_not_read_the_files() -> None:
    code = "import sys, app; print([name for name in sys.modules if name.startswith('chalicelib.data.system')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_callers_of_each_function_match_its_file(
    superuser: pg8000.native.Connection, clean_database: Database
) -> None:
    granted = superuser.run(
        "SELECT p.proname, array_agg(a.grantee::regrole::text) FROM pg_proc AS p, aclexplode(p.proacl) AS a"
        " WHERE p.pronamespace = 'cross_tenant'::regnamespace AND a.grantee <> p.proowner GROUP BY 1"
    )
    listed = {name: {caller.replace("owner", "ansel_owner") for caller in f.callers} for name, f in NEWEST.items()}
    assert {name: set(roles) for name, roles in granted or ()} == listed


def test_an_owner_of_any_name_may_call_current_studio(clean_database: Database) -> None:
    with closing(clean_database.connect("ansel_owner")) as owner:
        assert owner.run("SELECT cross_tenant.current_studio()") == [[None]]
