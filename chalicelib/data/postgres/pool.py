"""Kept connections: a Lambda container uses one, the threads of a local server share a few.

SQLAlchemy's pool would do, but importing it costs a cold start more than everything else the API needs together.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import BoundedSemaphore

from chalicelib import clock
from chalicelib.data.postgres.driver import PgConnection

# By the calendar, not the process's own clock: that one may stand still while a container is frozen.
IDLE_BEFORE_CHECK = timedelta(seconds=20)
CHECK_SECONDS = 2.0
"""A server that is there answers in milliseconds; one that is not keeps the request from asking the next."""


class PoolTimeout(Exception):
    """Every connection is in use, and none came back in time."""


class Checkout:
    """A connection that somebody uses for a while."""

    def __init__(self, pool: "Pool", connection: PgConnection) -> None:
        self.connection = connection
        self._pool = pool

    def replace(self) -> None:
        """Lets the connection go for a new one, to where its host's name leads by now. Raises what connecting raises.

        What ended one, a fail-over say, has ended the others as well.
        """
        self.connection.abandon()
        self._pool.close()
        self.connection = self._pool.connect()


class Pool:
    """At most `size` connections; the one used last is handed out first, so that the others may age and die."""

    def __init__(self, connect: Callable[[], PgConnection], *, size: int, wait_seconds: float) -> None:
        self.connect = connect
        self._free = BoundedSemaphore(size)
        self._wait_seconds = wait_seconds
        self._kept: list[tuple[PgConnection, datetime]] = []
        self._ended = False

    @contextmanager
    def checkout(self) -> Iterator[Checkout]:
        """A live connection. Raises PoolTimeout, or whatever connecting raises."""
        if not self._free.acquire(timeout=self._wait_seconds):
            raise PoolTimeout
        try:
            checkout = Checkout(self, self._take() or self.connect())
            try:
                yield checkout
            finally:
                self._keep(checkout.connection)
        finally:
            self._free.release()

    def close(self) -> None:
        """Closes the connections that nobody uses."""
        while kept := self._pop():
            kept[0].close()

    def end(self) -> None:
        """Closes those as well that somebody uses, as soon as they come back."""
        self._ended = True
        self.close()

    def _take(self) -> PgConnection | None:
        while kept := self._pop():
            connection, used_at = kept
            if connection.closed_by_server:
                connection.abandon()
            elif clock.now() - used_at < IDLE_BEFORE_CHECK or connection.ping(CHECK_SECONDS):
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
        elif self._ended:
            connection.close()
        else:
            self._kept.append((connection, clock.now()))
