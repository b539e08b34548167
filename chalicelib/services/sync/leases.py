"""Leases: while a worker holds a run, its right to write, its remaining time, and its client of the platform."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from chalicelib import clock
from chalicelib.data.postgres.database import Transaction, transaction
from chalicelib.data.postgres.query import Query
from chalicelib.data.sync import leases as rows
from chalicelib.data.sync.leases import LeasedRun
from chalicelib.errors import AppError
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections.clients import Session
from chalicelib.services.throttling.throttle import Throttle, throttle_of

T = TypeVar("T")

LEASE_SECONDS = 120
"""A page is fetched and stored well within it; afterwards another worker takes over from one that died."""
LONG_PAGE_SECONDS = 5
"""A page that takes longer checks the time before each further request."""
HEARTBEAT_SECONDS = 30
"""How often it then extends the lease."""
YIELD_MS = 40_000
"""With less time left, no page is started: longer than the timeouts of one request."""
OUT_OF_TIME_MS = 5_000
"""With less time left, a page sends no further request: the next invocation reads it again."""


class LeaseLost(AppError):
    """Another worker took over the run, or it was cancelled: this one must not write any more."""

    code = "lease_lost"


class OutOfTime(AppError):
    """The invocation would end before the page."""

    code = "out_of_time"


class Lease:
    """One worker's turn at a run. Every write requires the lease."""

    def __init__(self, run: LeasedRun, owner: UUID, remaining_ms: Callable[[], int]) -> None:
        self.run = run
        self.studio_id = run.connection.studio_id
        self.held = {"run_id": run.id, "owner": owner}
        self.session: Session | None = None
        self._client: Client | None = None
        self._throttle: Throttle | None = None
        self._remaining_ms = remaining_ms
        self._counted_calls = 0
        self._beat_at = clock.monotonic()

    @property
    def client(self) -> Client:
        if self._client is None:
            raise RuntimeError("the platform must not be called yet")
        return self._client

    @property
    def throttle(self) -> Throttle:
        if self._throttle is None:
            raise RuntimeError("the platform must not be called yet")
        return self._throttle

    def enter(self, api: str) -> None:
        """Raises if the platform must not be called now, or if there is no valid token."""
        self._throttle = throttle_of(self.run, api)
        self._throttle.check()
        self.session = Session(
            self.run.connection,
            get_platform(self.run.platform),
            wait_seconds=0,
            seconds_left=lambda: self._remaining_ms() / 1000,
        )
        self._client = self.session.client(heartbeat=self._heartbeat)

    def has_entered(self) -> bool:
        return self._throttle is not None

    def require_time(self) -> None:
        """Before each page. Raises OutOfTime."""
        if self._remaining_ms() < YIELD_MS:
            raise OutOfTime()

    def write(self, tx: Transaction, query: Query[T | None], **values: Any) -> T:
        written = tx.run(query, **self.held, **values)
        if written is None:
            raise LeaseLost()
        self._beat_at = clock.monotonic()
        return written

    def uncounted_calls(self) -> int:
        total = self._client.api_calls if self._client else 0
        uncounted, self._counted_calls = total - self._counted_calls, total
        return uncounted

    def _heartbeat(self) -> None:
        """Before each request: a page of many requests extends its lease, and stops when its time is over."""
        silence = clock.monotonic() - self._beat_at
        if silence > LONG_PAGE_SECONDS and self._remaining_ms() < OUT_OF_TIME_MS:
            raise OutOfTime()
        if silence > HEARTBEAT_SECONDS:
            with transaction(self.studio_id) as tx:
                self.write(tx, rows.KEEP_LEASE, lease_seconds=LEASE_SECONDS)
