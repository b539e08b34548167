"""Visits: a run reads one account of its stream, page by page, until it is caught up, fails, or has to wait.

An account's errors stay with the account: the reason is stored, and the run continues with the others.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import logs, telemetry
from chalicelib.data.postgres.database import Transaction, read, transaction
from chalicelib.data.postgres.query import to_json
from chalicelib.data.sync import leases as rows
from chalicelib.data.sync.advances import ADVANCE_RUN, RunStage
from chalicelib.data.sync.positions import Visit
from chalicelib.data.sync.runs import DATABASE_TIME
from chalicelib.data.sync.store import Removed
from chalicelib.errors import AppError, ContractChanged, CursorExpired, TransientFault
from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.services.connections import accounts
from chalicelib.services.sync import pages, reports
from chalicelib.services.sync.leases import LEASE_SECONDS, Lease
from chalicelib.services.sync.left_out import LeftOut
from chalicelib.services.sync.pages import Part
from chalicelib.services.throttling.retries import delay_after

WAITED_FOR = timedelta(minutes=5)
"""How long a run waits for an account after it has read another one. Longer waits are left to a later run, so that one
account does not delay the schedule for long."""
NOTHING = UUID(int=0)


class Visits:
    """The accounts that a run still has to read, and the outcome of each."""

    def __init__(self, lease: Lease, stream: Stream[Any]) -> None:
        run = lease.run
        self.left = list(run.visits)
        if not self._ready():
            for visit in self.left:
                visit.wait_seconds = None  # the run was woken, so the waits are over
        self.left_out = LeftOut(run)
        self._lease = lease
        self._stream = stream
        self._is_backfill = run.trigger == "backfill"
        self._read: set[UUID] = set()
        """Accounts of which a page was stored in this attempt"""

    def next(self) -> Visit | None:
        """The account whose turn it is. After attempts that stored nothing it is the next one's turn: an account at
        which workers crash, or whose page takes longer than an invocation, does not hold up the others."""
        ready = self._ready()
        if not ready:
            self.reload()
            ready = self._ready()
        return ready[(self._lease.run.attempts_without_progress - 1) % len(ready)] if ready else None

    def reload(self) -> float | None:
        """Reads the current state; returns the age of the list of accounts, in seconds."""
        with transaction(self._lease.studio_id) as tx:
            opened = self._lease.write(tx, rows.OPEN_VISITS, again=False)
        self.left = opened.visits
        return opened.accounts_age

    def find(self, account_id: UUID) -> Visit | None:
        return next((visit for visit in self.left if visit.account_id == account_id), None)

    def make(self, visit: Visit) -> RunStage:
        """Reads an account to its end. Errors of this account alone are noted; errors of the run are raised."""
        try:
            return _Reading(self, self._lease, self._stream, visit).make()
        except AppError as error:
            if not error.is_of_one_account:
                raise
            return self.leave(visit, error)

    def leave(self, visit: Visit, error: AppError) -> RunStage:
        """The account is retried later, or by the next run."""
        has_read = visit.account_id in self._read
        attempts_without_progress = 0 if has_read else visit.attempts_without_progress + 1
        delay = delay_after(
            error, attempts=self._lease.run.attempts, attempts_without_progress=attempts_without_progress
        )
        telemetry.count("RunFailures", kind=error.code)
        logs.event(
            "visit.failed" if delay is None else "visit.deferred",
            account_id=visit.account_id,
            code=error.code,
            reason=str(error),
        )
        self._lease.throttle.failed(error, delay)
        with transaction(self._lease.studio_id) as tx:
            return self._advance(
                tx,
                visit.account_id,
                outcome="failed" if delay is None else "deferred",
                skipped=to_json(self.left_out.counts),
                delay_seconds=0 if delay is None else delay.total_seconds(),
                idle=not error.retry.waits and not has_read,
                code=error.code,
                message=error.message,
            )

    def end(self) -> RunStage:
        """When no account is left to visit."""
        with transaction(self._lease.studio_id) as tx:
            return self._advance(tx, NOTHING, outcome="none")

    def store(
        self, visit: Visit, page: Page[Any], cursor: str | None, *, full_read: bool, fetched_at: datetime | None
    ) -> RunStage:
        """The page, the cursor and the counters, in one transaction."""
        parts = pages.split(self._stream, page)
        left_out = self.left_out.prepare(parts)
        outcome = reports.outcome_of(visit, page)
        is_stored = page.ask_again_at is None or any(map(len, parts))
        with transaction(self._lease.studio_id) as tx:
            stored = pages.store(tx, self._lease.run, visit.account_id, parts, left_out.hashes, fetched_at)
            removed = self._remove(tx, visit, page, parts, full_read)
            self.left_out.store(tx, parts, left_out)
            if page.last and not self._is_backfill:
                self.left_out.finish(tx, read_all=full_read and self._stream.complete and page.complete)
            seen = stored.created + stored.updated + stored.unchanged
            stage = self._advance(
                tx,
                visit.account_id,
                cursor=cursor,
                stored=is_stored,
                **outcome,
                skipped=to_json(self.left_out.counts),
                seen=seen + removed.count,
                created=stored.created,
                updated=stored.updated,
                unchanged=stored.unchanged,
                deleted=removed.count,
                set_aside=len(page.set_aside),
                refused=removed.refused,
            )
        telemetry.count("Records", seen + removed.count, platform=self._lease.run.platform)
        if is_stored:
            self._read.add(visit.account_id)
        return stage

    def restart(self, visit: Visit) -> None:
        """The platform no longer knows the cursor: the same run reads the account from its start."""
        with transaction(self._lease.studio_id) as tx:
            calls = self._lease.uncounted_calls()
            self._lease.write(tx, rows.RESTART_VISIT, account_id=visit.account_id, api_calls=calls)
        logs.event("run.restarted", account_id=visit.account_id)

    def _ready(self) -> list[Visit]:
        return [visit for visit in self.left if visit.wait_seconds is None]

    def _advance(self, tx: Transaction, account_id: UUID, *, outcome: str, **values: Any) -> RunStage:
        unchanged = dict.fromkeys(
            ("seen", "created", "updated", "unchanged", "deleted", "set_aside", "refused", "delay_seconds"), 0
        )
        texts = {"cursor": None, "code": None, "message": None, "skipped": "{}"}
        how = {"stored": False, "idle": False, "lease_seconds": LEASE_SECONDS}
        advanced = self._lease.write(
            tx,
            ADVANCE_RUN,
            account_id=account_id,
            outcome=outcome,
            waiting_seconds=WAITED_FOR.total_seconds(),
            api_calls=self._lease.uncounted_calls(),
            **{**unchanged, **texts, **how, **values},
        )
        if outcome != "page":
            self.left = [visit for visit in self.left if visit.account_id != account_id]
        if advanced.becomes == "again":
            # A sync was requested while this run was reading, so it reads once more.
            self.left = self._lease.write(tx, rows.OPEN_VISITS, again=True).visits
            logs.event("run.read_again")
        return advanced.becomes

    def _remove(
        self, tx: Transaction, visit: Visit, page: Page[Any], parts: Sequence[Part], full_read: bool
    ) -> Removed:
        """Removes records that the platform reports as gone and, at the end of a complete read, unseen ones."""
        run = self._lease.run
        removed = pages.remove(tx, run, visit.account_id, parts)
        if not (full_read and self._stream.complete):
            return removed
        swept = pages.sweep(tx, run, visit.account_id, parts, at_end=page.last and page.complete)
        if swept.refused:
            logs.event("sweep.refused", rows=swept.refused)
        return Removed(count=removed.count + swept.count, refused=swept.refused)


class _Reading:
    """The pages of one account."""

    def __init__(self, visits: Visits, lease: Lease, stream: Stream[Any], visit: Visit) -> None:
        self._visits = visits
        self._lease = lease
        self._stream = stream
        self._visit = visit
        self._full_read = visit.full_read
        self._is_backfill = lease.run.trigger == "backfill"
        self._restarted = False
        self._visited: set[str] = set()

    def make(self) -> RunStage:
        lease, visit = self._lease, self._visit
        lease.client.account = accounts.to_read(visit)
        self._visits.left_out.begin(visit)
        cursor = visit.cursor
        while True:
            fetched_at = read(lease.studio_id, DATABASE_TIME) if self._is_backfill else None
            try:
                page_cursor, page = cursor, self._stream.fetch_page(lease.client, cursor)
            except CursorExpired:
                if cursor is None or self._restarted or self._is_backfill:
                    raise
                self._restart()
                cursor = None
                continue
            cursor = None if page.cursor is None else msgspec.json.encode(page.cursor).decode()
            self._require_progress(page, page_cursor, cursor)
            stage = self._visits.store(visit, page, cursor, full_read=self._full_read, fetched_at=fetched_at)
            if stage != "running":
                lease.throttle.record_usage(lease.client)
                return stage
            lease.throttle.succeeded(lease.client)
            if page.last or page.ask_again_at is not None:
                return stage
            visit.report_asks, visit.report_seconds = 0, 0
            lease.require_time()

    def _restart(self) -> None:
        self._visits.restart(self._visit)
        self._full_read = self._restarted = True
        self._visits.left_out.forget_counts()
        self._visited.clear()

    def _require_progress(self, page: Page[Any], page_cursor: str | None, cursor: str | None) -> None:
        """A platform whose pages form a loop would be called without end."""
        if page.last or (page.ask_again_at is not None and cursor is not None):
            return  # `reports` limits how often one page is requested
        if cursor == page_cursor:
            raise TransientFault(internal="a page names itself as the next one")
        if cursor is None or cursor in self._visited:
            raise ContractChanged(internal="the pages lead back to one that was read")
        self._visited.add(cursor)
