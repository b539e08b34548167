"""Runs at work: a worker leases one and reads its stream page by page.

Each page, its cursor and the run's counters commit in one transaction, so a worker may be killed anywhere: the next one
goes on from the last page, nothing lost and nothing twice. A run does not sleep: one that has to wait is deferred to a
time. The only exception is a rotated token that cannot be stored at once (`refresh.STORE_WAITS`).
"""

import logging
from collections.abc import Callable
from datetime import datetime
from math import ceil
from typing import Any, TypeVar
from uuid import UUID, uuid4

import msgspec

from chalicelib import clock, logs, telemetry, work_queue
from chalicelib.data import records as record_rows
from chalicelib.data import runs as rows
from chalicelib.data.database import Transaction, read, transaction, write
from chalicelib.data.query import Query, to_json
from chalicelib.data.runs import LeasedRun, Position
from chalicelib.errors import (
    AppError,
    ContractChanged,
    CursorExpired,
    DecryptionFailed,
    ReconnectRequired,
    RefreshInProgress,
    RunAbandoned,
    RunCrashed,
    TransientFault,
    Unavailable,
)
from chalicelib.platforms.base import Page, Stream, Window
from chalicelib.platforms.client import Client
from chalicelib.platforms.registry import get_platform
from chalicelib.services import accounts, backfills, connection_state
from chalicelib.services.left_out import LeftOut, PageLeftOut
from chalicelib.services.refresh import COME_BACK_AFTER, Session
from chalicelib.services.retries import MAX_ATTEMPTS_WITHOUT_PROGRESS, delay_after
from chalicelib.services.set_aside import retry_cooled_down
from chalicelib.services.streams import TABLES, syncable_stream
from chalicelib.services.throttle import Throttle, throttle_of

T = TypeVar("T")

LEASE_SECONDS = 120
"""A page is fetched and stored well within it; a worker that died is taken over after it."""
LONG_PAGE_SECONDS = 5
"""A page that takes longer looks at the time before each further request."""
HEARTBEAT_SECONDS = 30
"""How often it then refreshes the lease."""
YIELD_MS = 40_000
"""With less time than this left no page is begun: longer than the timeouts of one request."""
OUT_OF_TIME_MS = 5_000
"""With less time than this left it makes none: it is given up, and begun again by the next invocation."""


class LeaseLost(AppError):
    """Another worker took the run over, or it was cancelled: whatever this one was about to write is void."""

    code = "lease_lost"


class OutOfTime(AppError):
    """The invocation ends before the page does."""

    code = "out_of_time"


def execute_run(studio_id: UUID, run_id: UUID, remaining_ms: Callable[[], int]) -> str:
    """Goes on with a run until its stream is caught up or `remaining_ms` runs out.

    Returns what became of it: dropped, succeeded, handed_over, deferred, failed or lease_lost. Raises Unavailable when
    the database cannot be reached, and whatever was unforeseen, after noting it on the run.
    """
    with logs.bound(run_id=run_id, studio_id=studio_id):
        owner = uuid4()
        run = write(studio_id, rows.LEASE_RUN, run_id=run_id, owner=owner, lease_seconds=LEASE_SECONDS)
        if run is None:
            return _dropped(studio_id, run_id)
        outcome = "crashed"
        try:
            outcome = _Attempt(run, owner, remaining_ms).run()
        finally:
            telemetry.count("Runs", platform=run.platform, status=outcome)
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
        self._is_backfill = run.trigger == "backfill"
        self._restarted = False
        self._left_out = LeftOut(run)
        self._visited: set[str] = set()
        self._session: Session | None = None
        self._client: Client | None = None
        self._throttle: Throttle | None = None
        self._counted_calls = 0
        self._beat_at = clock.monotonic()

    def run(self) -> str:
        try:
            if self._run.attempts_without_progress > MAX_ATTEMPTS_WITHOUT_PROGRESS:
                raise RunAbandoned()
            return self._read_stream(self._stream())
        except LeaseLost as error:
            return error.code
        except Unavailable:
            raise
        except AppError as error:
            return self._handle_error(error)
        except Exception as error:
            # Ours to mend. The run says so and is tried again; the message goes back, and in the end to the DLQ.
            logs.event("run.crashed", level=logging.ERROR, error=error)
            self._handle_error(RunCrashed())
            raise

    def _stream(self) -> Stream[Any]:
        stream = syncable_stream(self._run.platform, self._run.stream)
        if self._run.backfill_from is None or self._run.backfill_to is None:
            return stream
        return backfills.over(stream, Window(self._run.backfill_from, self._run.backfill_to))

    def _read_stream(self, stream: Stream[Any]) -> str:
        self._throttle = throttle_of(self._run, stream.api)
        self._throttle.check()
        self._session = Session(self._run.connection, wait_seconds=0, seconds_left=lambda: self._remaining_ms() / 1000)
        self._client = self._session.client(heartbeat=self._heartbeat)
        if stream.accounts is not None:
            self._client.account = accounts.known_account(self._run, stream.accounts)
        try:
            cursor = self._position()
        except OutOfTime:
            return self._yield()
        while True:
            fetched_at = read(self._studio_id, rows.DATABASE_TIME) if self._is_backfill else None
            try:
                asked, page = cursor, self._fetch(stream, self._client, cursor)
            except OutOfTime:
                return self._yield()
            except CursorExpired:
                if cursor is None or self._restarted or self._is_backfill:
                    raise
                self._restart()
                cursor = None
                continue
            cursor = None if page.cursor is None else msgspec.json.encode(page.cursor).decode()
            self._require_progress(page, asked, cursor)
            if self._store(stream, page, cursor, fetched_at):
                self._throttle.record_usage(self._client)
                self._retry_set_aside()
                return "succeeded"
            self._throttle.succeeded(self._client)
            if self._remaining_ms() < YIELD_MS:
                return self._yield()

    def _fetch(self, stream: Stream[Any], client: Client, cursor: str | None) -> Page[Any]:
        kind = stream.accounts
        if kind is not None and accounts.has_to_be_found(self._run, kind, client.account, cursor):
            found = accounts.find_account(self._run, kind, client, self._held)
            if found is None:
                raise LeaseLost()
            client.account = found
        return stream.fetch_page(client, cursor)

    def _position(self) -> str | None:
        """Where to go on. A cursor is worth nothing before it is known that the account is still the same."""
        position: Position = self._run
        if self._run.connection.account_unverified:
            self._identify()
            found = read(self._studio_id, rows.FIND_POSITION, run_id=self._run.id)
            if found is None:
                raise LeaseLost()
            position, self._full_read = found, found.full_read
        if position.page_cursor is None and not (self._full_read or self._is_backfill):
            return position.schedule_cursor
        return position.page_cursor

    def _identify(self) -> None:
        platform = get_platform(self._run.platform)
        if platform.identify is None or self._client is None or self._session is None:
            return
        account, stored = platform.identify(self._client), self._session.stored
        with transaction(self._studio_id) as tx:
            identified = connection_state.identify(tx, stored.id, stored.token_generation, account)
        if not identified:
            raise RefreshInProgress(resume_at=clock.now() + COME_BACK_AFTER)

    def _require_progress(self, page: Page[Any], asked: str | None, cursor: str | None) -> None:
        """A platform whose pages lead back to where it has been would be asked without end."""
        if page.last:
            self._visited.clear()
        elif cursor == asked:
            raise TransientFault(internal="a page names itself as the next one")
        elif cursor is None or cursor in self._visited:
            raise ContractChanged(internal="the pages lead back to one that was read")
        else:
            self._visited.add(cursor)

    def _store(self, stream: Stream[Any], page: Page[Any], cursor: str | None, fetched_at: datetime | None) -> bool:
        """The page, the cursor and the counters, in one transaction. Returns whether the run has ended with it."""
        table, left_out = TABLES[stream.record], self._left_out.prepare(page)
        with transaction(self._studio_id) as tx:
            outcome = record_rows.upsert(
                tx, table, self._studio_id, self._run.platform, page.records, fetched_at=fetched_at
            )
            deleted, refused = self._remove(tx, stream, page)
            self._leave_out(tx, stream, page, left_out)
            seen = outcome.created + outcome.updated + outcome.unchanged
            recorded = self._write(
                tx,
                rows.RECORD_PAGE,
                seen=seen + deleted,
                created=outcome.created,
                updated=outcome.updated,
                unchanged=outcome.unchanged,
                deleted=deleted,
                set_aside=len(page.set_aside),
                skipped=to_json(self._left_out.counts),
                refused=refused,
                api_calls=self._uncounted_calls(),
                cursor=cursor,
                last=page.last,
                lease_seconds=LEASE_SECONDS,
            )
        telemetry.count("Records", seen + deleted, platform=self._run.platform)
        if page.last and not recorded.ended:
            # Somebody asked to sync while this run was reading, so it reads once more.
            self._full_read = cursor is None
            logs.event("run.read_again")
        return recorded.ended

    def _leave_out(self, tx: Transaction, stream: Stream[Any], page: Page[Any], left_out: PageLeftOut) -> None:
        self._left_out.store(tx, TABLES[stream.record], page, left_out)
        if page.last and not self._is_backfill:
            read_all = self._full_read and stream.complete and page.complete
            self._left_out.finish(tx, read_all=read_all)

    def _retry_set_aside(self) -> None:
        """The run has succeeded: what goes wrong now is no matter of its."""
        if not self._left_out.is_any or self._is_backfill:
            return
        try:
            retry_cooled_down(self._studio_id, self._run.platform, self._run.stream)
        except AppError as error:
            logs.event("set_aside.retry_failed", level=logging.WARNING, code=error.code)

    def _remove(self, tx: Transaction, stream: Stream[Any], page: Page[Any]) -> tuple[int, int]:
        """What the platform says is gone and, at the end of a complete read, what that read did not meet.

        Returns how many rows were removed, and how many were kept because they were too many to be believed.
        """
        table = TABLES[stream.record]
        removed = record_rows.remove(tx, table, self._run.platform, page.deleted)
        if not (self._full_read and stream.complete):
            return removed, 0
        met = [record.external_id for record in page.records]
        met += [each.external_id for left_out in (page.skipped, page.set_aside) for each in left_out]
        record_rows.remember_seen(tx, self._run.id, self._studio_id, met)
        if not (page.last and page.complete):
            return removed, 0
        confirmed = self._run.deletions_confirmed
        swept = record_rows.sweep(tx, table, self._run.platform, self._run.id, confirmed=confirmed)
        if swept.refused:
            logs.event("sweep.refused", rows=swept.refused)
        return removed + swept.count, swept.refused

    def _restart(self) -> None:
        """The platform forgot the cursor: the same run reads the stream from its start."""
        with transaction(self._studio_id) as tx:
            self._write(tx, rows.RESTART_RUN, api_calls=self._uncounted_calls())
        self._full_read = self._restarted = True
        self._left_out.forget_counts()
        self._visited.clear()
        logs.event("run.restarted")

    def _yield(self) -> str:
        with transaction(self._studio_id) as tx:
            self._write(tx, rows.YIELD_RUN)
        work_queue.enqueue([work_queue.RunMessage(id=self._run.id, studio_id=self._studio_id)])
        return "handed_over"

    def _handle_error(self, error: AppError) -> str:
        """A failed run is tried later or over; with a dead grant, its connection breaks as well."""
        delay = delay_after(
            error, attempts=self._run.attempts, attempts_without_progress=self._run.attempts_without_progress
        )
        telemetry.count("RunFailures", kind=error.code)
        noted = {"api_calls": self._uncounted_calls(), "code": error.code, "message": error.message}
        logs.event("run.failed" if delay is None else "run.deferred", code=error.code, reason=str(error))
        if self._throttle is not None:
            self._throttle.failed(error, delay)
        try:
            with transaction(self._studio_id) as tx:
                if delay is not None:
                    seconds = delay.total_seconds()
                    self._write(tx, rows.DEFER_RUN, delay_seconds=seconds, idle=not error.retry.waits, **noted)
                else:
                    self._write(tx, rows.FAIL_RUN, **noted)
        except LeaseLost as lost:
            return lost.code
        if delay is not None and isinstance(error, RefreshInProgress):
            # Sooner than the tick would: the token is there in a moment.
            message = work_queue.RunMessage(id=self._run.id, studio_id=self._studio_id)
            work_queue.enqueue([message], delay_seconds=ceil(delay.total_seconds()))
        if isinstance(error, ReconnectRequired | DecryptionFailed):
            # By the tokens that were refused: since the run was leased, they may have been refreshed.
            connection_state.fail_connection(self._session.stored if self._session else self._run.connection, error)
        return "failed" if delay is None else "deferred"

    def _heartbeat(self) -> None:
        """Before each request: a page of many keeps its lease, and knows when its time is over."""
        silence = clock.monotonic() - self._beat_at
        if silence > LONG_PAGE_SECONDS and self._remaining_ms() < OUT_OF_TIME_MS:
            raise OutOfTime()
        if silence > HEARTBEAT_SECONDS:
            with transaction(self._studio_id) as tx:
                self._write(tx, rows.KEEP_LEASE, lease_seconds=LEASE_SECONDS)

    def _write(self, tx: Transaction, query: Query[T | None], **values: Any) -> T:
        written = tx.run(query, **self._held, **values)
        if written is None:
            raise LeaseLost()
        self._beat_at = clock.monotonic()
        return written

    def _uncounted_calls(self) -> int:
        total = self._client.api_calls if self._client else 0
        uncounted, self._counted_calls = total - self._counted_calls, total
        return uncounted
