"""Transactions and the pool: what commits, what rolls back, and the errors of a failing database."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from uuid import UUID

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.data.postgres import database as product
from chalicelib.data.postgres import pool
from chalicelib.data.postgres.database import Transaction, close_pool, read, transaction
from chalicelib.data.postgres.driver import PgConnection, query_statistics
from chalicelib.data.postgres.query import Query
from chalicelib.data.studios import GET_STUDIO, NEW_ID
from chalicelib.errors import Unavailable, Unreadable
from tests.conftest import Database
from tests.data.rows import new_studio

pytestmark = pytest.mark.usefixtures("every_privilege")

PID: Query[int] = Query("SELECT to_json(pg_backend_pid())", int)
COUNT_STUDIOS: Query[int] = Query("SELECT to_json(count(*)) FROM studio", int)
RENAME: Query[None] = Query("UPDATE studio SET name = :name")
DIVIDE: Query[int] = Query("SELECT to_json(1 / :by::int)", int)
SETTING: Query[str] = Query("SELECT to_json(current_setting(:name))", str)
SLEEP: Query[None] = Query("SELECT pg_sleep(20)")
LOCK: Query[None] = Query("SELECT pg_advisory_xact_lock(42)")
SET_LOCAL: Query[str] = Query("SELECT to_json(set_config(:name, :value, true))", str)


@pytest.fixture(autouse=True)
def fresh_pool(clean_database: Database) -> Iterator[None]:
    """Each test starts without pooled connections and leaves none behind."""
    close_pool()
    yield
    close_pool()


Step = Callable[[Transaction], object]


def in_transaction(studio_id: UUID | None, *steps: Step) -> None:
    with transaction(studio_id) as tx:
        for step in steps:
            step(tx)


def rename(name: str) -> Step:
    return lambda tx: tx.run(RENAME, name=name)


def divide_by_zero(tx: Transaction) -> None:
    tx.run(DIVIDE, by=0)


def set_local(name: str, value: str) -> Step:
    return lambda tx: tx.run(SET_LOCAL, name=name, value=value)


def raising(error: BaseException) -> Step:
    def step(_: Transaction) -> None:
        raise error

    return step


def kill(superuser: pg8000.native.Connection) -> Step:
    return lambda tx: terminate(superuser, tx.run(PID))


def name_of(studio_id: UUID) -> str | None:
    studio = read(studio_id, GET_STUDIO)
    return studio.name if studio else None


def kept_pid() -> int:
    return read(None, PID)


def terminate(superuser: pg8000.native.Connection, pid: int) -> None:
    assert superuser.run("SELECT pg_terminate_backend(:pid, 5000)", pid=pid) == [[True]]


def test_a_finished_block_commits(clean_database: Database) -> None:
    studio_id = new_studio("before")
    with transaction(studio_id) as tx:
        tx.run(RENAME, name="after")
    assert name_of(studio_id) == "after"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, GeneratorExit])
def test_a_block_that_raises_rolls_back_and_keeps_the_connection(error: type[BaseException]) -> None:
    studio_id = new_studio("before")
    pid = kept_pid()
    with pytest.raises(error):
        in_transaction(studio_id, rename("after"), raising(error()))
    assert name_of(studio_id) == "before"
    assert kept_pid() == pid


def test_a_failed_statement_rolls_back_the_whole_block() -> None:
    studio_id = new_studio("before")
    with pytest.raises(DatabaseError):
        in_transaction(studio_id, rename("after"), divide_by_zero)
    assert name_of(studio_id) == "before"


@pytest.mark.parametrize("first", [True, False], ids=["first statement", "later statement"])
def test_a_swallowed_failure_makes_the_commit_fail(first: bool) -> None:
    def swallow(tx: Transaction) -> None:
        with pytest.raises(DatabaseError):
            divide_by_zero(tx)

    studio_id = new_studio("before")
    with pytest.raises(Unavailable):
        in_transaction(studio_id, *([] if first else [rename("after")]), swallow)
    assert name_of(studio_id) == "before"


def test_unsendable_values_do_not_lose_the_tenant() -> None:
    studio_id = new_studio("before")
    with transaction(studio_id) as tx:
        with pytest.raises(UnicodeEncodeError):
            tx.run(RENAME, name="\ud800")
        with pytest.raises(KeyError):
            tx.run(RENAME)
        tx.run(RENAME, name="after")
    assert name_of(studio_id) == "after"


def test_an_unused_transaction_costs_no_round_trip() -> None:
    studio_id = new_studio()
    with query_statistics() as statistics, transaction(studio_id):
        pass
    assert statistics.round_trips == 0


def test_a_transaction_costs_one_round_trip_per_statement_and_one_for_the_commit() -> None:
    studio_id = new_studio()
    with query_statistics() as statistics, transaction(studio_id) as tx:
        tx.run(GET_STUDIO)
        tx.run(RENAME, name="x")
    assert statistics.round_trips == 3


def test_a_read_costs_one_round_trip() -> None:
    studio_id = new_studio()
    with query_statistics() as statistics:
        read(studio_id, GET_STUDIO)
    assert statistics.round_trips == 1


def test_concurrent_transactions_of_two_studios_see_their_own_rows() -> None:
    first, second = new_studio("first"), new_studio("second")
    with transaction(first) as of_first, transaction(second) as of_second:
        of_first.run(RENAME, name="first, renamed")
        of_second.run(RENAME, name="second, renamed")
        assert of_first.run(COUNT_STUDIOS) == of_second.run(COUNT_STUDIOS) == 1
        assert name_of(first) == "first"
    assert (name_of(first), name_of(second)) == ("first, renamed", "second, renamed")


def test_the_tenant_does_not_outlive_its_transaction() -> None:
    studio_id = new_studio()
    pid = kept_pid()
    assert read(studio_id, COUNT_STUDIOS) == 1
    assert kept_pid() == pid
    assert read(None, COUNT_STUDIOS) == 0
    with transaction(None) as tx:
        assert tx.run(COUNT_STUDIOS) == 0
    assert read(studio_id, COUNT_STUDIOS) == 1
    with product._checked_out() as checkout:  # what a statement without BEGIN would find
        assert checkout.connection.pipeline("SELECT current_setting('app.studio_id', true)") == [[""]]


def test_a_tenant_must_be_a_uuid() -> None:
    with pytest.raises(ValueError, match="badly formed"):
        read("'; DROP TABLE studio; --", COUNT_STUDIOS)  # type: ignore[arg-type]


def test_a_read_cannot_write() -> None:
    studio_id = new_studio("before")
    with pytest.raises(DatabaseError, match="25006"):
        read(studio_id, RENAME, name="after")
    assert name_of(studio_id) == "before"


def test_a_wrong_result_shape_leaves_the_connection_usable() -> None:
    pid = kept_pid()
    mistaken: Query[list[int]] = Query("SELECT to_json('text'::text)", list[int])
    with pytest.raises(Unreadable):
        read(None, mistaken)
    assert kept_pid() == pid


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TimeZone", "UTC"),
        ("statement_timeout", "25s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("application_name", "ansel"),
        ("client_encoding", "UTF8"),
    ],
)
def test_a_session_starts_with_the_products_settings(name: str, value: str) -> None:
    assert read(None, SETTING, name=name) == value


def test_a_session_killed_in_a_transaction_is_unavailable_once(
    superuser: pg8000.native.Connection,
) -> None:
    studio_id = new_studio("before")
    with pytest.raises(Unavailable):
        in_transaction(studio_id, rename("after"), kill(superuser), rename("again"))
    assert name_of(studio_id) == "before"


def test_a_session_killed_before_the_commit_is_not_reported_as_committed(superuser: pg8000.native.Connection) -> None:
    studio_id = new_studio("before")
    with pytest.raises(Unavailable):
        in_transaction(studio_id, rename("after"), kill(superuser))
    assert name_of(studio_id) == "before"


def test_a_block_that_raises_after_its_session_died_raises_its_own_error(superuser: pg8000.native.Connection) -> None:
    with pytest.raises(RuntimeError, match="mine"):
        in_transaction(None, kill(superuser), raising(RuntimeError("mine")))
    assert kept_pid()


def test_a_session_ended_between_requests_is_replaced_silently(
    superuser: pg8000.native.Connection,
) -> None:
    killed = kept_pid()
    terminate(superuser, killed)
    assert kept_pid() != killed


def test_a_session_that_died_while_idle_is_replaced_silently(
    superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "IDLE_BEFORE_CHECK", timedelta(0))
    monkeypatch.setattr(PgConnection, "closed_by_server", False)
    killed = kept_pid()
    assert kept_pid() == killed
    terminate(superuser, killed)
    assert kept_pid() != killed


def test_when_one_connection_breaks_the_idle_ones_are_dropped(superuser: pg8000.native.Connection) -> None:
    """A failover ends them all, even those that have not noticed yet."""
    with transaction(None) as one, transaction(None) as other:
        pids = [one.run(PID), other.run(PID)]
    with pytest.raises(Unavailable):
        in_transaction(None, kill(superuser), lambda tx: tx.run(PID))
    assert kept_pid() not in pids


def test_a_recently_used_connection_is_not_pinged(monkeypatch: pytest.MonkeyPatch) -> None:
    kept_pid()
    with query_statistics() as statistics:
        kept_pid()
    assert statistics.round_trips == 1
    monkeypatch.setattr(pool, "IDLE_BEFORE_CHECK", timedelta(0))
    with query_statistics() as statistics:
        kept_pid()
    assert statistics.round_trips == 2


def test_a_statement_timeout_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="57014"):
        in_transaction(None, set_local("statement_timeout", "20ms"), lambda tx: tx.run(SLEEP))
    assert kept_pid()


def test_a_lock_timeout_is_unavailable() -> None:
    with transaction(None) as holder:
        holder.run(LOCK)
        with pytest.raises(Unavailable, match="55P03"):
            in_transaction(None, set_local("lock_timeout", "20ms"), lambda tx: tx.run(LOCK))


def test_an_unavailable_database_is_a_503_without_internals() -> None:
    with pytest.raises(Unavailable) as caught:
        in_transaction(None, set_local("statement_timeout", "1ms"), lambda tx: tx.run(SLEEP))
    assert "Retry-After" in caught.value.headers
    assert "57014" not in caught.value.message


def test_an_exhausted_pool_is_unavailable_until_a_connection_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "POOL_WAIT_SECONDS", 0.01)
    with ExitStack() as held:
        for _ in range(product.POOL_SIZE):
            held.enter_context(transaction(None)).run(NEW_ID)
        with pytest.raises(Unavailable):
            kept_pid()
    assert kept_pid()


def test_each_thread_has_its_own_connection() -> None:
    pids: set[int] = set()
    together = threading.Barrier(4)

    def work() -> None:
        with transaction(None) as tx:
            pids.add(tx.run(PID))
            together.wait(10)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 4
