"""Migrations as the admin function applies them: in steps, within its time, one at a time, told what stops them."""

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
    """There are revisions to come beside those of the product."""
    monkeypatch.setattr(migrations, "VERSIONS", SAMPLE_VERSIONS)


@pytest.fixture
def beside(fresh: Database) -> Iterator[pg8000.native.Connection]:
    """Somebody else's session on it."""
    connection = fresh.connect()
    yield connection
    connection.close()


def test_an_empty_database_gets_all_there_is(fresh: Database) -> None:
    before = get_schema_status()
    assert (before.at, before.state, before.needed, before.head) == (None, "behind", SCHEMA_NEEDED, HEAD)
    assert [pending.revision for pending in before.pending] == REVISIONS
    assert all(pending.title for pending in before.pending)
    done = migrate_up(None, USUAL, plenty)
    assert (done.before, done.at, done.complete) == (None, HEAD, True)
    assert done.applied == REVISIONS
    assert get_schema_status().state == "current"


def test_looking_changes_nothing(fresh: Database, beside: pg8000.native.Connection) -> None:
    get_schema_status()
    assert beside.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [[0]]


def test_what_contracts_is_left_for_after_the_deploy(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "SCHEMA_NEEDED", REVISIONS[-3])
    migrate_up(REVISIONS[0], USUAL, plenty)
    assert migrate_up(None, USUAL, plenty).at == REVISIONS[-3]
    status = get_schema_status()
    assert (status.state, [pending.revision for pending in status.pending]) == ("usable", REVISIONS[-2:])
    assert migrate_up("head", USUAL, plenty).applied == REVISIONS[-2:]
    assert get_schema_status().state == "current"


def test_up_to_where_it_is_already_does_nothing(fresh: Database) -> None:
    migrate_up(REVISIONS[2], USUAL, plenty)
    for to in (REVISIONS[2], REVISIONS[0]):
        done = migrate_up(to, USUAL, plenty)
        assert (done.applied, done.at, done.complete) == ([], REVISIONS[2], True)


def test_a_revision_that_does_not_exist_is_refused(fresh: Database) -> None:
    for to in ("9999", "base", "heads", "-1", "+1", "00"):
        with pytest.raises(InvalidInput):
            migrate_up(to, USUAL, plenty)
    assert get_schema_status().at is None


def test_the_newest_one_is_taken_back_and_no_more(fresh: Database) -> None:
    migrate_up("head", USUAL, plenty)
    done = migrate_down(USUAL, plenty)
    assert (done.before, done.at) == (REVISIONS[-1], REVISIONS[-2])
    assert get_schema_status().at == REVISIONS[-2]


def test_the_first_one_is_taken_back_to_nothing_and_then_there_is_none(fresh: Database) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    assert migrate_down(USUAL, plenty).at is None
    with pytest.raises(Conflict) as caught:
        migrate_down(USUAL, plenty)
    assert caught.value.code == "nothing_to_take_back"


def test_a_lock_that_is_not_to_be_had_in_time_is_told_and_nothing_is_half_done(
    fresh: Database, beside: pg8000.native.Connection
) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    beside.run("BEGIN")
    beside.run("LOCK TABLE sync_log IN ACCESS SHARE MODE")
    with pytest.raises(Conflict) as caught:
        migrate_up("head", HASTY, plenty)
    assert caught.value.code == "locked"
    at = get_schema_status().at
    assert at is not None
    assert at in caught.value.message or REVISIONS[REVISIONS.index(at) + 1] in caught.value.message
    beside.run("ROLLBACK")
    assert migrate_up("head", HASTY, plenty).at == HEAD


def test_a_statement_that_takes_too_long_is_told(
    fresh: Database, beside: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    beside.run("BEGIN")
    beside.run("LOCK TABLE sync_log IN ACCESS SHARE MODE")
    with pytest.raises(Conflict) as caught:
        migrate_up("head", Timeouts(lock_seconds=60, statement_seconds=1), plenty)
    assert caught.value.code == "timed_out"


def test_no_statement_may_outlive_the_function() -> None:
    assert USUAL.options(900_000)["statement_timeout"] == "600000ms"
    assert USUAL.options(60_000)["statement_timeout"] == "55000ms"
    assert USUAL.options(1)["statement_timeout"] == "1000ms"


def test_it_stops_before_the_time_is_up_and_goes_on_with_the_same_command(fresh: Database) -> None:
    left = iter([STOP_MS, STOP_MS, STOP_MS, STOP_MS, STOP_MS - 1])
    first = migrate_up("head", USUAL, lambda: next(left))
    assert (first.applied, first.complete) == (REVISIONS[:2], False)
    second = migrate_up("head", USUAL, plenty)
    assert (second.before, second.at, second.complete) == (REVISIONS[1], HEAD, True)


def test_two_do_not_migrate_at_once(fresh: Database, beside: pg8000.native.Connection) -> None:
    beside.run("SELECT pg_advisory_lock(hashtext('ansel.migration'))")
    with pytest.raises(Conflict) as caught:
        migrate_up(REVISIONS[0], USUAL, plenty)
    assert (caught.value.code, caught.value.message) == ("locked", "Another migration is under way")
    assert get_schema_status().at is None
    beside.run("SELECT pg_advisory_unlock_all()")
    assert migrate_up(REVISIONS[0], USUAL, plenty).complete


def test_beside_another_process_each_ends_well_or_is_told_to_come_again(
    fresh: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "VERSIONS", SAMPLE_VERSIONS[:1])  # the other one knows no samples
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
    assert other.returncode == 0 or "Another migration is under way" in output
    assert migrate_up("head", USUAL, plenty).at == SCHEMA_HEAD


def test_a_schema_of_a_later_release_is_left_alone(fresh: Database, beside: pg8000.native.Connection) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    beside.run("UPDATE alembic_version SET version_num = '9999'")
    assert (get_schema_status().state, get_schema_status().pending) == ("ahead", [])
    with pytest.raises(Conflict, match="9999"):
        migrate_up(None, USUAL, plenty)
    with pytest.raises(Conflict, match="9999"):
        migrate_down(USUAL, plenty)


def test_a_migration_that_fails_says_so_and_keeps_what_the_server_said_for_the_log(
    fresh: Database, beside: pg8000.native.Connection
) -> None:
    migrate_up(REVISIONS[0], USUAL, plenty)
    beside.run("CREATE TABLE sample_note ()")
    with pytest.raises(AppError) as caught:
        migrate_up("head", USUAL, plenty)
    assert caught.value.code == "migration_failed"
    assert "sample_note" not in caught.value.message
    assert caught.value.__cause__ is not None


def test_a_database_that_does_not_answer_is_unavailable(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_DATABASE_URL", fresh.url("ansel_owner").replace(f":{fresh.port}/", ":9/"))
    with pytest.raises(Unavailable):
        get_schema_status()


def test_a_wrong_password_is_unavailable_and_not_repeated(fresh: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = fresh.url("ansel_owner").replace(fresh.passwords["ansel_owner"], "QXcanary")
    monkeypatch.setenv("MIGRATION_DATABASE_URL", wrong)
    with pytest.raises(Unavailable) as caught:
        get_schema_status()
    assert "QXcanary" not in f"{caught.value} {caught.value.__cause__}"


def test_without_a_url_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIGRATION_DATABASE_URL", raising=False)
    with pytest.raises(SettingsError, match="MIGRATION_DATABASE_URL"):
        get_schema_status()


def test_the_migrations_are_found_beside_the_product() -> None:
    assert (ROOT / "migrations").samefile(migrations.SCRIPTS)
    assert (Path(ROOT) / "vendor/migrations").samefile(migrations.SCRIPTS)
