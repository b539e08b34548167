"""Erasures: nothing of the studio remains, other studios are untouched, and one killed anywhere can be resumed."""

import itertools
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.erasures import TABLES
from chalicelib.data.postgres.connect import SESSION
from chalicelib.data.postgres.database import read
from chalicelib.data.postgres.driver import PgConnection
from chalicelib.errors import DecryptionFailed, NotFound
from chalicelib.platforms.core.transport import Transport
from chalicelib.platforms.registry import get_platform
from chalicelib.security.vault import vault
from chalicelib.services import webhook_deliveries
from chalicelib.services.authentication import forget_callers
from chalicelib.services.connections import refresh
from chalicelib.services.connections.tokens import open_tokens
from chalicelib.services.operations import erasures
from chalicelib.services.operations.erasures import EndedGrant, Erasure, erase_studio, list_erasures
from chalicelib.services.sync import execute
from dev.sandbox import Sandbox
from tests.conftest import Api, Database, Queue, Studios
from tests.data.attack import INTRUDER, VICTIM
from tests.data.rows import TENANT_TABLES, fill, snapshot
from tests.services.administration import as_admin_function, as_administrator, forget, plenty, time_for
from tests.services.conftest import PLENTY_MS, Studio, connect

__all__ = ["as_administrator"]

pytestmark = pytest.mark.usefixtures("as_administrator")


@pytest.fixture
def filled(as_administrator: Database, superuser: pg8000.native.Connection) -> UUID:
    """A studio with a row in each table, next to another studio."""
    fill(superuser, INTRUDER, "other")
    fill(superuser, VICTIM, "erased")
    return VICTIM


def erase(studio_id: UUID, *, dry_run: bool = False, remaining_ms: Callable[[], int] = plenty) -> Erasure:
    with as_admin_function():
        return erase_studio(studio_id, dry_run=dry_run, remaining_ms=remaining_ms)


def finished() -> dict[UUID, bool]:
    return {item.studio_id: item.finished_at is not None for item in list_erasures().items}


def test_every_table_is_listed_after_the_tables_that_refer_to_it() -> None:
    order = [table.name for table in TENANT_TABLES if table.name not in ("studio", "audit_entry")]
    assert sorted(TABLES) == sorted(order)
    for table in TENANT_TABLES:
        for key in table.foreign_keys if table.name in TABLES else ():
            parent = key.column.table.name
            if parent != "studio":
                assert TABLES.index(table.name) < TABLES.index(parent), (table.name, parent)


def test_nothing_of_the_studio_remains_and_others_are_untouched(
    filled: UUID, superuser: pg8000.native.Connection
) -> None:
    before = snapshot(superuser, INTRUDER)
    report = erase(filled)
    assert report.complete
    # STOP_STUDIO deletes the first two at once; a grant goes as it is revoked, a key as it is shredded
    alone = {"sync_schedule", "oauth_state", "pending_grant", "data_key"}
    assert report.rows == dict.fromkeys(set(TABLES) - alone, 1) | {"connection_event": 2}
    assert (report.api_keys_revoked, report.runs_cancelled, report.data_keys_destroyed) == (1, 1, 1)
    assert snapshot(superuser, filled) == []
    assert snapshot(superuser, INTRUDER) == before
    assert finished() == {filled: True}


def test_a_dry_run_reports_what_exists_and_changes_nothing(filled: UUID, superuser: pg8000.native.Connection) -> None:
    before = snapshot(superuser, filled)
    report = erase(filled, dry_run=True)
    assert report.rows == dict.fromkeys(TABLES, 1)
    of_connection, pending = report.grants
    assert of_connection == EndedGrant(platform="google", revocation="revoke")
    assert pending == EndedGrant(platform="google", revocation="shared")
    assert (report.complete, report.data_keys_destroyed) == (True, 0)
    assert snapshot(superuser, filled) == before
    assert finished() == {}


def test_rows_are_deleted_in_batches_while_time_remains(
    filled: UUID, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasures, "BATCH", 10)
    superuser.run(
        "INSERT INTO sync_seen (run_id, account_id, studio_id, table_name, external_id)"
        " SELECT run_id, account_id, studio_id, table_name, 'more ' || i FROM sync_seen, generate_series(1, 25) AS i"
        " WHERE studio_id = :id",
        id=filled,
    )
    first = erase(filled, remaining_ms=time_for(4))
    assert (first.complete, first.rows) == (False, {"sync_seen": 20})
    assert finished() == {filled: False}
    second = erase(filled)
    assert (second.complete, second.rows["sync_seen"]) == (True, 6)
    assert snapshot(superuser, filled) == []


class Killed(BaseException):
    """Stands for the death of the process: nothing handles it."""


STATEMENTS = 41
"""More statements than an erasure takes here."""


@pytest.mark.parametrize("statements", range(1, STATEMENTS, 3))
def test_an_erasure_killed_at_any_statement_can_be_resumed(
    filled: UUID, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch, statements: int
) -> None:
    others, remaining = snapshot(superuser, INTRUDER), iter(range(statements))
    pipeline = PgConnection.pipeline_all

    def dying(self: PgConnection, *args: Any, **options: Any) -> Any:
        if next(remaining, None) is None:
            raise Killed
        return pipeline(self, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(PgConnection, "pipeline_all", dying)
        try:
            erase(filled)
        except Killed:
            pass
    assert erase(filled).complete
    assert snapshot(superuser, filled) == []
    assert snapshot(superuser, INTRUDER) == others
    assert finished() == {filled: True}


def test_an_unknown_studio_is_not_found() -> None:
    for dry_run in (True, False):
        with pytest.raises(NotFound):
            erase(uuid4(), dry_run=dry_run)
    assert finished() == {}


def test_erasing_twice_changes_nothing(filled: UUID) -> None:
    erase(filled)
    (once,) = list_erasures().items
    assert erase(filled) == Erasure(studio_id=filled, dry_run=False, complete=True)
    assert list_erasures().items == [once]


def test_a_studio_restored_from_a_backup_is_erased_again(filled: UUID, superuser: pg8000.native.Connection) -> None:
    erase(filled)
    fill(superuser, filled, "restored")
    assert not erase(filled, remaining_ms=time_for(1)).complete
    assert finished() == {filled: False}
    assert erase(filled).complete
    assert snapshot(superuser, filled) == []
    assert finished() == {filled: True}


def test_only_the_administrator_sees_erasures(filled: UUID, database: Database) -> None:
    app = database.connect("ansel_api")
    for statement in ("SELECT * FROM studio_erasure", "INSERT INTO studio_erasure VALUES (uuidv7())"):
        with pytest.raises(DatabaseError, match="permission denied"):
            app.run(statement)
    app.close()


@pytest.fixture
def studio(studios: Studios, queue: Queue, platforms: Sandbox) -> Studio:
    """A studio connected to the sandbox."""
    return connect(studios.new(), queue)


def test_the_grant_is_revoked_at_its_platform(studio: Studio, platforms: Sandbox) -> None:
    assert erase(studio.id).grants == [EndedGrant(platform="google", revocation="revoked")]
    assert [request["path"] for request in platforms.requests.list()].count("/revoke") == 1


def test_a_grant_shared_with_another_studio_stays(studio: Studio, studios: Studios, queue: Queue) -> None:
    other = connect(studios.new(), queue)
    for each in (studio, other):
        each.api.post("/api/connections/google/test")
    for dry_run in (True, False):
        assert erase(studio.id, dry_run=dry_run).grants == [EndedGrant(platform="google", revocation="shared")]
    assert other.api.post("/api/connections/google/test").json["valid"] is True


def test_a_grant_is_not_revoked_without_time_for_the_platforms_calls(studio: Studio) -> None:
    """The calls refresh the grant so that its account can be identified, and revoke it."""
    slowest_ms = int((refresh.LEASE_SECONDS + Transport.to(get_platform("google")).total_seconds) * 1000)
    first = erase(studio.id, remaining_ms=lambda: slowest_ms - 1)
    assert (first.grants, first.complete) == ([], False)
    assert erase(studio.id).grants == [EndedGrant(platform="google", revocation="revoked")]


def test_a_platform_that_is_down_does_not_delay_an_erasure(studio: Studio, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=503, host="oauth2.googleapis.com", times=50)
    report = erase(studio.id)
    assert report.grants == [EndedGrant(platform="google", revocation="failed")]
    assert report.complete


def test_without_the_keys_a_copy_of_the_row_cannot_be_decrypted(studio: Studio) -> None:
    stored = read(studio.id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert stored is not None
    report = erase(studio.id, remaining_ms=time_for(1))
    assert (report.data_keys_destroyed, report.complete) == (1, False)
    vault.cache_clear()
    stored.data_keys = []
    with pytest.raises(DecryptionFailed):
        open_tokens(stored)


def test_requests_of_an_erased_studio_are_rejected(studio: Studio) -> None:
    erase(studio.id)
    forget_callers()  # five seconds later
    for path in ("/api/connections", "/api/sync/log", "/api/metrics/overview"):
        assert studio.api.get(path).status == 401


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "a key"}])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/connections", {"platform": "website"}),
        ("/api/connections", {"platform": "meta", "accessToken": "token"}),
        ("/api/webhook-endpoints", {"url": "http://127.0.0.1:9/told"}),
    ],
)
def test_a_write_with_a_cached_key_is_rejected_after_the_erasure(
    studio: Studio, path: str, body: dict[str, str], headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    assert studio.api.get("/api/connections").status == 200
    erase(studio.id)
    answer = studio.api.send("POST", path, body, {} if path == "/api/webhook-endpoints" else headers)
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    assert "request.failed" not in [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("steps", [1, 5, 100])
def test_a_message_for_an_erased_studio_is_dropped(studio: Studio, queue: Queue, steps: int) -> None:
    """At the start of an erasure, during it, and after it."""
    run = studio.start("bookings")
    connection = read(studio.id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert connection is not None
    erase(studio.id, remaining_ms=time_for(steps))
    assert execute.execute_run(studio.id, UUID(run["id"]), plenty) == "dropped"
    assert refresh.refresh_idle(studio.id, connection.id) == "dropped"
    assert webhook_deliveries.deliver(studio.id, uuid4(), plenty) == "dropped"


@pytest.mark.parametrize("calls", range(1, 6))
def test_a_worker_in_the_middle_of_a_run_stores_nothing_more(
    api: Api, queue: Queue, platforms: Sandbox, superuser: pg8000.native.Connection, calls: int
) -> None:
    """The studio is erased while the worker reads; a redelivered message is dropped."""
    studio = connect(api, queue, "bulk-2500")
    run_id = UUID(studio.start("bookings")["id"])
    checks = itertools.count(1)

    def remaining_ms() -> int:
        if next(checks) == calls:
            erase(studio.id)
        return PLENTY_MS

    try:
        execute.execute_run(studio.id, run_id, remaining_ms)
    except DatabaseError:
        pass  # its studio is gone, so nothing refers to it
    if next(checks) <= calls:
        erase(studio.id)
    assert execute.execute_run(studio.id, run_id, plenty) == "dropped"
    assert snapshot(superuser, studio.id) == []


def test_the_log_of_an_erasure_has_only_ids_and_counts(filled: UUID, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ansel"):
        erase(filled)
    names = [record.getMessage() for record in caplog.records]
    assert names[0] == "erasure.begun"
    assert names[-1] == "erasure.ended"
    assert "erased access_token" not in str([vars(record) for record in caplog.records])


def test_an_erasure_stopped_by_an_outage_can_be_resumed(
    studio: Studio, superuser: pg8000.native.Connection, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SESSION, "lock_timeout", "50")
    forget()
    holder = database.connect()
    holder.run("BEGIN")
    holder.run("SELECT FROM api_key FOR UPDATE")
    try:
        report = erase(studio.id)
    finally:
        holder.run("ROLLBACK")
        holder.close()
    assert "55P03" in (report.problem or "")
    assert not report.complete
    forget()
    assert erase(studio.id).complete
    assert snapshot(superuser, studio.id) == []
