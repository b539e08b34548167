"""/api/sync: syncs on request, schedules, the state of each stream, and the log of runs."""

from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from chalicelib.api.params import OfConnection, OnlyConnection, OnlyOfConnection, PlatformName, RunId
from chalicelib.data.sync.runs import Run, RunStatus, StartedRun
from chalicelib.data.sync.schedules import Schedule
from chalicelib.data.sync.set_aside import SetAsideRecord
from chalicelib.runtime.declare import Routes
from chalicelib.runtime.paging import Listing, ListQuery, Pages
from chalicelib.runtime.responses import Created
from chalicelib.services.explain import StreamStatus
from chalicelib.services.scheduling import schedules
from chalicelib.services.sync import backfills, set_aside
from chalicelib.services.sync import runs as sync_runs
from chalicelib.services.sync.set_aside import Retried

routes = Routes()

READ = "sync:read"
WRITE = "sync:write"

SyncType = Annotated[str, Meta(min_length=1, max_length=40, pattern="^[a-z_]+$", examples=["bookings", "inquiries"])]
Slug = Annotated[str, Meta(min_length=1, max_length=40, pattern="^[a-z]+$")]
OnlyPlatform = Annotated[Slug | None, Meta(description="Return only those of this platform.")]
OnlyStream = Annotated[SyncType | None, Meta(description="Return only those of this stream.")]


class SyncRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What to sync now."""

    sync_type: SyncType | None = None
    """The stream to sync; every stream of the platform if it is left out."""
    confirm_deletions: bool = False
    """Whether to read everything again and delete whatever the platform no longer has, however much that is. Needed
    after a stream was in the state `needs_confirmation`."""


class BackfillRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which past days to read again; at most 3,660 days."""

    sync_type: SyncType
    """The stream to read."""
    first: date = msgspec.field(name="from")
    """The first day, in the account's time zone."""
    last: date = msgspec.field(name="to")
    """The last day, included."""


class StartedRuns(msgspec.Struct, kw_only=True):
    """The runs that a request started or found in progress."""

    runs: list[StartedRun]
    """One run for each stream."""


class ScheduleRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How often a stream syncs."""

    sync_type: SyncType
    """The stream to schedule."""
    frequency: Annotated[str, Meta(min_length=1, max_length=100, examples=["every 15 minutes", "daily", "0 7 * * 1-5"])]
    """`hourly`, `daily`, `weekly`, `every N minutes` (5 to 1440), `every N hours` (1 to 168), or a cron expression of
    five fields in the studio's time zone that leaves at least five minutes between runs."""


class ScheduledStream(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A stream that has a schedule."""

    sync_type: SyncType
    """The stream."""


class ScheduleQuery(OfConnection, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A stream of a connection."""

    sync_type: SyncType
    """The stream."""


class StreamChoice(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One stream of a platform, or all."""

    sync_type: SyncType | None = None
    """The stream; every stream of the platform if it is left out."""


class SetAsideQuery(ListQuery, kw_only=True, rename="camel", forbid_unknown_fields=True):
    platform: OnlyPlatform = None
    connection: OnlyConnection = None
    sync_type: OnlyStream = None


class LogQuery(ListQuery, kw_only=True, rename="camel", forbid_unknown_fields=True):
    platform: OnlyPlatform = None
    connection: OnlyConnection = None
    sync_type: OnlyStream = None
    status: RunStatus | None = None
    """Return only runs with this status."""


@routes.post("/api/sync/{platform}", scope=WRITE, status=202, errors=[409])
def start_sync(studio_id: UUID, platform: PlatformName, query: OfConnection, body: SyncRequest) -> StartedRuns:
    """Sync now

    Queues a run for each stream. For a stream with a run in progress it returns that run instead of starting another;
    if the run had already begun, it reads once more at its end."""
    runs = sync_runs.start_sync(
        studio_id, platform, body.sync_type, connection=query.connection, confirm_deletions=body.confirm_deletions
    )
    return StartedRuns(runs=runs)


@routes.post("/api/sync/{platform}/backfill", scope=WRITE, status=202, errors=[409])
def start_backfill(
    studio_id: UUID, platform: PlatformName, query: OfConnection, body: BackfillRequest
) -> Created[StartedRuns]:
    """Read past days again

    The backfill runs alongside the stream's ordinary syncs. If the same backfill is in progress, it returns that one
    instead of starting another; while another one is in progress it responds with 409 `backfill_under_way`."""
    run = backfills.start_backfill(
        studio_id, platform, body.sync_type, body.first, body.last, connection=query.connection
    )
    return Created(StartedRuns(runs=[run]), location=f"/api/sync/log/{run.id}")


@routes.put("/api/sync/{platform}/schedule", scope=WRITE, errors=[409])
def put_schedule(studio_id: UUID, platform: PlatformName, query: OfConnection, body: ScheduleRequest) -> Schedule:
    """Schedule a stream, or change how often it syncs

    A paused schedule stays paused."""
    return schedules.put_schedule(studio_id, platform, body.sync_type, body.frequency, query.connection)


@routes.delete("/api/sync/{platform}/schedule", scope=WRITE, errors=[409])
def delete_schedule(studio_id: UUID, platform: PlatformName, query: ScheduleQuery) -> None:
    """Remove a stream's schedule

    The stream can still be synced with `POST /api/sync/{platform}`."""
    schedules.remove_schedule(studio_id, platform, query.sync_type, query.connection)


@routes.post("/api/sync/{platform}/schedule/pause", scope=WRITE, errors=[409])
def pause_schedule(studio_id: UUID, platform: PlatformName, query: OfConnection, body: ScheduledStream) -> Schedule:
    """Pause a stream's schedule

    The pause lasts until the schedule is resumed, even if the connection is reconnected meanwhile. A run in progress
    continues."""
    return schedules.pause_schedule(studio_id, platform, body.sync_type, query.connection)


@routes.post("/api/sync/{platform}/schedule/resume", scope=WRITE, errors=[409])
def resume_schedule(studio_id: UUID, platform: PlatformName, query: OfConnection, body: ScheduledStream) -> Schedule:
    """Resume a paused schedule

    The next run is counted from now; what was missed is not caught up. While the connection is broken the schedule
    stays paused, by the connection."""
    return schedules.resume_schedule(studio_id, platform, body.sync_type, query.connection)


@routes.get("/api/sync/set-aside", scope=READ, errors=[404])
def list_set_aside(studio_id: UUID, query: SetAsideQuery) -> Listing[SetAsideRecord]:
    """List the records that could not be read, newest first

    Says which field of each record is wrong, and how. It never shows the record itself."""
    pages = Pages(query, UUID, "set-aside")
    records = set_aside.list_set_aside(
        studio_id,
        platform=query.platform,
        connection=query.connection,
        sync_type=query.sync_type,
        before=pages.after,
        limit=pages.fetched,
    )
    return pages.page_of(records, key=lambda record: record.id)


@routes.post("/api/sync/{platform}/set-aside/retry", scope=WRITE, errors=[409])
def retry_set_aside(studio_id: UUID, platform: PlatformName, query: OfConnection, body: StreamChoice) -> Retried:
    """Read records again that were set aside

    Up to 200 of them, those that have waited longest first, without asking the platform."""
    return set_aside.retry_set_aside(studio_id, platform, body.sync_type, query.connection)


@routes.get("/api/sync/status", scope=READ, etag=True)
def list_statuses(studio_id: UUID, query: OnlyOfConnection) -> Listing[StreamStatus]:
    """List what each stream is doing, and why"""
    return Listing(items=sync_runs.list_stream_statuses(studio_id, query.connection))


@routes.get("/api/sync/log", scope=READ, errors=[404])
def list_runs(studio_id: UUID, query: LogQuery) -> Listing[Run]:
    """List runs, newest first"""
    pages = Pages(query, UUID, "runs")
    runs = sync_runs.list_runs(
        studio_id,
        platform=query.platform,
        connection=query.connection,
        sync_type=query.sync_type,
        status=query.status,
        before=pages.after,
        limit=pages.fetched,
    )
    return pages.page_of(runs, key=lambda run: run.id)


@routes.get("/api/sync/log/{run_id}", scope=READ)
def get_run(studio_id: UUID, run_id: RunId) -> Run:
    """Get a run"""
    return sync_runs.get_run(studio_id, run_id)


@routes.delete("/api/sync/log/{run_id}", scope=WRITE, status=200, errors=[409])
def cancel_run(studio_id: UUID, run_id: RunId) -> Run:
    """Cancel a run

    It ends at once; a worker that is reading for it stops at its next page. Pages that were stored stay."""
    return sync_runs.cancel_run(studio_id, run_id)


@routes.post("/api/sync/log/{run_id}/retry", scope=WRITE, status=202, errors=[409])
def retry_run(studio_id: UUID, run_id: RunId) -> Created[StartedRuns]:
    """Retry a run that failed or was cancelled

    Starts a new run of the same stream. If one is in progress, it returns that one instead of starting another."""
    run = sync_runs.retry_run(studio_id, run_id)
    return Created(StartedRuns(runs=[run]), location=f"/api/sync/log/{run.id}")
