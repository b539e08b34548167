"""A connection pool: a Lambda container uses one connection, the threads of a local server share a few.

SQLAlchemy's pool would do, but importing it costs a cold start more than everything else the API needs together.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import BoundedSemaphore

from chalicelib import clock
from chalicelib.data.postgres.driver import PgConnection

# By wall-clock time, because the monotonic clock may stop while a container is frozen.
IDLE_BEFORE_CHECK = timedelta(seconds=20)
CHECK_SECONDS = 2.0
"""A live server responds in milliseconds; a dead one must not keep the request from trying the next connection."""


class PoolTimeout(Exception):
    """Every connection is in use, and none was returned in time."""


class Checkout:
    """A connection that is checked out."""

    def __init__(self, pool: "Pool", connection: PgConnection) -> None:
        self.connection = connection
        self._pool = pool

    def replace(self) -> None:
        """Closes the connection and opens a new one, to the current address of its host. Raises what connecting raises.

        The event that ended one connection, such as a failover, has ended the others as well.
        """
        self.connection.abandon()
        self._pool.close()
        self.connection = self._pool.connect()


class Pool:
    """At most `size` connections; the last used one is handed out first, so that the others may age and be closed."""

    def __init__(self, connect: Callable[[], PgConnection], *, size: int, wait_seconds: float) -> None:
        self.connect = connect
        self._free = BoundedSemaphore(size)
        self._wait_seconds = wait_seconds
        self._idle: list[tuple[PgConnection, datetime]] = []
        self._ended = False

    @contextmanager
    def checkout(self) -> Iterator[Checkout]:
        """A live connection. Raises PoolTimeout, or any error of connecting."""
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
        """Closes the connections that are not in use."""
        while idle := self._pop():
            idle[0].close()

    def end(self) -> None:
        """Also closes connections in use, as soon as they are returned."""
        self._ended = True
        self.close()

    def _take(self) -> PgConnection | None:
        while idle := self._pop():
            connection, used_at = idle
            if connection.closed_by_server:
                connection.abandon()
            elif clock.now() - used_at < IDLE_BEFORE_CHECK or connection.ping(CHECK_SECONDS):
                return connection
        return None

    def _pop(self) -> tuple[PgConnection, datetime] | None:
        """In one step: between a check and a pop another thread may take the last one."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _keep(self, connection: PgConnection) -> None:
        if connection.in_transaction:
            connection.abandon()
        if connection.is_broken:
            self.close()  # whatever ended one, such as a failover, has ended the others as well
        elif self._ended:
            connection.close()
        else:
            self._idle.append((connection, clock.now()))
