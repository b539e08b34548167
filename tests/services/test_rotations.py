"""Rotations of data keys under load: nothing is lost at any time."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from uuid import UUID

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError
from sqlalchemy import LargeBinary

from chalicelib.data.models import Base
from chalicelib.data.postgres.driver import PgConnection
from chalicelib.data.sealed import SEALED
from chalicelib.errors import InvalidInput
from chalicelib.secret import Secret
from chalicelib.security.vault import Vault
from chalicelib.services.connections import state as connection_state
from chalicelib.services.connections.tokens import Tokens, open_tokens, seal_tokens
from chalicelib.services.data_keys import new_data_key
from chalicelib.services.operations.key_rotation import Rotation, get_key_status
from chalicelib.services.studios import create_studio
from tests.conftest import Database, database_time
from tests.services.administration import (
    ACCESS,
    REFRESH,
    Secrets,
    as_administrator,
    damage,
    everything_opens,
    keys,
    new_secrets,
    rest,
    rotate,
    sealed_values,
    time_for,
    wait_for_a_lock,
)

__all__ = ["as_administrator"]

PLACES = len(SEALED)
"""The number of sealed values of a studio in these tests: one per sealed column."""
NO_SECRETS = {
    *("api_key.secret_hash", "idempotency_key.request_hash", "oauth_state.state_hash", "data_deletion.code_hash"),
    *("pending_grant.code_hash", "data_key.wrapped", "skipped_record.counterpart", "person_identity.hash"),
    *("tenant_key.inner_pad", "tenant_key.outer_pad"),
}
"""Columns of bytes that are hashes, wrapped by KMS, or in the database only, where no role can read them."""

pytestmark = pytest.mark.usefixtures("as_administrator")


@pytest.fixture
def studio(as_administrator: Database) -> Secrets:
    return new_secrets()


def everything(superuser: pg8000.native.Connection) -> list[object]:
    tables = ("data_key", "quarantine", *dict.fromkeys(place.table for place in SEALED))
    return [superuser.run(f"SELECT t::text FROM {table} AS t ORDER BY 1") for table in tables]


def sealing_keys(superuser: pg8000.native.Connection, secrets: Secrets) -> set[UUID]:
    return {Vault.data_key_id(value) for _, value in sealed_values(superuser, secrets.studio_id).values()}


def test_every_bytes_column_is_sealed_or_holds_no_secret() -> None:
    columns = {
        str(column)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert columns == {f"{place.table}.{place.column}" for place in SEALED} | NO_SECRETS


def test_a_rotation_reseals_every_value_and_each_can_be_decrypted(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    (before,) = keys(studio.studio_id)
    generation = studio.stored.token_generation
    assert rotate() == Rotation(
        dry_run=False, studios=1, rekeyed=1, resealed=PLACES, keys_retired=1, left=0, complete=True
    )
    current, old = keys(studio.studio_id)
    assert old.id == before.id
    assert sealing_keys(superuser, studio) == {current.id}
    assert studio.stored.token_generation == generation
    assert everything_opens(superuser, studio)


def test_a_new_key_is_wrapped_under_the_current_keys_and_records_them(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    rotate()
    assert superuser.run("SELECT wrapped_under FROM data_key") == [[["ENCRYPTION_KEY"]]] * 2


def test_a_recent_key_is_not_rotated(studio: Secrets, superuser: pg8000.native.Connection) -> None:
    before = everything(superuser)
    assert rotate(database_time() - timedelta(hours=1)) == Rotation(dry_run=False, complete=True)
    assert everything(superuser) == before


@pytest.mark.parametrize("made_before", [datetime(2999, 1, 1, tzinfo=UTC), datetime(2020, 1, 1)])  # noqa: DTZ001
def test_a_future_time_or_one_without_a_zone_is_rejected(studio: Secrets, made_before: datetime) -> None:
    with pytest.raises(InvalidInput) as refused:
        rotate(made_before)
    assert [problem.field for problem in refused.value.fields] == ["madeBefore"]


def test_an_unused_retired_key_is_deleted_once_no_process_can_seal_with_it(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    started = database_time()
    rotate(started)
    assert (rotate(started).keys_deleted, len(keys(studio.studio_id))) == (0, 2)
    rest(superuser)
    assert rotate(started) == Rotation(dry_run=False, studios=1, keys_deleted=1, complete=True)
    assert len(keys(studio.studio_id)) == 1
    assert rotate(started) == Rotation(dry_run=False, complete=True)
    assert everything_opens(superuser, studio)


def test_values_sealed_late_with_a_retired_key_are_moved_by_the_next_run(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    started, stale = database_time(), studio.stored
    rotate(started)
    assert connection_state.replace_tokens(stale, open_tokens(stale))
    old = stale.data_keys[0].id
    assert old in sealing_keys(superuser, studio)
    assert open_tokens(studio.stored).access.reveal() == ACCESS
    rest(superuser)
    assert rotate(started) == Rotation(dry_run=False, studios=1, resealed=2, keys_deleted=1, complete=True)
    assert everything_opens(superuser, studio)


def test_a_dry_run_counts_and_changes_nothing(studio: Secrets, superuser: pg8000.native.Connection) -> None:
    damage(superuser, studio)
    before = everything(superuser)
    report = rotate(dry_run=True)
    assert report == Rotation(dry_run=True, studios=1, rekeyed=1, resealed=PLACES - 1, quarantined=1, complete=True)
    assert everything(superuser) == before


def test_a_rotation_out_of_time_stops_between_studios_and_can_be_resumed(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    others = [new_secrets() for _ in range(2)]
    started = database_time()
    first = rotate(started, remaining_ms=time_for(1))
    assert (first.studios, first.rekeyed, first.left, first.complete) == (1, 1, 2, False)
    second = rotate(started)
    assert (second.studios, second.rekeyed, second.left, second.complete) == (3, 2, 0, True)
    assert all(everything_opens(superuser, each) for each in (studio, *others))


class Killed(BaseException):
    """Stands for the death of the process: nothing handles it."""


@pytest.mark.parametrize("statements", range(1, 12))
def test_a_rotation_killed_at_any_statement_leaves_every_value_decryptable(
    studio: Secrets, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch, statements: int
) -> None:
    started, remaining = database_time(), iter(range(statements))
    pipeline = PgConnection.pipeline_all

    def dying(self: PgConnection, *args: object, **options: object) -> object:
        if next(remaining, None) is None:
            raise Killed
        return pipeline(self, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(PgConnection, "pipeline_all", dying)
        try:
            rotate(started)
        except Killed:
            pass
    assert everything_opens(superuser, studio)
    assert rotate(started).complete
    assert len(sealing_keys(superuser, studio)) == 1
    assert everything_opens(superuser, studio)


def test_rotations_during_refreshes_and_reads_lose_no_token(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    """Eight threads refresh and read while keys are rotated: every token can be decrypted, and no refresh is lost."""
    over, refreshed = Event(), itertools.count(1)

    def work(number: int) -> int:
        stored_by_me = 0
        while not over.is_set():
            stored = studio.stored
            tokens = open_tokens(stored)
            assert tokens.access.reveal().startswith(ACCESS)
            assert tokens.refresh is not None
            if number % 2:
                fresh = Tokens(Secret(f"{ACCESS}{next(refreshed)}"), tokens.refresh, None, None, expires_in=3600)
                stored_by_me += connection_state.replace_tokens(stored, fresh)
        return stored_by_me

    generation = studio.stored.token_generation
    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work, number) for number in range(8)]
        try:
            reports = [rotate() for _ in range(15)]
        finally:
            over.set()
        stored = sum(worker.result() for worker in workers)
    assert [report.quarantined for report in reports] == [0] * 15
    assert sum(report.rekeyed for report in reports) == 15
    assert studio.stored.token_generation == generation + stored
    rest(superuser)
    assert rotate().keys_deleted == 15
    assert open_tokens(studio.stored).refresh == Secret(REFRESH)


def test_two_concurrent_rotations_give_a_studio_one_new_key(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    started = database_time()
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: rotate(started), range(4)))
    assert all(report.complete for report in reports)
    assert sum(report.rekeyed for report in reports) == 1
    assert len(keys(studio.studio_id)) == 2
    assert everything_opens(superuser, studio)


def test_a_key_replaced_by_another_process_meanwhile_is_replaced_once(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    wrapped = new_data_key(studio.studio_id)
    superuser.run("BEGIN")
    superuser.run("UPDATE data_key SET retired_at = now()")
    insert_key = "INSERT INTO data_key (studio_id, wrapped, provider) VALUES (:id, :wrapped, 'raw')"
    superuser.run(insert_key, id=studio.studio_id, wrapped=wrapped)
    with ThreadPoolExecutor(1) as pool:
        rotation = pool.submit(rotate)
        try:
            wait_for_a_lock(superuser, rotation)
        finally:
            superuser.run("COMMIT")
        assert (rotation.result().rekeyed, rotation.result().resealed) == (0, PLACES)
    assert [key.wrapped == wrapped for key in keys(studio.studio_id)] == [True, False]
    assert everything_opens(superuser, studio)


def test_a_refresh_between_decryption_and_resealing_wins(studio: Secrets, superuser: pg8000.native.Connection) -> None:
    """The rotation waits for the lock of the refresh, and finds another value than the one it decrypted."""
    stored, refreshed = studio.stored, Tokens(Secret("ya29.refreshed"), Secret("1//refreshed"), None, None)
    sealed = seal_tokens(
        refreshed,
        stored.data_keys,
        studio_id=studio.studio_id,
        connection_id=stored.id,
        generation=stored.token_generation + 1,
    )
    superuser.run("BEGIN")
    superuser.run(
        "UPDATE platform_connection SET access_token = :access, refresh_token = :refresh,"
        " token_generation = token_generation + 1",
        access=sealed.access,
        refresh=sealed.refresh,
    )
    with ThreadPoolExecutor(1) as pool:
        rotation = pool.submit(rotate)
        try:
            wait_for_a_lock(superuser, rotation)
        finally:
            superuser.run("COMMIT")
        assert rotation.result().resealed == PLACES - 2
    assert open_tokens(studio.stored).access.reveal() == "ya29.refreshed"
    assert open_tokens(studio.stored).refresh == Secret("1//refreshed")


def statements(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> int:
    pipelines, pipeline = itertools.count(), PgConnection.pipeline_all

    def counted(self: PgConnection, *args: object, **options: object) -> object:
        next(pipelines)
        return pipeline(self, *args, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(PgConnection, "pipeline_all", counted)
        work()
    return next(pipelines)


@pytest.mark.parametrize("studios", [1, 4])
def test_each_studio_takes_the_same_few_statements(
    as_administrator: Database, monkeypatch: pytest.MonkeyPatch, studios: int
) -> None:
    """A listing, the new key in two, a listing, one per value, a listing that finds no more; then one to move on."""
    for _ in range(studios):
        new_secrets()
    started = database_time()
    pages = 2
    assert statements(monkeypatch, lambda: rotate(started)) == pages + studios * (5 + PLACES)
    assert statements(monkeypatch, lambda: rotate(started)) == pages + studios


def test_the_status_shows_ages_wrapping_and_remaining_work(
    studio: Secrets, superuser: pg8000.native.Connection
) -> None:
    create_studio("Another")
    damage(superuser, studio)
    rotate()
    status = get_key_status()
    assert (status.provider, status.wanted) == ("raw", ["ENCRYPTION_KEY"])
    assert [(under.keys, under.count) for under in status.wrapped_under] == [(["ENCRYPTION_KEY"], 4)]
    assert (status.to_rewrap, status.retired, status.quarantined) == (0, 2, 1)
    ((oldest,),) = superuser.run("SELECT min(created_at) FROM data_key WHERE retired_at IS NULL")
    assert status.oldest_made_at == oldest


def test_the_application_role_cannot_read_across_studios(studio: Secrets, database: Database) -> None:
    app = database.connect("ansel_api")
    for call in ("find_key_counts()", "find_quarantined(uuidv7(), 1)", "find_keys_to_rewrap('{}', uuidv7(), 1)"):
        with pytest.raises(DatabaseError, match="permission denied"):
            app.run(f"SELECT cross_tenant.{call}")
    app.close()
