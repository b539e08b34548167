"""Runs, as a studio sees them: starting, listing, cancelling and retrying them, and the status of streams."""

from typing import Any
from uuid import UUID

from chalicelib import logs, work_queue
from chalicelib.data.postgres.database import read, transaction
from chalicelib.data.sync import run_lists
from chalicelib.data.sync import runs as rows
from chalicelib.data.sync.runs import Run, RunStatus, RunTrigger, StartedRun
from chalicelib.data.sync.schedules import SAVE_SCHEDULES
from chalicelib.data.sync.stream_status import LIST_STREAM_STATUSES
from chalicelib.errors import Conflict, NotFound
from chalicelib.platforms.registry import require_known
from chalicelib.services.connections.connections import usable_connection
from chalicelib.services.explain import StreamStatus, explain_stream
from chalicelib.services.scheduling.schedules import first_schedules
from chalicelib.services.streams import (
    MAX_MANUAL_RUNS,
    not_connected,
    require_room,
    syncable_platform,
    syncable_stream,
)
from chalicelib.services.sync.backfills import retry_backfill

CANCELLED = "The run was cancelled"


def start_sync(
    studio_id: UUID,
    platform_name: str,
    sync_type: str | None = None,
    *,
    connection: UUID | None = None,
    trigger: RunTrigger = "manual",
    confirm_deletions: bool = False,
) -> list[StartedRun]:
    """Queues a run for the stream, or for each stream of the platform. One in progress is returned instead; if it has
    started, it reads once more at its end. A stream with too many manual runs is left out; if that leaves none,
    TooManyRequests is raised.

    With `confirm_deletions` the run reads everything, and records that it does not see are deleted, however many.
    """
    platform = syncable_platform(platform_name)
    usable = usable_connection(studio_id, platform.name, connection)
    if sync_type is not None:
        streams = [syncable_stream(platform.name, sync_type)]
    else:
        covered = [stream for stream in platform.streams if stream.is_covered_by(usable.scopes)]
        streams = covered or list(platform.streams)  # with none covered, each run reports the missing scopes
    wanted: dict[str, Any] = {"connection_id": usable.id, "streams": [stream.name for stream in streams]}
    how = {"trigger": trigger, "deletions_confirmed": confirm_deletions, "most": MAX_MANUAL_RUNS}
    with transaction(studio_id) as tx:
        queued = tx.run(rows.INSERT_RUNS, **how, **wanted)
        started = tx.run(rows.READ_AGAIN, **wanted)
        if len(started) < len(streams):
            # A run ended between the two statements, or the stream is newer than the connection.
            tx.run(SAVE_SCHEDULES, connection_id=usable.id, token_generation=None, schedules=first_schedules(streams))
            queued = [*queued, *tx.run(rows.INSERT_RUNS, **how, **wanted)]
            started = tx.run(rows.READ_AGAIN, **wanted)
        if not started:
            require_room(tx.run(rows.LIST_SPENT_STREAMS, most=MAX_MANUAL_RUNS, **wanted))
            raise not_connected(platform.name)  # disconnected a moment ago
        if confirm_deletions and len(queued) < len(started):
            raise Conflict("A run is in progress; confirm deletions when it has ended", code="run_under_way")
    work_queue.enqueue(work_queue.RunMessage(id=run.id, studio_id=studio_id) for run in queued)
    return started


def list_runs(
    studio_id: UUID,
    *,
    platform: str | None,
    connection: UUID | None = None,
    sync_type: str | None,
    status: RunStatus | None,
    before: UUID | None,
    limit: int,
) -> list[Run]:
    """The studio's runs, newest first, starting with the one before `before`."""
    if platform is not None:
        require_known(platform)
    filters = {"platform": platform, "connection": connection, "stream": sync_type}
    page = {"before": before or run_lists.AFTER_ALL, "limit": limit}
    if status is not None:
        listed = run_lists.LIST_ENDED_RUNS if status in run_lists.ENDED_STATUSES else run_lists.LIST_ACTIVE_RUNS
        return read(studio_id, listed, status=status, **filters, **page)
    if any(value is not None for value in filters.values()):
        return read(studio_id, run_lists.LIST_RUNS_OF_STREAMS, **filters, **page)
    return read(studio_id, run_lists.LIST_RUNS, **page)


def get_run(studio_id: UUID, run_id: UUID) -> Run:
    run = read(studio_id, rows.FIND_RUN, run_id=run_id)
    if run is None:
        raise NotFound("Run not found", code="run_not_found")
    return run


def cancel_run(studio_id: UUID, run_id: UUID) -> Run:
    """Ends a run immediately. A worker that holds it stops at its next page; stored records stay."""
    with transaction(studio_id) as tx:
        cancelled = tx.run(rows.CANCEL_RUN, run_id=run_id, message=CANCELLED)
        if cancelled is not None:
            tx.run(rows.FORGET_SEEN, run_id=run_id)
    if cancelled is None:
        ended = get_run(studio_id, run_id)
        raise Conflict(f"The run has already ended: it is {ended.status}", code="run_ended")
    logs.event("run.cancelled", run_id=run_id, studio_id=studio_id, pages=cancelled.pages)
    return cancelled


def retry_run(studio_id: UUID, run_id: UUID) -> StartedRun:
    """Starts a new run of the stream from its cursor, or returns the one in progress.

    A backfill continues where it stopped.
    """
    run = get_run(studio_id, run_id)
    if run.status not in ("failed", "cancelled"):
        raise Conflict(f"Only a failed or cancelled run can be retried; it is {run.status}", code="run_not_failed")
    if run.backfill is not None:
        return retry_backfill(studio_id, run, run.backfill)
    (started,) = start_sync(studio_id, run.platform, run.sync_type, connection=run.connection_id, trigger="retry")
    return started


def list_stream_statuses(studio_id: UUID, connection: UUID | None = None) -> list[StreamStatus]:
    return [explain_stream(status) for status in read(studio_id, LIST_STREAM_STATUSES, connection=connection)]
