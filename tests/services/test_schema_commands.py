"""Migrations by the admin function: in steps, before its deadline, one process at a time, with clear errors."""

import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

import pg8000.native
import pytest

from chalicelib.data.health import SCHEMA_HEAD, SCHEMA_NEEDED
from chalicelib.errors import AppError, Conflict, InvalidInput, SettingsError, Unavailable
from chalicelib.services.operations import migrations
from chalicelib.services.operations.migrations import STOP_MS, Timeouts, get_schema_status, migrate_down, migrate_up
from tests.conftest import ROOT, Database
from tests.migrating import SAMPLE_VERSIONS, revisions, sample_config

REVISIONS = revisions(sample_config())
HEAD = REVISIONS[-1]
USUAL = Timeouts()
HASTY = Timeouts(lock_seconds=1)


def plenty() -> int:
    return 900_000


@pytest.fixture(autouse=True)
def samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds sample revisions to those of the product."""
    monkeypatch.setattr(migrations, "VERSIONS", SAMPLE_VERSIONS)


@pytest.fixture
def other_session(fresh: Database) -> Iterator[pg8000.native.Connection]:
    """Another session in the same database."""
    connection = fresh.connect()
    yield connection
    connection.close()


def test_an_empty_database_gets_every_revision(fresh: Database) -> None:
    before = get_schema_status()
    assert (before.at, before.state, before.needed, before.head) == (None, "behind", SCHEMA_NEEDED, HEAD)
    assert [pending.revision for pending in before.pending] == REVISIONS
    assert all(pending.title for pending in before.pending)
    done = migrate_up(None, USUAL, plenty)
    assert (done.before, done.at, done.complete) == (None, HEAD, True)
    assert done.applied == REVISIONS
    assert get_schema_status().state == "current"


def test_showing_the_status_changes_nothing(fresh: Database, other_session: pg8000.native.Connection) -> None:
    get_schema_status()
    assert other_session.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [[0]]


def test_contracting_revisions_wait_until_after_the_deploy(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "SCHEMA_NEEDED", REVISIONS[-3])
    migrate_up(REVISIONS[0], USUAL, plenty)
    assert migrate_up(None, USUAL, plenty).at == REVISIONS[-3]
    status = get_schema_status()
    assert (status.state, [pending.revision for pending in status.pending]) == ("usable", REVISIONS[-2:])
    assert migrate_up("head", USUAL, plenty).applied == REVISIONS[-2:]
    assert get_schema_status().state == "current"


def test_upgrading_to_the_current_revision_does_nothing(fresh: Database) -> None:
    migrate_up(REVISIONS[2], USUAL, plenty)
    for to in (REVISIONS[2], REVISIONS[0]):
        done = migrate_up(to, USUAL, plenty)
        assert (done.applied, done.at, done.complete) == ([], REVISIONS[2], True)


def test_an_unknown_revision_is_rejected(fresh: Database) -> None:
    for to in ("9999", "base", "heads", "-1", "+1", "00"):
        with pytest.raises(InvalidInput):
            migrate_up(to, USUAL, plenty)
    assert get_schema_status().at is None


def test_a_downgrade_reverts_only_the_newest_revision(fresh: Database) -> None:
    migrate_up("head", USUAL, plenty)
    done = migrate_down(USUAL, plenty)
    assert (done.before, done.at) == (REVISIONS[-1], REVISIONS[-2])
    assert get_schema_status().at == REVISIONS[-2]


def test_the_first_revision_can_be_reverted_and_then_none_remains(fresh: Database) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    assert migrate_down(USUAL, plenty).at is None
    with pytest.raises(Conflict) as caught:
        migrate_down(USUAL, plenty)
    assert caught.value.code == "nothing_to_take_back"


def test_a_lock_timeout_is_reported_and_rolled_back(fresh: Database, other_session: pg8000.native.Connection) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    other_session.run("BEGIN")
    other_session.run("LOCK TABLE sync_log IN ACCESS SHARE MODE")
    with pytest.raises(Conflict) as caught:
        migrate_up("head", HASTY, plenty)
    assert caught.value.code == "locked"
    at = get_schema_status().at
    assert at is not None
    assert at in caught.value.message or REVISIONS[REVISIONS.index(at) + 1] in caught.value.message
    other_session.run("ROLLBACK")
    assert migrate_up("head", HASTY, plenty).at == HEAD


def test_a_statement_timeout_is_reported(
    fresh: Database, other_session: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    other_session.run("BEGIN")
    other_session.run("LOCK TABLE sync_log IN ACCESS SHARE MODE")
    with pytest.raises(Conflict) as caught:
        migrate_up("head", Timeouts(lock_seconds=60, statement_seconds=1), plenty)
    assert caught.value.code == "timed_out"


def test_no_statement_may_outlive_the_function() -> None:
    assert USUAL.options(900_000)["statement_timeout"] == "600000ms"
    assert USUAL.options(60_000)["statement_timeout"] == "55000ms"
    assert USUAL.options(1)["statement_timeout"] == "1000ms"


def test_an_upgrade_stops_before_its_deadline_and_can_be_resumed(fresh: Database) -> None:
    remaining = iter([STOP_MS, STOP_MS, STOP_MS, STOP_MS, STOP_MS - 1])
    first = migrate_up("head", USUAL, lambda: next(remaining))
    assert (first.applied, first.complete) == (REVISIONS[:2], False)
    second = migrate_up("head", USUAL, plenty)
    assert (second.before, second.at, second.complete) == (REVISIONS[1], HEAD, True)


def test_two_migrations_cannot_run_at_once(fresh: Database, other_session: pg8000.native.Connection) -> None:
    other_session.run("SELECT pg_advisory_lock(hashtext('ansel.migration'))")
    with pytest.raises(Conflict) as caught:
        migrate_up(REVISIONS[0], USUAL, plenty)
    assert (caught.value.code, caught.value.message) == ("locked", "Another migration is in progress")
    assert get_schema_status().at is None
    other_session.run("SELECT pg_advisory_unlock_all()")
    assert migrate_up(REVISIONS[0], USUAL, plenty).complete


def test_of_two_migrating_processes_each_succeeds_or_is_asked_to_retry(
    fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "VERSIONS", SAMPLE_VERSIONS[:1])  # the other process has no sample revisions
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    refusals = set()
    with Popen(command, cwd=ROOT, stdout=PIPE, stderr=STDOUT, text=True) as other:
        while other.poll() is None:
            try:
                migrate_up("head", USUAL, plenty)
            except Conflict as error:
                refusals.add(error.code)
        output = other.communicate()[0]
    assert refusals <= {"locked"}
    assert other.returncode == 0 or "Another migration is in progress" in output
    assert migrate_up("head", USUAL, plenty).at == SCHEMA_HEAD


def test_a_schema_of_a_later_release_is_not_changed(fresh: Database, other_session: pg8000.native.Connection) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    other_session.run("UPDATE alembic_version SET version_num = '9999'")
    assert (get_schema_status().state, get_schema_status().pending) == ("ahead", [])
    with pytest.raises(Conflict, match="9999"):
        migrate_up(None, USUAL, plenty)
    with pytest.raises(Conflict, match="9999"):
        migrate_down(USUAL, plenty)


def test_a_failed_migration_is_reported_and_the_servers_message_logged(
    fresh: Database, other_session: pg8000.native.Connection
) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    other_session.run("CREATE TABLE sample_note ()")
    with pytest.raises(AppError) as caught:
        migrate_up("head", USUAL, plenty)
    assert caught.value.code == "migration_failed"
    assert "sample_note" not in caught.value.message
    assert caught.value.__cause__ is not None


def test_an_unresponsive_database_is_unavailable(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_DATABASE_URL", fresh.url("ansel_owner").replace(f":{fresh.port}/", ":9/"))
    with pytest.raises(Unavailable):
        get_schema_status()


def test_a_wrong_password_is_unavailable_and_not_echoed(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = fresh.url("ansel_owner").replace(fresh.passwords["ansel_owner"], "QXcanary")
    monkeypatch.setenv("MIGRATION_DATABASE_URL", wrong)
    with pytest.raises(Unavailable) as caught:
        get_schema_status()
    assert "QXcanary" not in f"{caught.value} {caught.value.__cause__}"


def test_without_a_url_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIGRATION_DATABASE_URL", raising=False)
    with pytest.raises(SettingsError, match="MIGRATION_DATABASE_URL"):
        get_schema_status()


def test_the_migrations_are_found_next_to_the_product() -> None:
    assert (ROOT / "migrations").samefile(migrations.SCRIPTS)
    assert (Path(ROOT) / "vendor/migrations").samefile(migrations.SCRIPTS)
