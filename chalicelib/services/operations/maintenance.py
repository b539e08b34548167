"""Maintenance: deletes what has outlived its retention, and reports stuck runs."""

from collections.abc import Callable, Iterator
from typing import Literal
from uuid import UUID

import msgspec

from chalicelib import logs
from chalicelib.data import maintenance as rows
from chalicelib.data.postgres.database import read, write
from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import BEFORE_ALL_IDS, Deleted
from chalicelib.settings import get_settings

BATCH = 5000
"""Rows per transaction, so that none takes long."""
STOP_MS = 35_000
"""Longer than any statement may take."""
SHOWN_STUCK_RUNS = 20

Kind = Literal[
    "seen_forgotten",
    "keys_forgotten",
    "grants_forgotten",
    "deliveries_pruned",
    "events_pruned",
    "deletions_forgotten",
    "set_aside_pruned",
    "audit_pruned",
    "runs_pruned",
]


class MaintenanceReport(msgspec.Struct):
    """What the maintenance deleted, and whether it finished."""

    runs_pruned: int = 0
    keys_forgotten: int = 0
    grants_forgotten: int = 0
    seen_forgotten: int = 0
    deliveries_pruned: int = 0
    events_pruned: int = 0
    deletions_forgotten: int = 0
    set_aside_pruned: int = 0
    audit_pruned: int = 0
    complete: bool = False


def maintain(remaining_ms: Callable[[], int]) -> MaintenanceReport:
    """Deletes batch by batch until its time is nearly over; the next day continues. Logs one `maintenance.done`."""
    report = MaintenanceReport()
    stuck = read(None, rows.FIND_STUCK_RUNS, shown=SHOWN_STUCK_RUNS)
    try:
        _delete_all(report, remaining_ms)
    finally:
        logs.event(
            "maintenance.done",
            **msgspec.to_builtins(report),
            runs_stuck=stuck.count,
            runs_abandoned=stuck.abandoned,
            oldest_stuck=[{"run_id": run.run_id, "studio_id": run.studio_id} for run in stuck.oldest],
        )
    return report


def _delete_all(report: MaintenanceReport, remaining_ms: Callable[[], int]) -> None:
    for kind, count in _batches():
        setattr(report, kind, getattr(report, kind) + count)
        if remaining_ms() < STOP_MS:
            return
    report.complete = True


def _batches() -> Iterator[tuple[Kind, int]]:
    """Deletes a batch per step. The sync log comes last, because only it may be too much for one day."""
    yield from (("seen_forgotten", count) for count in _drain(rows.FORGET_SEEN_OF_ENDED_RUNS))
    yield from (("keys_forgotten", count) for count in _drain(rows.FORGET_IDEMPOTENCY_KEYS))
    yield from (("grants_forgotten", count) for count in _drain(rows.FORGET_PENDING_GRANTS))
    yield from (("deliveries_pruned", count) for count in _drain(rows.PRUNE_DELIVERIES))
    yield from (("events_pruned", count) for count in _drain(rows.PRUNE_EVENTS))
    yield from (("deletions_forgotten", count) for count in _drain(rows.FORGET_DATA_DELETIONS))
    yield from (("set_aside_pruned", count) for count in _drain(rows.PRUNE_SET_ASIDE))
    days = get_settings().audit_retention_days
    yield from (("audit_pruned", count) for count in _drain(rows.PRUNE_AUDIT, days=days))
    yield from (("runs_pruned", count) for count in _prune_runs(get_settings().sync_log_retention_days))


def _drain(query: Query[Deleted], **params: int) -> Iterator[int]:
    count = BATCH
    while count >= BATCH:
        count = write(None, query, batch=BATCH, **params).count
        yield count


def _prune_runs(days: int) -> Iterator[int]:
    after: UUID | None = BEFORE_ALL_IDS
    while after is not None:
        pruned = write(None, rows.PRUNE_RUNS, after=after, days=days, batch=BATCH)
        after = pruned.last
        yield pruned.count
