"""The way to Postgres: one pool a process, and tenant transactions that cost no extra round trip to open."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib.data.driver import PgConnection
from chalicelib.data.pool import Exhausted, Pool
from chalicelib.data.query import Query
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.secret import Secret
from chalicelib.settings import get_settings

T = TypeVar("T")

POOL_SIZE = 10  # a Lambda container uses one; the local server's threads share these
POOL_WAIT_SECONDS = 10.0
SOCKET_TIMEOUT_SECONDS = 60.0  # longer than any statement may take
UNAVAILABLE_STATES = (
    "08",  # connection exception
    "53",  # insufficient resources
    "57",  # operator intervention: shutdown, statement timeout
    "55P03",  # lock not available
    "40001",
    "40P01",  # serialization failure, deadlock
)
SESSION = {
    "TimeZone": "UTC",
    "statement_timeout": "30000",
    "lock_timeout": "5000",
    "idle_in_transaction_session_timeout": "60000",
}


class Transaction:
    """An open transaction. Its BEGIN travels with the first statement, so an unused one costs nothing."""

    def __init__(self, connection: PgConnection, opening: str) -> None:
        self._connection = connection
        self._opening = opening

    def run(self, query: Query[T], /, **params: Any) -> T:
        before = "" if self._connection.in_transaction else self._opening
        return query.decode(self._connection.flight(query.sql, query.values(params), before=before))

    def commit(self) -> None:
        """Raises when a statement had failed: the server would roll back and call that done."""
        if self._connection.in_transaction:
            self._connection.execute_simple("COMMIT")


@contextmanager
def transaction(studio_id: UUID | None) -> Iterator[Transaction]:
    """A transaction that sees this studio's rows only; None sees no tenant rows, just the doors.

    Commits when the block ends, rolls back when it raises. Raises Unavailable when the database cannot serve.
    """
    with _connection() as connection:
        current = Transaction(connection, _opening(studio_id))
        try:
            yield current
            current.commit()
        except BaseException:
            _roll_back(connection)
            raise


def read(studio_id: UUID | None, query: Query[T], /, **params: Any) -> T:
    """One statement in a read-only transaction of its own, in one round trip."""
    with _connection() as connection:
        before = _opening(studio_id, mode=" READ ONLY")
        return query.decode(connection.flight(query.sql, query.values(params), before=before, after="COMMIT"))


def write(studio_id: UUID | None, query: Query[T], /, **params: Any) -> T:
    """One statement in a transaction of its own, in one round trip."""
    with _connection() as connection:
        return query.decode(
            connection.flight(query.sql, query.values(params), before=_opening(studio_id), after="COMMIT")
        )


def close_pool() -> None:
    """Closes every kept connection: before a fork, and between tests."""
    _pool().close()
    _pool.cache_clear()


def connect(url: Secret, *, stage: str = "", timeout: float | None = SOCKET_TIMEOUT_SECONDS) -> PgConnection:
    """A connection of its own to `postgresql://user:password@host:port/database[?sslmode=verify-full&sslrootcert=]`.

    `stage` is the settings' unless given; outside `local` and `test` nothing but verified TLS will do. `timeout` is the
    longest silence on the socket, in seconds.
    """
    parts = urlsplit(url.reveal())
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if parts.scheme not in ("postgres", "postgresql") or not parts.username:
        raise SettingsError("DATABASE_URL must look like postgresql://user:password@host:port/database")
    return PgConnection(
        unquote(parts.username),
        host=parts.hostname or "localhost",
        port=parts.port or 5432,
        database=unquote(parts.path.lstrip("/")) or None,
        password=unquote(parts.password) if parts.password else None,
        ssl_context=_ssl_context(query, stage or get_settings().stage),
        application_name="ansel",
        startup_params=SESSION,
        timeout=timeout,
    )


def _ssl_context(query: dict[str, str], stage: str) -> ssl.SSLContext | bool:
    on_loopback = stage in ("local", "test")
    mode = query.get("sslmode", "disable" if on_loopback else "verify-full")
    if mode == "disable" and on_loopback:
        return False
    if mode != "verify-full":
        raise SettingsError("sslmode in DATABASE_URL must be verify-full (or disable, in the local and test stages)")
    return ssl.create_default_context(cafile=query.get("sslrootcert"))


@cache
def _pool() -> Pool:
    url = get_settings().database_url
    return Pool(lambda: connect(url), size=POOL_SIZE, wait_seconds=POOL_WAIT_SECONDS)


@contextmanager
def _connection() -> Iterator[PgConnection]:
    """A connection of the pool; what goes wrong with it is told as Unavailable where trying again may help."""
    connected = False
    try:
        with _pool().connection() as connection:
            connected = True
            yield connection
    except Exhausted as error:
        raise Unavailable("The database cannot be reached", internal="every connection is in use") from error
    except InterfaceError as error:
        raise Unavailable("The database cannot be reached", internal=str(error)) from error
    except (DatabaseError, OSError) as error:
        if connected and not _state(error).startswith(UNAVAILABLE_STATES):
            raise
        raise Unavailable("The database cannot serve right now", internal=_state(error) or str(error)) from error


def _opening(studio_id: UUID | None, *, mode: str = "") -> str:
    tenant = f"'{UUID(str(studio_id))}'" if studio_id else "''"
    return f"BEGIN{mode}; SELECT set_config('app.studio_id', {tenant}, true)"


def _roll_back(connection: PgConnection) -> None:
    try:
        connection.rollback()
    except (InterfaceError, DatabaseError, OSError):
        connection.abandon()


def _state(error: Exception) -> str:
    """The SQLSTATE, if the server said one."""
    details = error.args[0] if error.args else {}
    return str(details.get("C", "")) if isinstance(details, dict) else ""
