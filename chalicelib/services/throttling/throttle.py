"""The throttle of a platform: all workers know at once when it is down, and when its quota is nearly used up.

The circuit opens after consecutive failures across all workers; then one run at a time probes it until one succeeds.
Quotas are learned from response headers, if there are any, and from 429s; `data/throttle` defines how they are shared.
"""

import random
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from chalicelib import clock, logs
from chalicelib.data import throttle as rows
from chalicelib.data.postgres.database import write
from chalicelib.data.postgres.query import Query
from chalicelib.data.sync.leases import LeasedRun
from chalicelib.data.throttle import ThrottleState
from chalicelib.errors import AppError, CircuitOpen, QuotaSpent, RateLimited
from chalicelib.platforms.core.client import Client
from chalicelib.services.throttling.retries import time_until

T = TypeVar("T")

FAILURES_TO_OPEN = 10
OPEN_SECONDS = 30.0
LONGEST_OPEN_SECONDS = 600.0
PROBE_SECONDS = 120.0
"""Longer than a page may take; if the probe's worker died, the next probe may start after this time."""


def throttle_of(run: LeasedRun, api: str) -> "Throttle":
    """The state when the run was leased."""
    state = next((state for state in run.throttles if state.api == api), ThrottleState(api=api))
    return Throttle(run.connection.studio_id, run.connection.id, run.platform, state)


class Throttle:
    """The throttle of one run, or of one request that calls a platform."""

    def __init__(self, studio_id: UUID, connection_id: UUID | None, platform: str, state: ThrottleState) -> None:
        self._studio_id = studio_id
        self._connection_id = connection_id
        self._api: dict[str, Any] = {"platform": platform, "api": state.api}
        self._state = state
        self._failing = state.failures_in_row > 0
        self._is_open = False
        self._counted_calls = 0

    def check(self) -> None:
        """Raises CircuitOpen or QuotaSpent, with the time to resume."""
        if self._state.failures_in_row >= FAILURES_TO_OPEN:
            if self._state.open_seconds is not None or not self._probe():
                raise CircuitOpen(resume_at=later(self._state.open_seconds or OPEN_SECONDS))
            logs.event("circuit.probed", **self._api)
        if self._state.quota_seconds is not None:
            raise QuotaSpent(resume_at=later(self._state.quota_seconds))

    def succeeded(self, client: Client) -> None:
        """After each stored page. Raises QuotaSpent if the next one has to wait."""
        seconds = self.record_usage(client)
        if seconds is not None:
            raise QuotaSpent(resume_at=later(seconds))

    def require_closed(self) -> None:
        """Before another account is read. Raises CircuitOpen if the last one's failure opened the circuit."""
        if self._is_open:
            raise CircuitOpen(resume_at=later(OPEN_SECONDS))

    def record_usage(self, client: Client) -> float | None:
        """Records for all workers that the platform responds, and the quotas it reported; returns how long to wait."""
        self.answered()
        return self.spend(client)

    def answered(self) -> None:
        """Closes the circuit, if any failures were counted."""
        if self._failing:
            self._failing = False
            self._run(rows.CLOSE_CIRCUIT)
            logs.event("circuit.closed", **self._api)

    def failed(self, error: AppError, delay: timedelta | None) -> None:
        """The error may concern all workers: a platform that is down, or a limit that was reached."""
        if isinstance(error, RateLimited) and delay is not None:
            if error.scope != "one_account":
                self._block(error, delay)
        elif error.retry.is_outage:
            tripped = self._run(
                rows.TRIP_CIRCUIT,
                threshold=FAILURES_TO_OPEN,
                first_seconds=OPEN_SECONDS,
                longest_seconds=LONGEST_OPEN_SECONDS,
            )
            self._failing = True
            self._is_open = tripped.failures_in_row >= FAILURES_TO_OPEN
            if self._is_open:
                logs.event("circuit.opened", failures_in_row=tripped.failures_in_row, **self._api)

    def _probe(self) -> bool:
        return self._run(rows.PROBE_CIRCUIT, threshold=FAILURES_TO_OPEN, seconds=PROBE_SECONDS) is not None

    def spend(self, client: Client) -> float | None:
        """Records the quotas that responses reported, if any; returns how long to wait."""
        if not client.usage:
            return None
        calls, self._counted_calls = client.api_calls - self._counted_calls, client.api_calls
        readings: dict[str, float | None] = {}
        for scope in ("app", "account"):
            usage = client.usage.get(scope)
            resets_at = usage.resets_at if usage else None
            readings[f"{scope}_used"] = usage.used if usage else None
            readings[f"{scope}_seconds"] = time_until(resets_at).total_seconds() if resets_at else None
        of_account = {"studio_id": self._studio_id, "connection_id": self._connection_id}
        return self._run(rows.SPEND_QUOTA, calls=calls, **of_account, **readings).seconds

    def _block(self, error: RateLimited, delay: timedelta) -> None:
        logs.event("quota.refused", scope=error.scope, seconds=delay.total_seconds(), **self._api)
        if error.scope == "app":
            self._run(rows.BLOCK_APP, seconds=delay.total_seconds())
        elif self._connection_id is not None:
            of_account = {"studio_id": self._studio_id, "connection_id": self._connection_id}
            write(
                self._studio_id, rows.BLOCK_ACCOUNT, api=self._api["api"], seconds=delay.total_seconds(), **of_account
            )

    def _run(self, query: Query[T], **params: Any) -> T:
        """Separate from the page's transaction: a row that all workers write must be locked only briefly."""
        return write(self._studio_id, query, **self._api, **params)


def later(seconds: float) -> datetime:
    """With random delay, so that waiting runs do not all resume together."""
    return clock.now() + timedelta(seconds=seconds + random.uniform(0, 10 + seconds / 10))  # noqa: S311
