"""Runs: the sync log, and the lease that lets exactly one worker at a time write to a run."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from chalicelib.data.connections import HEALTH, STORED, ConnectionStatus, Health, Problem, StoredConnection
from chalicelib.data.query import Query, all_returned, columns, many, one, returned
from chalicelib.data.rows import Moment, Row
from chalicelib.data.studios import NewId

RunStatus = Literal["queued", "running", "deferred", "succeeded", "failed", "cancelled"]
Trigger = Literal["manual", "schedule", "retry"]


class RecordCounts(Row):
    seen: int
    created: int
    updated: int
    unchanged: int
    deleted: int


class Run(Row):
    """A run as the API shows it."""

    id: UUID
    platform: str
    sync_type: str
    trigger: Trigger
    status: RunStatus
    queued_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    resume_at: Moment | None
    duration_ms: int | None
    schedule_lag_ms: int | None
    attempts: int
    pages: int
    api_calls: int
    full_read: bool
    records: RecordCounts
    error: Problem | None


class StartedRun(Row):
    """A run that a trigger made or found under way."""

    id: UUID
    sync_type: str
    status: RunStatus


class LeasedRun(Row):
    """A run this worker holds, with all it takes to go on."""

    id: UUID
    platform: str
    stream: str
    attempts: int
    idle_attempts: int
    full_read: bool
    page_cursor: str | None
    schedule_cursor: str | None
    connection: StoredConnection


class RunState(Row):
    status: RunStatus
    leased: bool
    resume_at: datetime | None


class StreamStatus(Row):
    """One stream of a connection, as the status page shows it."""

    platform: str
    sync_type: str
    connection_status: ConnectionStatus
    connection_health: Health
    frequency: str | None
    next_run_at: Moment | None
    paused: bool
    last_run: Run | None
    last_success_at: Moment | None
    running: StartedRun | None
    failures_in_row: int
    missed_windows: int


ERROR = """
    CASE WHEN r.error_code IS NOT NULL THEN
        json_build_object('code', r.error_code, 'message', r.error_message, 'at', coalesce(r.finished_at, now()))
    END
"""
RECORDS = """
    json_build_object('seen', r.records_seen, 'created', r.records_created, 'updated', r.records_updated,
                      'unchanged', r.records_unchanged, 'deleted', r.records_deleted)
"""
SHOWN = columns(Run, "r", sync_type="r.stream", records=RECORDS, error=ERROR)
STARTED = columns(StartedRun, "r", sync_type="r.stream")
ACTIVE = "r.status IN ('queued', 'running', 'deferred')"
FIRST_RING = "now() + interval '2 minutes'"

INSERT_RUNS: Query[list[NewId]] = Query(
    all_returned(
        f"""
        INSERT INTO sync_log AS r (studio_id, connection_id, platform, stream, trigger, ring_at)
        SELECT s.studio_id, s.connection_id, s.platform, s.stream, :trigger, {FIRST_RING}
        FROM sync_schedule AS s
        WHERE s.platform = :platform AND s.stream = ANY(:streams)
        ON CONFLICT DO NOTHING
        RETURNING r.id
        """
    ),
    list[NewId],
)
"""Queues a run for each stream that has none under way."""

LIST_STARTED_RUNS: Query[list[StartedRun]] = Query(
    many(
        f"""
        SELECT {STARTED} FROM sync_log AS r
        WHERE r.platform = :platform AND r.stream = ANY(:streams) AND {ACTIVE} ORDER BY r.stream
        """
    ),
    list[StartedRun],
)

LEASE_RUN: Query[LeasedRun | None] = Query(
    f"""
    WITH leased AS (
        UPDATE sync_log AS r SET
            status = 'running', lease_owner = :owner,
            lease_expires_at = now() + make_interval(secs => :lease_seconds),
            ring_at = now() + make_interval(secs => :lease_seconds),
            resume_at = NULL, started_at = coalesce(r.started_at, now()),
            attempts = r.attempts + 1, idle_attempts = r.idle_attempts + 1,
            cursor_before = CASE WHEN r.started_at IS NULL THEN s.cursor ELSE r.cursor_before END,
            full_read = CASE WHEN r.started_at IS NULL THEN s.cursor IS NULL ELSE r.full_read END
        FROM sync_schedule AS s
        WHERE r.id = :run_id AND {ACTIVE}
          AND s.studio_id = r.studio_id AND s.platform = r.platform AND s.stream = r.stream
          AND (r.lease_expires_at IS NULL OR r.lease_expires_at < now())
          AND (r.resume_at IS NULL OR r.resume_at <= now())
        RETURNING r.*, s.cursor AS schedule_cursor
    )
    SELECT row_to_json(run) FROM (
        SELECT {
        columns(
            LeasedRun,
            "leased",
            connection=f"(SELECT row_to_json(c) FROM (SELECT {STORED} FROM platform_connection AS c"
            " WHERE c.studio_id = leased.studio_id AND c.id = leased.connection_id) AS c)",
        )
    }
        FROM leased
    ) AS run
    """,
    LeasedRun | None,
)
FIND_RUN_STATE: Query[RunState | None] = Query(
    one(
        """
        SELECT r.status, r.lease_expires_at >= now() IS TRUE AS leased, r.resume_at AS "resumeAt"
        FROM sync_log AS r WHERE r.id = :run_id
        """
    ),
    RunState | None,
)

HeldWrite = Query[NewId | None]
"""A write that a worker may make only while it holds the run's lease; without it, nothing comes back."""

HELD = "r.id = :run_id AND r.lease_owner = :owner AND r.status = 'running'"

RECORD_PAGE: HeldWrite = Query(
    f"""
    WITH run AS (
        UPDATE sync_log AS r SET
            pages = r.pages + 1, idle_attempts = 0,
            records_seen = r.records_seen + :seen, records_created = r.records_created + :created,
            records_updated = r.records_updated + :updated, records_unchanged = r.records_unchanged + :unchanged,
            records_deleted = r.records_deleted + :deleted, api_calls = r.api_calls + :api_calls,
            page_cursor = CASE WHEN NOT :last THEN :cursor END,
            cursor_after = CASE WHEN :last THEN :cursor END,
            status = CASE WHEN :last THEN 'succeeded' ELSE r.status END,
            finished_at = CASE WHEN :last THEN now() END,
            duration_ms = CASE WHEN :last THEN extract(epoch FROM now() - r.started_at) * 1000 END,
            lease_owner = CASE WHEN NOT :last THEN r.lease_owner END,
            lease_expires_at = CASE WHEN NOT :last THEN now() + make_interval(secs => :lease_seconds) END,
            ring_at = now() + make_interval(secs => :lease_seconds),
            error_code = NULL, error_message = NULL
        WHERE {HELD}
        RETURNING r.*
    ), schedule AS (
        UPDATE sync_schedule AS s SET
            cursor = :cursor, last_run_at = now(), last_success_at = now(), failures_in_row = 0
        FROM run
        WHERE :last AND s.studio_id = run.studio_id AND s.platform = run.platform AND s.stream = run.stream
    ), connection AS (
        UPDATE platform_connection AS c SET
            last_sync_at = now(), last_error_code = NULL, last_error_message = NULL, last_error_at = NULL
        FROM run
        WHERE :last AND c.studio_id = run.studio_id AND c.id = run.connection_id
    ), forgotten AS (
        DELETE FROM sync_seen AS seen USING run WHERE :last AND seen.run_id = run.id
    )
    SELECT json_build_object('id', run.id) FROM run
    """.replace(":last", ":last::boolean").replace(":cursor", ":cursor::text"),
    NewId | None,
)
"""Moves the run on by one stored page; with `last`, also ends it and hands its cursor to the schedule."""

RESTART_RUN: HeldWrite = Query(
    f"""
    WITH run AS (
        UPDATE sync_log AS r SET
            page_cursor = NULL, full_read = true, api_calls = r.api_calls + :api_calls
        WHERE {HELD} RETURNING r.*
    ), forgotten AS (
        UPDATE sync_schedule AS s SET cursor = NULL
        FROM run
        WHERE s.studio_id = run.studio_id AND s.platform = run.platform AND s.stream = run.stream
    ), unseen AS (
        DELETE FROM sync_seen AS seen USING run WHERE seen.run_id = run.id
    )
    SELECT json_build_object('id', run.id) FROM run
    """,
    NewId | None,
)
"""Sends a run back to the start of its stream; nobody uses the dead cursor again."""

HAND_OVER_RUN: HeldWrite = Query(
    returned(
        f"""
        UPDATE sync_log AS r SET lease_owner = NULL, lease_expires_at = NULL, ring_at = {FIRST_RING}
        WHERE {HELD} RETURNING r.id
        """
    ),
    NewId | None,
)
DEFER_RUN: HeldWrite = Query(
    returned(
        f"""
        UPDATE sync_log AS r SET
            status = 'deferred', resume_at = :resume_at, ring_at = :resume_at,
            idle_attempts = r.idle_attempts - CASE WHEN :idle THEN 0 ELSE 1 END,
            lease_owner = NULL, lease_expires_at = NULL, api_calls = r.api_calls + :api_calls,
            error_code = :code, error_message = :message
        WHERE {HELD} RETURNING r.id
        """
    ),
    NewId | None,
)
FAIL_RUN: HeldWrite = Query(
    f"""
    WITH run AS (
        UPDATE sync_log AS r SET
            status = 'failed', finished_at = now(),
            duration_ms = extract(epoch FROM now() - r.started_at) * 1000,
            lease_owner = NULL, lease_expires_at = NULL, api_calls = r.api_calls + :api_calls,
            error_code = :code, error_message = :message
        WHERE {HELD}
        RETURNING r.*
    ), schedule AS (
        UPDATE sync_schedule AS s SET last_run_at = now(), failures_in_row = s.failures_in_row + 1
        FROM run
        WHERE s.studio_id = run.studio_id AND s.platform = run.platform AND s.stream = run.stream
    ), connection AS (
        UPDATE platform_connection AS c SET
            last_error_code = :code, last_error_message = :message, last_error_at = now()
        FROM run
        WHERE c.studio_id = run.studio_id AND c.id = run.connection_id AND c.status = 'active'
    ), forgotten AS (
        DELETE FROM sync_seen AS seen USING run WHERE seen.run_id = run.id
    )
    SELECT json_build_object('id', run.id) FROM run
    """,
    NewId | None,
)

CANCEL_RUN: Query[Run | None] = Query(
    f"""
    WITH cancelled AS (
        UPDATE sync_log AS r SET
            status = 'cancelled', finished_at = greatest(now(), r.started_at),
            duration_ms = extract(epoch FROM greatest(now(), r.started_at) - r.started_at) * 1000,
            lease_owner = NULL, lease_expires_at = NULL, resume_at = NULL,
            error_code = 'cancelled', error_message = 'The run was cancelled'
        WHERE r.id = :run_id AND {ACTIVE}
        RETURNING r.*
    )
    SELECT row_to_json(run) FROM (SELECT {SHOWN} FROM cancelled AS r) AS run
    """,
    Run | None,
)
"""Ends an active run, whoever holds it. It may have waited for a worker that began after it, hence `greatest`."""

FORGET_SEEN: Query[None] = Query("DELETE FROM sync_seen WHERE run_id = :run_id")
"""After CANCEL_RUN and not within it: the page that a cancel waited for is in no snapshot taken before the wait."""

FIND_RUN: Query[Run | None] = Query(one(f"SELECT {SHOWN} FROM sync_log AS r WHERE r.id = :run_id"), Run | None)
LIST_RUNS: Query[list[Run]] = Query(
    many(
        f"""
        SELECT {SHOWN} FROM sync_log AS r
        WHERE (:platform::text IS NULL OR r.platform = :platform)
          AND (:stream::text IS NULL OR r.stream = :stream)
          AND (:status::text IS NULL OR r.status = :status)
          AND (:before::uuid IS NULL OR r.id < :before)
        ORDER BY r.id DESC LIMIT :limit
        """
    ),
    list[Run],
)
"""Newest first: ids are UUIDv7, so their order is the order in which runs were queued."""

LIST_STREAM_STATUSES: Query[list[StreamStatus]] = Query(
    many(
        f"""
        SELECT s.platform, s.stream AS "syncType", c.status AS "connectionStatus", {HEALTH} AS "connectionHealth",
               CASE WHEN s.enabled THEN s.frequency END AS frequency, s.next_run_at AS "nextRunAt",
               s.paused_at IS NOT NULL AS paused, s.last_success_at AS "lastSuccessAt",
               s.failures_in_row AS "failuresInRow", s.missed_windows AS "missedWindows",
               (SELECT row_to_json(last) FROM (
                    SELECT {SHOWN} FROM sync_log AS r
                    WHERE r.studio_id = s.studio_id AND r.platform = s.platform AND r.stream = s.stream
                    ORDER BY r.id DESC LIMIT 1
               ) AS last) AS "lastRun",
               (SELECT row_to_json(active) FROM (
                    SELECT {STARTED} FROM sync_log AS r
                    WHERE r.studio_id = s.studio_id AND r.platform = s.platform AND r.stream = s.stream AND {ACTIVE}
               ) AS active) AS running
        FROM sync_schedule AS s
        JOIN platform_connection AS c ON c.studio_id = s.studio_id AND c.id = s.connection_id
        ORDER BY s.platform, s.stream
        """
    ),
    list[StreamStatus],
)
