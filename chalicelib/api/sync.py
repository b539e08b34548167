"""/api/sync: starting syncs, scheduling them, and seeing what they did."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib.api.params import PlatformName, RunId
from chalicelib.data.runs import Run, RunStatus, StartedRun
from chalicelib.data.schedules import Schedule
from chalicelib.data.set_aside import SetAsideRecord
from chalicelib.runtime.declare import Routes
from chalicelib.runtime.paging import Listing, ListQuery, Pages
from chalicelib.runtime.responses import Created
from chalicelib.services import backfills, schedules, set_aside, sync
from chalicelib.services.explain import StreamStatus
from chalicelib.services.set_aside import Retried

routes = Routes()

READ = "sync:read"
WRITE = "sync:write"

SyncType = Annotated[
    str, msgspec.Meta(min_length=1, max_length=40, pattern="^[a-z_]+$", examples=["bookings", "inquiries"])
]
Slug = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern="^[a-z]+$")]


class SyncRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Without a `syncType`, every stream of the platform. With `confirmDeletions`, everything is read again, and what
    is not met is deleted, however much that is."""

    sync_type: SyncType | None = None
    confirm_deletions: bool = False


class BackfillRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Days in the account's time zone, both included; at most 3,660 of them."""

    sync_type: SyncType
    first: date = msgspec.field(name="from")
    last: date = msgspec.field(name="to")


class StartedRuns(msgspec.Struct, kw_only=True):
    """The runs in progress now: queued by this request, or started before it. Those `readsAgain` read once more at
    their end, since what they have read may be older than this request."""

    runs: list[StartedRun]


class ScheduleRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`frequency`: hourly, daily, weekly, every N minutes (5 to 1440), every N hours (1 to 168), or a cron expression
    of five fields, read in the studio's time zone, that leaves five minutes between two runs."""

    sync_type: SyncType
    frequency: Annotated[
        str, msgspec.Meta(min_length=1, max_length=100, examples=["every 15 minutes", "daily", "0 7 * * 1-5"])
    ]


class ScheduledStream(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    sync_type: SyncType


class StreamChoice(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Without a `syncType`, every stream of the platform."""

    sync_type: SyncType | None = None


class SetAsideQuery(ListQuery, kw_only=True, rename="camel", forbid_unknown_fields=True):
    platform: Slug | None = None
    sync_type: SyncType | None = None


class LogQuery(ListQuery, kw_only=True, rename="camel", forbid_unknown_fields=True):
    platform: Slug | None = None
    sync_type: SyncType | None = None
    status: RunStatus | None = None


@routes.post("/api/sync/{platform}", scope=WRITE, status=202, errors=[409])
def start_sync(studio_id: UUID, platform: PlatformName, body: SyncRequest) -> StartedRuns:
    """Sync now; a run in progress is returned, and reads once more at its end"""
    runs = sync.start_sync(studio_id, platform, body.sync_type, confirm_deletions=body.confirm_deletions)
    return StartedRuns(runs=runs)


@routes.post("/api/sync/{platform}/backfill", scope=WRITE, status=202, errors=[409])
def start_backfill(studio_id: UUID, platform: PlatformName, body: BackfillRequest) -> Created[StartedRuns]:
    """Read days of the past once more, beside the live sync; the same backfill under way is answered, not doubled"""
    run = backfills.start_backfill(studio_id, platform, body.sync_type, body.first, body.last)
    return Created(StartedRuns(runs=[run]), location=f"/api/sync/log/{run.id}")


@routes.put("/api/sync/{platform}/schedule", scope=WRITE, errors=[409])
def put_schedule(studio_id: UUID, platform: PlatformName, body: ScheduleRequest) -> Schedule:
    """Schedule a stream, or change how often it syncs"""
    return schedules.put_schedule(studio_id, platform, body.sync_type, body.frequency)


@routes.delete("/api/sync/{platform}/schedule", scope=WRITE, errors=[409])
def delete_schedule(studio_id: UUID, platform: PlatformName, query: ScheduledStream) -> None:
    """Take a stream's schedule away; it can still be synced by hand"""
    schedules.remove_schedule(studio_id, platform, query.sync_type)


@routes.post("/api/sync/{platform}/schedule/pause", scope=WRITE, errors=[409])
def pause_schedule(studio_id: UUID, platform: PlatformName, body: ScheduledStream) -> Schedule:
    """Pause a stream's schedule until it is resumed, also while the connection is reconnected"""
    return schedules.pause_schedule(studio_id, platform, body.sync_type)


@routes.post("/api/sync/{platform}/schedule/resume", scope=WRITE, errors=[409])
def resume_schedule(studio_id: UUID, platform: PlatformName, body: ScheduledStream) -> Schedule:
    """Resume a paused schedule; while the connection is broken it stays paused by that"""
    return schedules.resume_schedule(studio_id, platform, body.sync_type)


@routes.get("/api/sync/set-aside", scope=READ, errors=[404])
def list_set_aside(studio_id: UUID, query: SetAsideQuery) -> Listing[SetAsideRecord]:
    """The records that could not be read, newest first: which field is wrong, and how; never their content"""
    pages = Pages(query, UUID, "set-aside")
    records = set_aside.list_set_aside(
        studio_id,
        platform=query.platform,
        sync_type=query.sync_type,
        before=pages.after,
        limit=pages.fetched,
    )
    return pages.page_of(records, key=lambda record: record.id)


@routes.post("/api/sync/{platform}/set-aside/retry", scope=WRITE, errors=[409])
def retry_set_aside(studio_id: UUID, platform: PlatformName, body: StreamChoice) -> Retried:
    """Read up to 200 records that were set aside once more, those that have waited longest first"""
    return set_aside.retry_set_aside(studio_id, platform, body.sync_type)


@routes.get("/api/sync/status", scope=READ, etag=True)
def list_statuses(studio_id: UUID) -> Listing[StreamStatus]:
    """What goes on with each stream of each connection, and why"""
    return Listing(items=sync.list_stream_statuses(studio_id))


@routes.get("/api/sync/log", scope=READ, errors=[404])
def list_runs(studio_id: UUID, query: LogQuery) -> Listing[Run]:
    """The runs of the past, newest first"""
    pages = Pages(query, UUID, "runs")
    runs = sync.list_runs(
        studio_id,
        platform=query.platform,
        sync_type=query.sync_type,
        status=query.status,
        before=pages.after,
        limit=pages.fetched,
    )
    return pages.page_of(runs, key=lambda run: run.id)


@routes.get("/api/sync/log/{run_id}", scope=READ)
def get_run(studio_id: UUID, run_id: RunId) -> Run:
    """One run"""
    return sync.get_run(studio_id, run_id)


@routes.delete("/api/sync/log/{run_id}", scope=WRITE, status=200, errors=[409])
def cancel_run(studio_id: UUID, run_id: RunId) -> Run:
    """Cancel a run; one that is being worked on stops at its next page"""
    return sync.cancel_run(studio_id, run_id)


@routes.post("/api/sync/log/{run_id}/retry", scope=WRITE, status=202, errors=[409])
def retry_run(studio_id: UUID, run_id: RunId) -> Created[StartedRuns]:
    """Start a new run for one that failed or was cancelled"""
    run = sync.retry_run(studio_id, run_id)
    return Created(StartedRuns(runs=[run]), location=f"/api/sync/log/{run.id}")
