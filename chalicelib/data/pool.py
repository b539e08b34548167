"""Kept connections: a Lambda container uses one, the threads of a local server share a few.

SQLAlchemy's pool would do, but importing it costs a cold start more than everything else the API needs together.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import BoundedSemaphore

from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib import clock
from chalicelib.data.driver import PgConnection

# By the calendar, not the process's own clock: that one may stand still while a container is frozen.
IDLE_BEFORE_CHECK = timedelta(seconds=20)


class Exhausted(Exception):
    """Every connection is in use, and none came back in time."""


class Pool:
    """At most `size` connections; the one used last is handed out first, so that the others may age and die."""

    def __init__(self, connect: Callable[[], PgConnection], *, size: int, wait_seconds: float) -> None:
        self._connect = connect
        self._free = BoundedSemaphore(size)
        self._wait_seconds = wait_seconds
        self._kept: list[tuple[PgConnection, datetime]] = []

    @contextmanager
    def connection(self) -> Iterator[PgConnection]:
        """Lends a living connection. Raises Exhausted, or whatever connecting raises."""
        if not self._free.acquire(timeout=self._wait_seconds):
            raise Exhausted
        try:
            connection = self._take() or self._connect()
            try:
                yield connection
            finally:
                self._keep(connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Closes the connections that nobody uses."""
        while kept := self._pop():
            kept[0].close()

    def _take(self) -> PgConnection | None:
        while kept := self._pop():
            connection, used_at = kept
            if connection.was_ended:
                connection.abandon()
            elif clock.now() - used_at < IDLE_BEFORE_CHECK or _is_alive(connection):
                return connection
        return None

    def _pop(self) -> tuple[PgConnection, datetime] | None:
        """In one step: between a look and a pop another thread may take the last one."""
        try:
            return self._kept.pop()
        except IndexError:
            return None

    def _keep(self, connection: PgConnection) -> None:
        if connection.in_transaction:
            connection.abandon()
        if connection.is_broken:
            self.close()  # what ended one, a fail-over say, has ended the others as well
        else:
            self._kept.append((connection, clock.now()))


def _is_alive(connection: PgConnection) -> bool:
    """Asks one that idled for a sign of life: its container may have been frozen, its server failed over."""
    try:
        connection.execute_simple("")
    except (InterfaceError, DatabaseError, OSError):
        connection.abandon()
        return False
    return True
