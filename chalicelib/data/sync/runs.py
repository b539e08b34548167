"""Runs: the sync log. The statements of the worker that executes one are in `leases`."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from chalicelib.data.audit import audited
from chalicelib.data.connections import RecordedError
from chalicelib.data.postgres.query import Query, array_of, columns, many, one, typed
from chalicelib.data.postgres.rows import (
    ConnectionIdText,
    ErrorCode,
    ErrorMessage,
    Moment,
    PlatformText,
    Row,
    SkippedCounts,
    StreamText,
)
from chalicelib.data.studios import NewId
from chalicelib.data.sync.positions import OF_RUN
from chalicelib.data.throttle import unblocked

RunStatus = Literal["queued", "running", "deferred", "succeeded", "failed", "cancelled"]
"""`queued`: waits for a worker. `running`: a worker is reading. `deferred`: waits before it continues. `succeeded`,
`failed`, `cancelled`: it has ended."""
RunId = Annotated[UUID, Meta(description="The run's id; sorts by the time it was queued.")]
RunTrigger = Literal["manual", "schedule", "retry", "backfill"]
"""`schedule`: it was due. `manual`: a request to sync now. `retry`: a request to retry a run. `backfill`: a request to
read past days."""


class RecordCounts(Row):
    """What a run did with the records that it read."""

    seen: int
    """Records that the platform returned."""
    created: int
    """Records stored for the first time."""
    updated: int
    """Records stored with changes."""
    unchanged: int
    """Records that were already stored as they are."""
    deleted: int
    """Records deleted, or marked as cancelled, because the platform no longer has them."""
    set_aside: int
    """Records that could not be read: `GET /api/sync/set-aside` lists them."""


class Backfill(Row):
    """The past days that a backfill reads again."""

    first: date = msgspec.field(name="from")
    """The first day, in the account's time zone."""
    last: date = msgspec.field(name="to")
    """The last day, included."""
    progress: float
    """The share of the days that have been read, from 0 to 1."""


class VisitError(Row):
    """Why a run could not read an account."""

    code: ErrorCode
    message: ErrorMessage


class VisitedAccount(Row):
    """How the run ended for one account."""

    account_id: UUID
    """The account's id in this API."""
    status: Literal["succeeded", "failed", "deferred"]
    """`succeeded`, `failed`, or `deferred`: the account has to wait, and a later run reads it."""
    error: VisitError | None
    """Why it was not read; null when it was."""


class Run(Row):
    """One attempt to sync a stream, from the sync log."""

    id: RunId
    connection_id: ConnectionIdText
    platform: PlatformText
    sync_type: StreamText
    trigger: RunTrigger
    """What started it."""
    status: RunStatus
    """The run's status."""
    queued_at: Moment
    """When the run was queued."""
    started_at: Moment | None
    """When a worker began it; null until then."""
    finished_at: Moment | None
    """When it ended; null until then."""
    resume_at: Moment | None
    """When a deferred run continues; null when the run does not wait."""
    duration_ms: int | None
    """Milliseconds from its start to its end; null until it has ended."""
    schedule_lag_ms: int | None
    """Milliseconds between the scheduled time and the queuing of the run; null for unscheduled runs."""
    attempts: int
    """How many times a worker took up the run."""
    pages: int
    """How many pages of the platform were stored."""
    api_calls: int
    """How many requests were sent to the platform."""
    full_read: bool
    """Whether everything was read; false when only changes since the last run were read."""
    records: RecordCounts
    """What became of the records."""
    skipped: SkippedCounts
    accounts: list[VisitedAccount]
    """How each account ended, once the run has; empty for a stream without accounts of its own."""
    deletions_refused: int
    """How many records a complete read did not find and kept, because they were too many to delete without
    confirmation; otherwise 0."""
    backfill: Backfill | None
    """The days of a backfill; null for other runs."""
    error: RecordedError | None
    """The run's last error, also while it waits to be tried again; null when there was none."""


class StartedRun(Row):
    """A run that a request started or found in progress."""

    id: RunId
    sync_type: StreamText
    status: RunStatus
    """The run's status."""
    reads_again: bool
    """Whether the run had already begun when the request came. It then reads once more at its end, so that it includes
    everything up to the request."""


class RunState(Row):
    status: RunStatus
    leased: bool
    resume_at: datetime | None


ERROR = """
    CASE WHEN r.error_code IS NOT NULL THEN
        json_build_object('code', r.error_code, 'message', coalesce(r.error_message, r.error_code),
                          'at', coalesce(r.error_at, r.finished_at, r.queued_at))
    END
"""
RECORDS = """
    json_build_object('seen', r.records_seen, 'created', r.records_created, 'updated', r.records_updated,
                      'unchanged', r.records_unchanged, 'deleted', r.records_deleted,
                      'setAside', r.records_set_aside)
"""
CURSOR_DAY = """
    CASE WHEN p.page_cursor IS JSON OBJECT AND pg_input_is_valid(p.page_cursor::json ->> 'last', 'date')
    THEN (p.page_cursor::json ->> 'last')::date END
"""
"""The newest day that a backfill still has to read for an account; NULL if its cursor cannot be read."""
READ_SHARE = f"""
    CASE
        WHEN NOT p.is_open AND p.code IS NULL THEN 1
        WHEN isfinite(r.backfill_from) AND isfinite(r.backfill_to) AND isfinite({CURSOR_DAY})
        THEN (r.backfill_to - {CURSOR_DAY}) / greatest(r.backfill_to - r.backfill_from + 1, 1)::numeric
        ELSE 0
    END
"""
BACKFILL = f"""
    CASE WHEN r.trigger = 'backfill' THEN json_build_object(
        'from', r.backfill_from, 'to', r.backfill_to,
        'progress', CASE WHEN r.status = 'succeeded' THEN 1 ELSE coalesce((
            SELECT round(avg({READ_SHARE}), 4) FROM account_position AS p
            WHERE p.studio_id = r.studio_id AND p.backfill_id = r.id
        ), 0) END
    ) END
"""
SHOWN = columns(Run, "r", sync_type="r.stream", records=RECORDS, backfill=BACKFILL, error=ERROR)
STARTED = columns(StartedRun, "r", sync_type="r.stream")
ACTIVE = "r.status IN ('queued', 'running', 'deferred')"
LIVE = "r.trigger <> 'backfill'"
FIRST_ENQUEUE = "now() + interval '2 minutes'"
BY_HAND = """
    SELECT r.id FROM sync_log AS r
    WHERE r.connection_id = s.connection_id AND r.stream = s.stream AND r.trigger <> 'schedule'
      AND r.id > uuidv7(interval '-1 day')
"""
"""SQL for the runs of the schedule `s` that were started manually within a day. Ids are UUIDv7, so an index has
them."""
HAS_ROOM = f"(SELECT count(*) FROM ({BY_HAND} LIMIT :most) AS started) < :most"
"""Concurrent requests may each find capacity for one more."""


class SpentStream(Row):
    """A stream for which no run may be started manually for now."""

    sync_type: str
    room_seconds: float
    """Until the first of its runs is a day old"""


ABOUT_RUN = "jsonb_build_object('platform', x.platform, 'stream', x.stream, 'trigger', x.trigger)"

INSERT_RUNS: Query[list[NewId]] = Query(
    f"""
    WITH started AS (
        INSERT INTO sync_log AS r (studio_id, connection_id, platform, stream, trigger, deletions_confirmed, enqueue_at)
        SELECT s.studio_id, s.connection_id, s.platform, s.stream, :trigger, :deletions_confirmed, {FIRST_ENQUEUE}
        FROM sync_schedule AS s
        WHERE s.connection_id = :connection_id AND s.stream = ANY({array_of("streams")}) AND {HAS_ROOM}
        ON CONFLICT DO NOTHING
        RETURNING r.studio_id, r.id, r.platform, r.stream, r.trigger, r.deletions_confirmed
    ), {audited("started", action="sync.start", subject="run", detail=ABOUT_RUN, when="NOT x.deletions_confirmed")},
    {
        audited(
            "started",
            action="deletions.confirm",
            subject="run",
            detail=ABOUT_RUN,
            when="x.deletions_confirmed",
            name="confirmed",
        )
    }
    SELECT coalesce(json_agg(json_build_object('id', x.id)), '[]') FROM started AS x
    """,
    list[NewId],
)
"""Queues a run for each stream that has none in progress, and not too many in the last day."""

INSERT_BACKFILL: Query[StartedRun | None] = Query(
    typed(
        f"""
        WITH r AS (
            INSERT INTO sync_log AS r (
                studio_id, connection_id, platform, stream, trigger, backfill_from, backfill_to, enqueue_at
            )
            SELECT s.studio_id, s.connection_id, s.platform, s.stream, 'backfill', :first, :last, {FIRST_ENQUEUE}
            FROM sync_schedule AS s WHERE s.connection_id = :connection_id AND s.stream = :stream AND {HAS_ROOM}
            ON CONFLICT DO NOTHING
            RETURNING r.*
        ), continued AS (
            INSERT INTO account_position (
                studio_id, connection_id, stream, account_id, backfill_id, run_id, is_open, page_cursor, turn_at
            )
            SELECT p.studio_id, p.connection_id, p.stream, p.account_id, r.id, r.id,
                   p.is_open OR p.code IS NOT NULL, p.page_cursor, p.turn_at
            FROM r JOIN account_position AS p ON p.studio_id = r.studio_id AND p.backfill_id = :continues
        )
        , {audited("r", action="backfill.start", subject="run", detail=ABOUT_RUN)}
        SELECT row_to_json(shown) FROM (SELECT {STARTED} FROM r) AS shown
        """,
        continues="uuid",
        first="date",
        last="date",
    ),
    StartedRun | None,
)
"""Queues a backfill, unless the stream has one in progress. It continues where the backfill `continues` ended."""

LIST_SPENT_STREAMS: Query[list[SpentStream]] = Query(
    many(
        f"""
        SELECT s.stream AS "syncType",
               coalesce(extract(epoch FROM uuid_extract_timestamp(({BY_HAND} ORDER BY r.id LIMIT 1))
                                           + interval '1 day' - now()), 0) AS "roomSeconds"
        FROM sync_schedule AS s
        WHERE s.connection_id = :connection_id AND s.stream IN (SELECT json_array_elements_text(:streams::json))
          AND NOT {HAS_ROOM}
        """
    ),
    list[SpentStream],
)

FIND_ACTIVE_BACKFILL: Query[Run | None] = Query(
    one(
        f"""
        SELECT {SHOWN} FROM sync_log AS r
        WHERE r.connection_id = :connection_id AND r.stream = :stream AND r.trigger = 'backfill' AND {ACTIVE}
        """
    ),
    Run | None,
)
READ_AGAIN: Query[list[StartedRun]] = Query(
    f"""
    WITH r AS (
        UPDATE sync_log AS r SET reads_again = r.started_at IS NOT NULL
        WHERE r.connection_id = :connection_id AND r.stream = ANY({array_of("streams")}) AND {LIVE} AND {ACTIVE}
        RETURNING {STARTED}
    )
    SELECT coalesce(json_agg(r ORDER BY r."syncType"), '[]') FROM r
    """,
    list[StartedRun],
)
"""The active runs of the streams. A run that has started reads once more at its end: what it has read may be older than
the request to sync now."""

FIND_RUN_STATE: Query[RunState | None] = Query(
    one(
        """
        SELECT r.status, r.lease_expires_at >= now() IS TRUE AS leased, r.resume_at AS "resumeAt"
        FROM sync_log AS r WHERE r.id = :run_id
        """
    ),
    RunState | None,
)

DATABASE_TIME: Query[datetime] = Query("SELECT to_json(clock_timestamp())", datetime)

CANCEL_RUN: Query[Run | None] = Query(
    f"""
    WITH cancelled AS (
        UPDATE sync_log AS r SET
            status = 'cancelled', finished_at = greatest(now(), r.started_at),
            duration_ms = extract(epoch FROM greatest(now(), r.started_at) - r.started_at) * 1000,
            lease_owner = NULL, lease_expires_at = NULL, resume_at = NULL,
            error_code = 'cancelled', error_message = :message, error_at = now()
        WHERE r.id = :run_id AND {ACTIVE}
        RETURNING r.*, old.status AS was
    ), visits AS (
        UPDATE account_position AS p SET is_open = p.backfill_id IS NOT NULL AND p.is_open, resume_at = NULL
        FROM cancelled AS run WHERE {OF_RUN}
    ), {unblocked("cancelled", connection="x.connection_id", when="x.was = 'deferred'")},
    {audited("cancelled", action="sync.cancel", subject="run", detail=ABOUT_RUN)}
    SELECT row_to_json(run) FROM (SELECT {SHOWN} FROM cancelled AS r) AS run
    """,
    Run | None,
)
"""Ends an active run, whichever worker holds it. The statement may have waited for a worker that started after it,
hence `greatest`.

For a deferred run the account's own limit is forgotten as well: the next run calls at once, and may be rejected again.
"""

FORGET_SEEN: Query[None] = Query("DELETE FROM sync_seen WHERE run_id = :run_id")
"""After CANCEL_RUN and not within it: a page that the cancellation waited for is not in an earlier snapshot."""

FIND_RUN: Query[Run | None] = Query(one(f"SELECT {SHOWN} FROM sync_log AS r WHERE r.id = :run_id"), Run | None)
