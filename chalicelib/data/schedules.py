"""Schedules: when each stream of a connection syncs, and where its last sync ended."""

from datetime import datetime
from uuid import UUID

from chalicelib.data.query import Query, returned
from chalicelib.data.rows import Moment, Row


class Schedule(Row):
    platform: str
    sync_type: str
    frequency: str
    next_run_at: Moment | None


class DueSchedule(Row):
    """A schedule that the tick has locked, with what its next run time is computed from."""

    schedule_id: UUID
    studio_id: UUID
    platform: str
    stream: str
    frequency: str
    next_run_at: datetime
    time_zone: str
    now: datetime


class Claim(Row):
    """How a due schedule moves on: the window it runs for now, how many passed unserved, and when it is due next."""

    schedule_id: UUID
    window_at: datetime
    missed: int
    next_run_at: datetime


class Bell(Row):
    """A run whose message is to be sent."""

    run_id: UUID
    studio_id: UUID


SAVE_SCHEDULES: Query[None] = Query(
    """
    INSERT INTO sync_schedule AS s (studio_id, connection_id, platform, stream, frequency, next_run_at)
    SELECT c.studio_id, c.id, c.platform, new.stream, new.frequency, new.next_run_at
    FROM json_to_recordset(:schedules) AS new (stream text, frequency text, next_run_at timestamptz)
    JOIN platform_connection AS c ON c.id = :connection_id AND c.disconnected_at IS NULL
    ON CONFLICT (studio_id, platform, stream) DO NOTHING
    """
)
"""The schedules a new connection starts with."""

PUT_SCHEDULE: Query[Schedule | None] = Query(
    returned(
        """
        INSERT INTO sync_schedule AS s (studio_id, connection_id, platform, stream, frequency, next_run_at, paused_at)
        SELECT c.studio_id, c.id, c.platform, :stream, :frequency, :next_run_at,
               CASE WHEN c.status <> 'active' THEN now() END
        FROM platform_connection AS c
        WHERE c.platform = :platform AND c.disconnected_at IS NULL
        ON CONFLICT (studio_id, platform, stream) DO UPDATE SET
            frequency = excluded.frequency, next_run_at = excluded.next_run_at, enabled = true
        RETURNING s.platform, s.stream AS "syncType", s.frequency, s.next_run_at AS "nextRunAt"
        """
    ),
    Schedule | None,
)
DISABLE_SCHEDULE: Query[Schedule | None] = Query(
    returned(
        """
        UPDATE sync_schedule AS s SET enabled = false, next_run_at = NULL
        WHERE s.platform = :platform AND s.stream = :stream AND s.enabled
        RETURNING s.platform, s.stream AS "syncType", s.frequency, s.next_run_at AS "nextRunAt"
        """
    ),
    Schedule | None,
)
"""A schedule taken away stops firing; the stream keeps its cursor for manual syncs."""

CLAIM_DUE_SCHEDULES: Query[list[DueSchedule]] = Query("SELECT door.claim_due_schedules(:batch)", list[DueSchedule])
START_SCHEDULED_RUNS: Query[list[Bell]] = Query("SELECT door.start_scheduled_runs(:claims)", list[Bell])
RING_LOST_RUNS: Query[list[Bell]] = Query("SELECT door.ring_lost_runs(:batch)", list[Bell])
