"""Access to Postgres: one pool per process, tenant transactions that need no extra round trip to open, and resending
when a connection turns out to be dead (docs/database.md says what is resent, and why).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib import logs
from chalicelib.data.audit import actor_setting
from chalicelib.data.postgres.connect import SESSION, connect
from chalicelib.data.postgres.driver import NotSent, Outdated, PgConnection, Statement, Unproved, sqlstate
from chalicelib.data.postgres.pool import Checkout, Pool, PoolTimeout
from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.tenants import SET_STUDIO, doubt_proof_keys, studio_settings
from chalicelib.errors import AlreadyExists, SettingsError, Unavailable, Unreadable
from chalicelib.settings import get_settings

T = TypeVar("T")

POOL_SIZE = 10  # a Lambda container uses one; the local server's threads share these
POOL_WAIT_SECONDS = 10.0
DATA_EXCEPTION = "22"
"""A value of a stored row, or of a parameter, with which something cannot be computed."""
UNIQUE_VIOLATION = "23505"
READ_ONLY = "25006"
"""A standby's response to a write, such as from the server that was the primary before a failover."""
UNAVAILABLE_STATES = (
    "08",  # connection exception
    "53",  # insufficient resources
    "57",  # operator intervention: shutdown, statement timeout
    "55P03",  # lock not available
    "40001",
    "40P01",  # serialization failure, deadlock
)
SETTINGS_OF_A_TRANSACTION = "; SELECT " + ", ".join(
    f"set_config('{name}', '{value}', true)" for name, value in SESSION.items()
)

UNPROVED = (
    "The database does not accept the proof of a studio: make TENANT_PROOF_KEYS known to it by `tenant-keys apply`, or "
    "look for a statement that names another studio than its transaction"
)

Judge = Callable[[PgConnection, Exception], bool]
"""Whether a statement that failed on this connection may be resent on another one"""


class Call(NamedTuple):
    """A query and the values of its parameters."""

    query: Query[Any]
    params: dict[str, Any]


class Transaction:
    """An open transaction. Its BEGIN travels with the first statement, so an unused one costs nothing."""

    def __init__(self, checkout: Checkout, studio: tuple[str, str]) -> None:
        self._checkout = checkout
        self._studio = studio
        self._answered = False

    def run(self, query: Query[T], /, **params: Any) -> T:
        """Resends the first statement if its connection was dead: the server rolls back uncommitted work."""
        found: T = self.run_all(Call(query, params))[0]
        return found

    def run_all(self, *calls: Call) -> list[Any]:
        """Like `run`, for several statements in one round trip: each sees what was committed before it began."""
        begin = "" if self._checkout.connection.in_transaction else "BEGIN"
        may_repeat = _was_undone if begin and not self._answered else _never
        found = _ask_all(self._checkout, calls, self._studio, may_repeat, begin=begin)
        self._answered = True
        return found

    def finish(self, *calls: Call) -> list[Any]:
        """The last statements and the COMMIT, in one round trip; returns what each query returns."""
        begin = "" if self._checkout.connection.in_transaction else "BEGIN"
        may_repeat = _was_not_carried_out if begin and not self._answered else _never
        found = _ask_all(self._checkout, calls, self._studio, may_repeat, begin=begin, end="COMMIT")
        self._answered = True
        return found

    def commit(self) -> None:
        """Raises if a statement had failed: the server would roll back and report success."""
        if self._checkout.connection.in_transaction:
            self._checkout.connection.execute_simple("COMMIT")


@contextmanager
def transaction(studio_id: UUID | None) -> Iterator[Transaction]:
    """A transaction that sees this studio's rows only; None sees no tenant rows, except through cross-tenant functions.

    Commits when the block ends, rolls back when it raises. Raises Unavailable if the database cannot serve.
    """
    studio = studio_settings(studio_id)
    with _checked_out(to_write=True) as checkout:
        current = Transaction(checkout, studio)
        try:
            yield current
            current.commit()
        except BaseException:
            _roll_back(checkout.connection)
            raise


def read(studio_id: UUID | None, query: Query[T], /, **params: Any) -> T:
    """One statement in a read-only transaction of its own, in one round trip.

    Raises Unreadable if the statement fails on the values of stored rows.
    """
    studio = studio_settings(studio_id)
    with _checked_out() as checkout:
        try:
            return _ask(checkout, query, params, studio, _is_dead, begin="BEGIN READ ONLY", end="COMMIT")
        except DatabaseError as error:
            if not sqlstate(error).startswith(DATA_EXCEPTION):
                raise
            raise Unreadable(internal=f"A row is not what it should be: SQLSTATE {sqlstate(error)}") from error


def write(studio_id: UUID | None, query: Query[T], /, **params: Any) -> T:
    """One statement in a transaction of its own, in one round trip."""
    studio = studio_settings(studio_id)
    with _checked_out(to_write=True) as checkout:
        return _ask(checkout, query, params, studio, _was_not_carried_out, begin="BEGIN", end="COMMIT")


def write_repeatable(studio_id: UUID | None, query: Query[T], /, **params: Any) -> T:
    """Like `write`, for an idempotent statement: it is resent whenever a read would be."""
    studio = studio_settings(studio_id)
    with _checked_out(to_write=True) as checkout:
        return _ask(checkout, query, params, studio, _was_undone, begin="BEGIN", end="COMMIT")


def close_pool() -> None:
    """Closes every connection, those in use once they are returned: before a fork, and between tests."""
    _pool().end()
    _pool.cache_clear()


def _ask(
    checkout: Checkout,
    query: Query[T],
    params: dict[str, Any],
    studio: tuple[str, str],
    may_repeat: Judge,
    *,
    begin: str,
    end: str = "",
) -> T:
    found: T = _ask_all(checkout, (Call(query, params),), studio, may_repeat, begin=begin, end=end)[0]
    return found


def _ask_all(
    checkout: Checkout,
    calls: Sequence[Call],
    studio: tuple[str, str],
    may_repeat: Judge,
    *,
    begin: str,
    end: str = "",
) -> list[Any]:
    def send() -> list[list[list[Any]]]:
        settings = SETTINGS_OF_A_TRANSACTION if begin and not checkout.connection.has_session_settings else ""
        first = (SET_STUDIO, (*studio, actor_setting())) if begin else None
        return checkout.connection.pipeline_all(statements, before=begin + settings, first=first, after=end)

    statements = [Statement(each.query.sql, each.query.values(each.params), each.query.is_prepared) for each in calls]
    try:
        rows = send()
    except (InterfaceError, DatabaseError) as error:
        if not may_repeat(checkout.connection, error):
            raise
        logs.event("database.reconnected", reason=_reason(error))
        checkout.replace()
        rows = send()
    return [each.query.decode(found) for each, found in zip(calls, rows, strict=True)]


def _is_dead(connection: PgConnection, error: Exception) -> bool:
    """Gone, and not merely silent until our timeout: resending would wait for as long again."""
    return connection.is_broken and not _is_our_timeout(error)


def _was_undone(connection: PgConnection, error: Exception) -> bool:
    """For a statement whose COMMIT was not sent with it, or that is idempotent."""
    return _is_dead(connection, error) or sqlstate(error) == READ_ONLY


def _was_not_carried_out(connection: PgConnection, error: Exception) -> bool:
    """For a statement and its COMMIT. If only the response was lost, the server may have executed both."""
    return (isinstance(error, NotSent) and _is_dead(connection, error)) or sqlstate(error) == READ_ONLY


def _never(connection: PgConnection, error: Exception) -> bool:
    """For a later statement: the earlier ones are rolled back as well, and only the caller could repeat them."""
    return False


def _is_our_timeout(error: Exception) -> bool:
    """Python's own timeout has no errno; one that the kernel detected on the peer has."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return isinstance(cause, TimeoutError) and cause.errno is None


@cache
def _pool() -> Pool:
    return Pool(_connect, size=POOL_SIZE, wait_seconds=POOL_WAIT_SECONDS)


def _connect() -> PgConnection:
    try:
        return connect(get_settings().database)
    except (InterfaceError, DatabaseError, OSError) as error:
        raise Unavailable("The database cannot be reached", internal=_reason(error)) from error


@contextmanager
def _checked_out(*, to_write: bool = False) -> Iterator[Checkout]:
    """A connection from the pool. Its errors are raised as Unavailable if a retry may help."""
    try:
        with _pool().checkout() as checkout:
            try:
                yield checkout
            except DatabaseError as error:
                if to_write and sqlstate(error) == READ_ONLY:
                    checkout.connection.abandon()  # the next one resolves the host again
                    raise Unavailable("The database cannot serve right now", internal=_reason(error)) from error
                raise
    except Unproved as error:
        doubt_proof_keys()
        logs.event("tenant.unproved", level=logging.ERROR)
        raise SettingsError(UNPROVED) from error
    except Outdated as error:
        raise Unavailable("The database's schema has just changed", internal=_reason(error)) from error
    except PoolTimeout as error:
        raise Unavailable("The database cannot be reached", internal="every connection is in use") from error
    except (InterfaceError, OSError) as error:
        raise Unavailable("The database cannot be reached", internal=_reason(error)) from error
    except DatabaseError as error:
        if sqlstate(error) == UNIQUE_VIOLATION:
            raise AlreadyExists(internal=_reason(error)) from error
        if not sqlstate(error).startswith(UNAVAILABLE_STATES):
            raise
        raise Unavailable("The database cannot serve right now", internal=_reason(error)) from error


def _reason(error: Exception) -> str:
    cause = f": {error.__cause__}" if error.__cause__ else ""
    return sqlstate(error) or f"{error}{cause}"


def _roll_back(connection: PgConnection) -> None:
    try:
        connection.rollback()
    except (InterfaceError, DatabaseError, OSError):
        connection.abandon()
