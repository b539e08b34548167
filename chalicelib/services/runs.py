"""Runs at work: a worker leases one and reads its stream page by page.

Each page, its cursor and the run's counters commit in one transaction, so a worker may be killed anywhere: the next one
goes on from the last page, nothing lost and nothing twice. Nothing sleeps; what has to wait is given back with a time.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec

from chalicelib import doorbell, logs
from chalicelib.data import records as record_rows
from chalicelib.data import runs as rows
from chalicelib.data.database import Transaction, read, transaction
from chalicelib.data.runs import LeasedRun
from chalicelib.errors import (
    AppError,
    CursorExpired,
    PlatformError,
    RateLimited,
    ReconnectRequired,
    TransientFault,
    Unavailable,
)
from chalicelib.platforms.base import Page, Stream
from chalicelib.platforms.client import Client
from chalicelib.services import grants
from chalicelib.services.connections import mark_broken
from chalicelib.services.retries import MAX_IDLE_ATTEMPTS, resume_at
from chalicelib.services.streams import TABLES, syncable_stream

LEASE_SECONDS = 120
"""A page is fetched and stored well within it; a worker that died is taken over after it."""
HAND_OVER_MS = 40_000
"""With less time than this left a run is handed over: longer than the timeouts of one request."""


class LeaseLost(AppError):
    """Another worker took the run over, or it was cancelled: whatever this one was about to write is void."""

    code = "lease_lost"


def execute_run(studio_id: UUID, run_id: UUID, remaining_ms: Callable[[], int]) -> str:
    """Goes on with a run until its stream is caught up or `remaining_ms` runs out.

    Returns what became of it: dropped, succeeded, handed_over, deferred, failed or lease_lost. Raises Unavailable when
    the database cannot be reached, and whatever was unforeseen, after noting it on the run.
    """
    with logs.bound(run_id=run_id, studio_id=studio_id):
        owner = uuid4()
        with transaction(studio_id) as tx:
            run = tx.run(rows.LEASE_RUN, run_id=run_id, owner=owner, lease_seconds=LEASE_SECONDS)
        if run is None:
            return _dropped(studio_id, run_id)
        outcome = _Attempt(run, owner, remaining_ms).make()
        logs.event("run.stopped", outcome=outcome, platform=run.platform, stream=run.stream)
        return outcome


def _dropped(studio_id: UUID, run_id: UUID) -> str:
    """The message is late, a duplicate, or early: its run is done, held by another worker, or not due yet."""
    state = read(studio_id, rows.FIND_RUN_STATE, run_id=run_id)
    reason = "unknown" if state is None else "leased" if state.leased else state.status
    logs.event("message.dropped", reason=reason)
    return "dropped"


class _Attempt:
    """One worker's turn at a run. Every write is made under its lease, or not at all."""

    def __init__(self, run: LeasedRun, owner: UUID, remaining_ms: Callable[[], int]) -> None:
        self._run = run
        self._studio_id = run.connection.studio_id
        self._held = {"run_id": run.id, "owner": owner}
        self._remaining_ms = remaining_ms
        self._full_read = run.full_read
        self._restarted = False
        self._client: Client | None = None
        self._counted_calls = 0

    def make(self) -> str:
        try:
            if self._run.idle_attempts > MAX_IDLE_ATTEMPTS:
                raise PlatformError("The run was given up: its workers died again and again", code="gave_up")
            return self._read_stream(syncable_stream(self._run.platform, self._run.stream))
        except LeaseLost as error:
            return error.code
        except Unavailable:
            raise
        except AppError as error:
            return self._settle(error)
        except Exception as error:
            # Ours to mend. The run says so and is tried again; the message goes back, and in the end to the DLQ.
            logs.event("run.crashed", error=error)
            self._settle(TransientFault("An internal error stopped the run", code="internal_error"))
            raise

    def _read_stream(self, stream: Stream[Any]) -> str:
        self._client = grants.client_for(self._run.connection)
        cursor = self._run.page_cursor if self._full_read else self._run.page_cursor or self._run.schedule_cursor
        while True:
            try:
                page = stream.fetch_page(self._client, cursor)
            except CursorExpired:
                if cursor is None or self._restarted:
                    raise
                self._restart()
                cursor = None
                continue
            cursor = msgspec.json.encode(page.cursor).decode()
            self._store(stream, page, cursor)
            if page.last:
                return "succeeded"
            if self._remaining_ms() < HAND_OVER_MS:
                return self._hand_over()

    def _store(self, stream: Stream[Any], page: Page[Any], cursor: str) -> None:
        """The page, the cursor and the counters, in one transaction."""
        with transaction(self._studio_id) as tx:
            outcome = record_rows.upsert(tx, TABLES[stream.record], self._studio_id, self._run.platform, page.records)
            deleted = self._remove(tx, stream, page)
            seen = outcome.created + outcome.updated + outcome.unchanged
            self._write(
                tx,
                rows.RECORD_PAGE,
                seen=seen + deleted,
                created=outcome.created,
                updated=outcome.updated,
                unchanged=outcome.unchanged,
                deleted=deleted,
                api_calls=self._uncounted_calls(),
                cursor=cursor,
                last=page.last,
                lease_seconds=LEASE_SECONDS,
            )

    def _remove(self, tx: Transaction, stream: Stream[Any], page: Page[Any]) -> int:
        """What the platform says is gone and, at the end of a complete read, what that read did not meet."""
        table = TABLES[stream.record]
        removed = record_rows.remove(tx, table, self._run.platform, page.deleted)
        if self._full_read and stream.complete:
            met = [record.external_id for record in page.records]
            record_rows.remember_seen(tx, self._run.id, self._studio_id, met)
            removed += record_rows.sweep(tx, table, self._run.platform, self._run.id) if page.last else 0
        return removed

    def _restart(self) -> None:
        """The platform forgot the cursor: the same run reads the stream from its start."""
        with transaction(self._studio_id) as tx:
            self._write(tx, rows.RESTART_RUN, api_calls=self._uncounted_calls())
        self._full_read = self._restarted = True
        logs.event("run.restarted")

    def _hand_over(self) -> str:
        with transaction(self._studio_id) as tx:
            self._write(tx, rows.HAND_OVER_RUN)
        doorbell.ring([doorbell.Message(run_id=self._run.id, studio_id=self._studio_id)])
        return "handed_over"

    def _settle(self, error: AppError) -> str:
        """A failed run is tried later or over; with a dead grant, its connection breaks as well."""
        later = resume_at(error, attempts=self._run.attempts, idle_attempts=self._run.idle_attempts)
        noted = {"api_calls": self._uncounted_calls(), "code": error.code, "message": error.message}
        logs.event("run.failed" if later is None else "run.deferred", code=error.code, reason=str(error))
        try:
            with transaction(self._studio_id) as tx:
                if later is not None:
                    self._write(tx, rows.DEFER_RUN, resume_at=later, idle=not isinstance(error, RateLimited), **noted)
                else:
                    self._write(tx, rows.FAIL_RUN, **noted)
        except LeaseLost as lost:
            return lost.code
        if isinstance(error, ReconnectRequired):
            mark_broken(self._run.connection, error)
        return "failed" if later is None else "deferred"

    def _write(self, tx: Transaction, query: rows.HeldWrite, **values: Any) -> None:
        if tx.run(query, **self._held, **values) is None:
            raise LeaseLost()

    def _uncounted_calls(self) -> int:
        total = self._client.api_calls if self._client else 0
        uncounted, self._counted_calls = total - self._counted_calls, total
        return uncounted
