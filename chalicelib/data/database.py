"""The way to Postgres: one pool a process, and tenant transactions that cost no extra round trip to open."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

from pg8000.exceptions import DatabaseError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from chalicelib import clock
from chalicelib.data.driver import PgConnection
from chalicelib.data.query import Query
from chalicelib.errors import SettingsError, Unavailable
from chalicelib.secret import Secret
from chalicelib.settings import get_settings

T = TypeVar("T")

POOL_SIZE = 10  # a Lambda container uses one; the local server's threads share these
POOL_WAIT_SECONDS = 10.0
IDLE_SECONDS_BEFORE_CHECK = 20.0
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


def violated_constraint(error: DatabaseError) -> str | None:
    """The name of the constraint that a statement broke, if that is what happened."""
    details = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    name = details.get("n")
    return name if str(details.get("C", "")).startswith("23") else None


def close_pool() -> None:
    """Closes every kept connection: before a fork, and between tests."""
    _pool().dispose()
    _pool.cache_clear()


def connect(url: Secret, **options: Any) -> PgConnection:
    """A connection of its own to `postgresql://user:password@host:port/database[?sslmode=verify-full&sslrootcert=]`."""
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
        ssl_context=_ssl_context(query),
        application_name="ansel",
        startup_params=SESSION,
        timeout=options.get("timeout", 60),
    )


def _ssl_context(query: dict[str, str]) -> ssl.SSLContext | bool:
    on_loopback = get_settings().stage in ("local", "test")
    mode = query.get("sslmode", "disable" if on_loopback else "verify-full")
    if mode == "disable" and on_loopback:
        return False
    if mode != "verify-full":
        raise SettingsError("sslmode in DATABASE_URL must be verify-full (or disable, in the local and test stages)")
    return ssl.create_default_context(cafile=query.get("sslrootcert"))


@cache
def _pool() -> QueuePool:
    url = get_settings().database_url
    return QueuePool(
        lambda: connect(url), pool_size=POOL_SIZE, max_overflow=0, timeout=POOL_WAIT_SECONDS, reset_on_return=None
    )


@contextmanager
def _connection() -> Iterator[PgConnection]:
    try:
        proxied = _checked_out()
        connection = cast(PgConnection, proxied.dbapi_connection)
    except (InterfaceError, DatabaseError, OSError, PoolTimeout) as error:
        raise Unavailable("The database cannot be reached", internal=f"connect: {error}") from error
    try:
        yield connection
    except InterfaceError as error:
        raise Unavailable("The database connection broke", internal=str(error)) from error
    except DatabaseError as error:
        if _state(error).startswith(UNAVAILABLE_STATES):
            raise Unavailable("The database is busy or restarting", internal=f"sqlstate {_state(error)}") from error
        raise
    finally:
        if connection.is_broken:
            proxied.invalidate()
        else:
            proxied.info["used_at"] = clock.monotonic()
        proxied.close()


def _checked_out() -> PoolProxiedConnection:
    """A connection from the pool; one that idled is asked for a sign of life first: a container froze, a server failed
    over."""
    while True:
        proxied = _pool().connect()
        idle = clock.monotonic() - proxied.info.get("used_at", clock.monotonic())
        if idle < IDLE_SECONDS_BEFORE_CHECK:
            return proxied
        try:
            cast(PgConnection, proxied.dbapi_connection).execute_simple("")
        except (InterfaceError, DatabaseError, OSError):
            proxied.invalidate()
            proxied.close()
        else:
            return proxied


def _opening(studio_id: UUID | None, *, mode: str = "") -> str:
    tenant = f"'{UUID(str(studio_id))}'" if studio_id else "''"
    return f"BEGIN{mode}; SELECT set_config('app.studio_id', {tenant}, true)"


def _roll_back(connection: PgConnection) -> None:
    try:
        connection.rollback()
    except (InterfaceError, DatabaseError, OSError):
        connection.abandon()


def _state(error: DatabaseError) -> str:
    details = error.args[0] if error.args else {}
    return str(details.get("C", "")) if isinstance(details, dict) else ""
