"""Executing runs: a worker leases one and reads the accounts of its stream, one after another, page by page.

Each page, its cursor and the run's counters commit in one transaction, so a worker may be killed anywhere: the next one
continues after the last page, with nothing lost or repeated. A run does not sleep: one that must wait is deferred. The
only exception is a rotated token that cannot be stored at once (`refresh.STORE_WAITS`).
"""

import logging
from collections.abc import Callable
from math import ceil
from typing import Any
from uuid import UUID, uuid4

from chalicelib import clock, logs, telemetry, work_queue
from chalicelib.data.postgres.database import read, transaction, write
from chalicelib.data.sync import leases as rows
from chalicelib.data.sync.advances import RunStage
from chalicelib.data.sync.leases import LeasedRun
from chalicelib.data.sync.positions import Visit
from chalicelib.data.sync.runs import FIND_RUN_STATE
from chalicelib.errors import (
    AccountGone,
    AppError,
    DecryptionFailed,
    ReconnectRequired,
    RefreshInProgress,
    RunAbandoned,
    RunCrashed,
    Unavailable,
)
from chalicelib.platforms.core.contract import AccountKind, Stream, Window
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections import accounts, identities
from chalicelib.services.connections import state as connection_state
from chalicelib.services.connections.refresh import COME_BACK_AFTER
from chalicelib.services.streams import syncable_stream
from chalicelib.services.sync import backfills
from chalicelib.services.sync.leases import LEASE_SECONDS, Lease, LeaseLost, OutOfTime
from chalicelib.services.sync.set_aside import retry_cooled_down
from chalicelib.services.sync.visits import Visits
from chalicelib.services.throttling.retries import MAX_ATTEMPTS_WITHOUT_PROGRESS, delay_after


def execute_run(studio_id: UUID, run_id: UUID, remaining_ms: Callable[[], int]) -> str:
    """Continues a run until its stream is caught up or `remaining_ms` runs out.

    Returns the outcome: dropped, succeeded, handed_over, deferred, failed or lease_lost. Raises Unavailable if the
    database cannot be reached, and unexpected errors, after noting them on the run.
    """
    with logs.bound(run_id=run_id, studio_id=studio_id):
        owner = uuid4()
        run = write(studio_id, rows.LEASE_RUN, run_id=run_id, owner=owner, lease_seconds=LEASE_SECONDS)
        if run is None:
            return _dropped(studio_id, run_id)
        outcome = "crashed"
        try:
            outcome = _Attempt(Lease(run, owner, remaining_ms)).run()
        finally:
            telemetry.count("Runs", platform=run.platform, status=outcome)
        logs.event("run.stopped", outcome=outcome, platform=run.platform, stream=run.stream)
        return outcome


def _dropped(studio_id: UUID, run_id: UUID) -> str:
    """The message is late, duplicate or early: its run has ended, is leased by another worker, or is not due yet."""
    state = read(studio_id, FIND_RUN_STATE, run_id=run_id)
    reason = "unknown" if state is None else "leased" if state.leased else state.status
    logs.event("message.dropped", reason=reason)
    return "dropped"


class _Attempt:
    """One worker's turn at a run."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._run: LeasedRun = lease.run
        self._crash: Exception | None = None
        self._has_listed = False

    def run(self) -> str:
        try:
            outcome = self._try()
        except LeaseLost as error:
            return error.code
        except Unavailable:
            raise
        except AppError as error:
            outcome = self._handle_error(error)
        except Exception as error:  # noqa: BLE001  raised below, once it is noted on the run
            self._note_crash(error)
            self._handle_error(RunCrashed())
        if self._crash is not None:
            # Our bug: the run notes it and is retried; the message returns to the queue and finally goes to the DLQ.
            raise self._crash
        return outcome

    def _try(self) -> str:
        if self._run.attempts_without_progress > MAX_ATTEMPTS_WITHOUT_PROGRESS:
            raise RunAbandoned()
        stream = self._stream()
        self._lease.enter(stream.api)
        visits = Visits(self._lease, stream)
        try:
            self._prepare(stream.accounts, visits)
            return self._make_visits(stream.accounts, visits)
        except OutOfTime:
            return self._yield()

    def _stream(self) -> Stream[Any]:
        stream = syncable_stream(self._run.platform, self._run.stream)
        if self._run.backfill_from is None or self._run.backfill_to is None:
            return stream
        return backfills.over(stream, Window(self._run.backfill_from, self._run.backfill_to))

    def _prepare(self, kind: AccountKind | None, visits: Visits) -> None:
        """A cursor must not be used before the account is verified and the accounts under it are known."""
        age = self._run.accounts_age
        if self._run.connection.account_unverified:
            self._identify()
            age = visits.reload()
        if kind is None or not accounts.is_list_due(self._run, age):
            return
        try:
            self._list_accounts(kind, visits)
        except AppError as error:
            if not (visits.left and error.is_of_one_account):
                raise
            # The known accounts can still be read; the next run lists them again.
            logs.event("accounts.not_listed", level=logging.WARNING, code=error.code, reason=str(error))

    def _list_accounts(self, kind: AccountKind, visits: Visits) -> None:
        self._has_listed = True
        listed = kind.list_accounts(self._lease.client)
        if not accounts.save_accounts(self._run, kind, listed, self._lease.held):
            raise LeaseLost()
        visits.reload()

    def _make_visits(self, kind: AccountKind | None, visits: Visits) -> str:
        while True:
            visit = visits.next()
            stage = visits.end() if visit is None else self._visit(visit, kind, visits)
            if stage == "succeeded":
                self._retry_set_aside(visits)
            if stage not in ("running", "again"):
                return stage
            self._lease.throttle.require_closed()
            self._lease.require_time()

    def _visit(self, visit: Visit, kind: AccountKind | None, visits: Visits) -> RunStage:
        try:
            return visits.make(visit)
        except AccountGone as error:
            return self._look_again(visit, error, kind, visits)
        except AppError:
            raise
        except Exception as error:  # noqa: BLE001  raised by `run`, once the other accounts are read
            self._note_crash(error)
            return visits.leave(visit, RunCrashed())

    def _look_again(self, visit: Visit, error: AccountGone, kind: AccountKind | None, visits: Visits) -> RunStage:
        """An account that is not found may have a new id, or be gone: the platform's list tells which."""
        if kind is None or self._has_listed:
            return visits.leave(visit, error)
        try:
            self._list_accounts(kind, visits)
        except AppError as other:
            if not other.is_of_one_account:
                raise
            return visits.leave(visit, error)
        renamed = visits.find(visit.account_id)
        if renamed is not None and renamed.external_id == visit.external_id:
            return visits.leave(visit, error)
        if renamed is not None and self._run.trigger != "backfill":
            visits.restart(renamed)
            visits.reload()
        return "running"

    def _identify(self) -> None:
        platform, session = get_platform(self._run.platform), self._lease.session
        if platform.identify is None or session is None:
            return
        account, stored = platform.identify(self._lease.client), session.stored
        with transaction(self._lease.studio_id) as tx:
            identified = identities.identify(tx, stored.id, stored.token_generation, account)
        if not identified:
            raise RefreshInProgress(resume_at=clock.now() + COME_BACK_AFTER)

    def _retry_set_aside(self, visits: Visits) -> None:
        """The run has already succeeded: an error here does not affect it."""
        if not visits.left_out.is_any or self._run.trigger == "backfill":
            return
        try:
            retry_cooled_down(self._lease.studio_id, self._run.platform, self._run.connection.id, self._run.stream)
        except AppError as error:
            logs.event("set_aside.retry_failed", level=logging.WARNING, code=error.code)

    def _yield(self) -> str:
        with transaction(self._lease.studio_id) as tx:
            self._lease.write(tx, rows.YIELD_RUN)
        work_queue.enqueue([work_queue.RunMessage(id=self._run.id, studio_id=self._lease.studio_id)])
        return "handed_over"

    def _handle_error(self, error: AppError) -> str:
        """An error of the run as a whole defers it or fails it; if the grant is dead, its connection fails too."""
        lease = self._lease
        delay = delay_after(
            error, attempts=self._run.attempts, attempts_without_progress=self._run.attempts_without_progress
        )
        telemetry.count("RunFailures", kind=error.code)
        noted = {"api_calls": lease.uncounted_calls(), "code": error.code, "message": error.message}
        logs.event("run.failed" if delay is None else "run.deferred", code=error.code, reason=str(error))
        if lease.has_entered():
            lease.throttle.failed(error, delay)
        try:
            with transaction(lease.studio_id) as tx:
                if delay is not None:
                    seconds = delay.total_seconds()
                    lease.write(tx, rows.DEFER_RUN, delay_seconds=seconds, idle=not error.retry.waits, **noted)
                else:
                    lease.write(tx, rows.FAIL_RUN, **noted)
        except LeaseLost as lost:
            return lost.code
        if delay is not None and isinstance(error, RefreshInProgress):
            # Sooner than the tick would: the token will be ready in a moment.
            message = work_queue.RunMessage(id=self._run.id, studio_id=lease.studio_id)
            work_queue.enqueue([message], delay_seconds=ceil(delay.total_seconds()))
        if isinstance(error, ReconnectRequired | DecryptionFailed):
            # The rejected tokens: they may have been refreshed since the run was leased.
            connection_state.fail_connection(lease.session.stored if lease.session else self._run.connection, error)
        return "failed" if delay is None else "deferred"

    def _note_crash(self, error: Exception) -> None:
        logs.event("run.crashed", level=logging.ERROR, error=error)
        self._crash = error
