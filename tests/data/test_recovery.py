"""Connections that die while idle: what a request does about it, and what it must not do twice."""

import socket
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError

from chalicelib.data.postgres import connect as connect_module
from chalicelib.data.postgres import driver, pool
from chalicelib.data.postgres.connect import SESSION
from chalicelib.data.postgres.database import Transaction, close_pool, read, transaction, write, write_repeatable
from chalicelib.data.postgres.driver import LIVENESS, PgConnection
from chalicelib.data.postgres.query import Query
from chalicelib.data.studios import GET_STUDIO
from chalicelib.errors import Unavailable
from chalicelib.settings import get_settings
from dev.postgres import Postgres
from tests.conftest import Database
from tests.data.relay import HOST, Relay
from tests.data.rows import new_studio

pytestmark = pytest.mark.usefixtures("every_privilege")

PID: Query[int] = Query("SELECT to_json(pg_backend_pid())", int)
EXTEND: Query[None] = Query("UPDATE studio SET name = name || :text")
SETTING: Query[str] = Query("SELECT to_json(current_setting(:name))", str)

Failure = Callable[[Relay], None]


def not_noticed(fail: Failure, monkeypatch: pytest.MonkeyPatch) -> Failure:
    """The failure for a client that has not noticed it yet: the notification is still on its way."""
    monkeypatch.setattr(PgConnection, "closed_by_server", False)
    return fail


@pytest.fixture
def relay(clean_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """Between the product and its server. Each test starts without pooled connections and leaves none behind."""
    with Relay(clean_database.port) as relay:
        url = clean_database.url("ansel_joint")
        monkeypatch.setenv("DATABASE_URL", url.replace(f":{clean_database.port}/", f":{relay.port}/"))
        get_settings.cache_clear()
        close_pool()
        yield relay
        monkeypatch.undo()
        close_pool()
        get_settings.cache_clear()
        connect_module._pooled.clear()


@pytest.fixture
def studio(relay: Relay) -> UUID:
    return new_studio("a")


def name_of(superuser: pg8000.native.Connection, studio_id: UUID) -> str:
    return str(superuser.run("SELECT name FROM studio WHERE id = :id", id=studio_id)[0][0])


def in_transaction(studio_id: UUID, *steps: Callable[[Transaction], object]) -> None:
    with transaction(studio_id) as tx:
        for step in steps:
            step(tx)


def extending(tx: Transaction) -> None:
    tx.run(EXTEND, text="b")


def extend(studio_id: UUID) -> None:
    in_transaction(studio_id, extending)


def extend_at_once(studio_id: UUID) -> None:
    write(studio_id, EXTEND, text="b")


def extend_repeatably(studio_id: UUID) -> None:
    write_repeatable(studio_id, EXTEND, text="b")


def peek(studio_id: UUID) -> None:
    read(studio_id, GET_STUDIO)


FAILURES = pytest.mark.parametrize("fail", [Relay.reset, Relay.cut_before_answer], ids=["reset", "answer lost"])


@FAILURES
def test_a_read_is_resent_when_its_connection_dies(
    relay: Relay, studio: UUID, fail: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_noticed(fail, monkeypatch)(relay)
    found = read(studio, GET_STUDIO)
    assert found and found.name == "a"
    assert relay.taken == 2


def test_dead_pooled_connections_are_dropped_together(
    relay: Relay, studio: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction(studio) as tx:
        tx.run(GET_STUDIO)
        read(studio, GET_STUDIO)
    assert relay.taken == 2
    not_noticed(Relay.reset, monkeypatch)(relay)
    assert read(studio, GET_STUDIO)
    assert relay.taken == 3


@FAILURES
def test_the_first_statement_of_a_transaction_is_resent_and_counts_once(
    relay: Relay, studio: UUID, fail: Failure, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_noticed(fail, monkeypatch)(relay)
    extend(studio)
    assert name_of(superuser, studio) == "ab"


def test_a_later_statement_of_a_transaction_is_not_resent(
    relay: Relay, studio: UUID, superuser: pg8000.native.Connection
) -> None:
    with pytest.raises(Unavailable):
        in_transaction(studio, extending, lambda _: relay.reset(), extending)
    assert name_of(superuser, studio) == "a"
    extend(studio)
    assert name_of(superuser, studio) == "ab"


def test_a_write_whose_response_was_lost_is_not_resent(
    relay: Relay, studio: UUID, superuser: pg8000.native.Connection
) -> None:
    """It may have been executed, and here it was."""
    relay.cut_before_answer()
    with pytest.raises(Unavailable):
        write(studio, EXTEND, text="b")
    assert eventually(lambda: name_of(superuser, studio), "ab")


@FAILURES
def test_an_idempotent_write_is_resent_like_a_read(
    relay: Relay, studio: UUID, fail: Failure, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_noticed(fail, monkeypatch)(relay)
    write_repeatable(studio, EXTEND, text="b")
    assert eventually(lambda: name_of(superuser, studio), "abb" if fail is Relay.cut_before_answer else "ab")


def test_a_write_that_was_not_fully_sent_is_resent(
    relay: Relay, studio: UUID, superuser: pg8000.native.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    not_noticed(Relay.reset, monkeypatch)(relay)
    write(studio, EXTEND, text="b")
    assert name_of(superuser, studio) == "ab"
    assert relay.taken == 2


def test_a_commit_whose_response_was_lost_is_unavailable(
    relay: Relay, studio: UUID, superuser: pg8000.native.Connection
) -> None:
    with pytest.raises(Unavailable):
        in_transaction(studio, extending, lambda _: relay.cut_before_answer())
    assert eventually(lambda: name_of(superuser, studio), "ab")


@pytest.mark.parametrize("ask", [peek, extend, extend_at_once, extend_repeatably])
def test_a_peer_that_vanished_during_a_freeze_is_replaced_within_the_request(
    relay: Relay, studio: UUID, ask: Callable[[UUID], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half-open: the client gets neither an error nor a response. After a freeze it pings first, and not for long."""
    relay.fall_silent()
    monkeypatch.setattr(pool, "IDLE_BEFORE_CHECK", timedelta(0))
    monkeypatch.setattr(pool, "CHECK_SECONDS", 0.05)
    ask(studio)
    assert relay.taken == 2


def test_a_socket_timeout_is_not_waited_for_twice(relay: Relay, studio: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction(studio) as tx:
        tx.run(PID)
        tx._checkout.connection.set_socket_timeout(0.05)
    relay.fall_silent()
    with pytest.raises(Unavailable, match="timed out"):
        read(studio, GET_STUDIO)
    assert relay.taken == 1


def test_sockets_detect_a_vanished_peer_and_do_not_delay(database: Database) -> None:
    sock = driver._open_socket(HOST, database.port, None)
    known = {name: value for name, value in {**LIVENESS, "TCP_NODELAY": 1}.items() if hasattr(socket, name)}
    assert {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in known} == known
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    sock.close()


@pytest.fixture
def demoted(relay: Relay, studio: UUID, superuser: pg8000.native.Connection) -> Iterator[Callable[[], None]]:
    """The pooled connection leads to a server that accepts no writes, like a primary that became a standby; `demoted()`
    makes the host's name lead to the new primary."""
    database = superuser.run("SELECT current_database()")[0][0]
    superuser.run(f"ALTER ROLE ansel_joint IN DATABASE {database} SET default_transaction_read_only = on")
    close_pool()
    read(None, PID)

    def fail_over() -> None:
        superuser.run(f"ALTER ROLE ansel_joint IN DATABASE {database} RESET default_transaction_read_only")

    yield fail_over
    fail_over()


@pytest.mark.parametrize("ask", [extend, extend_at_once, extend_repeatably])
def test_a_write_rejected_by_a_standby_goes_to_the_new_primary(
    demoted: Callable[[], None], studio: UUID, ask: Callable[[UUID], None], superuser: pg8000.native.Connection
) -> None:
    demoted()
    ask(studio)
    assert name_of(superuser, studio) == "ab"


@pytest.mark.parametrize("ask", [extend, extend_at_once, extend_repeatably])
def test_without_a_primary_writes_are_unavailable_and_keep_no_connection(
    demoted: Callable[[], None], studio: UUID, ask: Callable[[UUID], None], relay: Relay
) -> None:
    with pytest.raises(Unavailable, match="25006"):
        ask(studio)
    taken = relay.taken
    read(None, PID)
    assert relay.taken == taken + 1
    demoted()
    ask(studio)


def test_a_standby_is_left_by_all_connections(demoted: Callable[[], None], studio: UUID) -> None:
    def two() -> set[int]:
        with transaction(None) as one, transaction(None) as other:
            return {one.run(PID), other.run(PID)}

    met = two()
    demoted()
    extend(studio)
    assert not met & two()


def test_a_transaction_rejected_by_a_standby_drops_its_connection(
    demoted: Callable[[], None], studio: UUID, superuser: pg8000.native.Connection
) -> None:
    demoted()
    with pytest.raises(Unavailable, match="25006"):
        in_transaction(studio, lambda tx: tx.run(GET_STUDIO), extending)
    extend(studio)
    assert name_of(superuser, studio) == "ab"


def test_a_read_that_writes_is_not_an_outage(studio: UUID) -> None:
    with pytest.raises(DatabaseError, match="25006"):
        read(studio, EXTEND, text="b")


def test_a_restarted_server_is_reached_within_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    with Postgres(tmp_path / "data", durable=False) as server:
        monkeypatch.setenv("DATABASE_URL", server.url())
        get_settings.cache_clear()
        close_pool()
        before = read(None, PID)
        port = server.port
        server.stop()
        with pytest.raises(Unavailable):
            read(None, PID)
        server._wanted_port = port
        server.start()
        assert read(None, PID) != before
        close_pool()
    get_settings.cache_clear()


@pytest.fixture
def pooler(clean_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    with Relay(clean_database.port, pooler=True) as pooler:
        url = clean_database.url("ansel_joint")
        monkeypatch.setenv("DATABASE_URL", url.replace(f":{clean_database.port}/", f":{pooler.port}/"))
        get_settings.cache_clear()
        close_pool()
        yield pooler
        monkeypatch.undo()
        close_pool()
        get_settings.cache_clear()
        connect_module._pooled.clear()


def test_behind_a_pooler_each_transaction_sends_its_settings(pooler: Relay) -> None:
    settings = {"statement_timeout": "25s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "1min"}
    assert SESSION.keys() == {"TimeZone", *settings}
    for name, value in {**settings, "TimeZone": "UTC"}.items():
        assert read(None, SETTING, name=name) == value
        with transaction(None) as tx:
            assert tx.run(SETTING, name=name) == value
            assert tx.run(SETTING, name=name) == value
    assert pooler.taken == 2


def test_a_pooler_is_remembered(pooler: Relay) -> None:
    read(None, PID)
    close_pool()
    read(None, PID)
    assert pooler.taken == 3


def eventually(look: Callable[[], str], expected: str) -> bool:
    """The server's reaction to a client that disappeared becomes visible a little later."""
    for _ in range(200):
        if look() == expected:
            return True
        time.sleep(0.01)
    return False
