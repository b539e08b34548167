"""Schedules: when each stream of a connection syncs."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from chalicelib.data.audit import returned_and_audited
from chalicelib.data.connections import CHOSEN, WORKING
from chalicelib.data.postgres.query import Query, columns, one
from chalicelib.data.postgres.rows import ConnectionIdText, Moment, PlatformText, Row, StreamText

PausedBy = Literal["studio", "connection"]
"""`studio`: until the studio resumes it. `connection`: the connection failed, and the schedule continues when it is
reconnected."""


class Schedule(Row):
    """When a stream syncs by itself."""

    connection_id: ConnectionIdText
    platform: PlatformText
    sync_type: StreamText
    frequency: str
    """How often the stream syncs, as it was set, such as `every 30 minutes`."""
    next_run_at: Moment | None
    """When the stream syncs next; null while it is paused."""
    paused: bool
    """Whether the schedule is paused."""
    paused_by: PausedBy | None
    """Who paused it; null when it is not paused."""


class PlaceOfSchedule(Row):
    """What the first run time of a schedule is computed from."""

    connection_id: UUID | None
    """None where no connection is meant, or several may be"""
    time_zone: str


class LockedSchedule(Row):
    """A schedule locked against concurrent changes, with what its next run time is computed from."""

    id: UUID
    shown: Schedule
    frequency: str
    time_zone: str
    now: datetime


class DueSchedule(Row):
    """A schedule that the tick has locked, with what its next run time is computed from."""

    schedule_id: UUID
    studio_id: UUID
    connection_id: UUID
    stream: str
    frequency: str
    next_run_at: datetime
    time_zone: str | None
    """The studio's; None for a frequency in minutes or hours, which depends on none."""
    now: datetime


class Claim(Row):
    """How a due schedule advances: the window it runs for now, how many were missed, and when it is due next."""

    schedule_id: UUID
    window_at: datetime
    missed: int
    next_run_at: datetime


class Dispatch(Row):
    """A run whose message is to be sent."""

    run_id: UUID
    studio_id: UUID


SAVE_SCHEDULES: Query[None] = Query(
    """
    INSERT INTO sync_schedule AS s (studio_id, connection_id, platform, stream, account_kind, frequency, next_run_at)
    SELECT c.studio_id, c.id, c.platform, new.stream, new.account_kind, new.frequency, new.next_run_at
    FROM json_to_recordset(:schedules)
        AS new (stream text, account_kind text, frequency text, next_run_at timestamptz)
    JOIN platform_connection AS c ON c.id = :connection_id AND c.disconnected_at IS NULL
      AND (:token_generation::integer IS NULL OR c.token_generation = :token_generation)
    ON CONFLICT (studio_id, connection_id, stream) DO NOTHING
    """
)
"""The schedules a new connection starts with; with a `token_generation`, only if the connection has that one."""

PAUSED = "(s.enabled AND s.paused_at IS NOT NULL)"
PAUSED_BY = f"CASE WHEN {PAUSED} THEN coalesce(s.paused_by, 'connection') END"
"""Releases before manual pauses stored no name with theirs."""
NEXT_RUN_AT = f"CASE WHEN NOT {PAUSED} THEN s.next_run_at END"
SHOWN = columns(Schedule, "s", sync_type="s.stream", next_run_at=NEXT_RUN_AT, paused=PAUSED, paused_by=PAUSED_BY)

OF_SCHEDULE = "s.studio_id, s.id, s.platform, s.stream, s.frequency"
ABOUT_SCHEDULE = "jsonb_build_object('platform', x.platform, 'stream', x.stream, 'frequency', x.frequency)"

FIND_PLACE_OF_SCHEDULE: Query[PlaceOfSchedule | None] = Query(
    one(f'SELECT {CHOSEN} AS "connectionId", studio.time_zone AS "timeZone" FROM studio'), PlaceOfSchedule | None
)
PUT_SCHEDULE: Query[Schedule | None] = Query(
    returned_and_audited(
        f"""
        INSERT INTO sync_schedule AS s (
            studio_id, connection_id, platform, stream, account_kind, frequency, next_run_at, paused_at, paused_by
        )
        SELECT c.studio_id, c.id, c.platform, :stream, :account_kind, :frequency, :next_run_at,
               CASE WHEN NOT {WORKING} THEN now() END, CASE WHEN NOT {WORKING} THEN 'connection' END
        FROM platform_connection AS c
        WHERE c.id = :connection_id AND c.disconnected_at IS NULL
        ON CONFLICT (studio_id, connection_id, stream) DO UPDATE SET
            frequency = excluded.frequency, next_run_at = excluded.next_run_at, enabled = true,
            paused_at = CASE WHEN s.enabled THEN s.paused_at ELSE excluded.paused_at END,
            paused_by = CASE WHEN s.enabled THEN s.paused_by ELSE excluded.paused_by END
        """,
        OF_SCHEDULE,
        SHOWN,
        action="schedule.put",
        subject="schedule",
        detail=ABOUT_SCHEDULE,
    ),
    Schedule | None,
)
"""A paused schedule stays paused; a disabled one starts over."""

DISABLE_SCHEDULE: Query[Schedule | None] = Query(
    returned_and_audited(
        f"""
        UPDATE sync_schedule AS s SET enabled = false, next_run_at = NULL
        WHERE s.connection_id = {CHOSEN} AND s.stream = :stream AND s.enabled
        """,
        OF_SCHEDULE,
        SHOWN,
        action="schedule.delete",
        subject="schedule",
        detail=ABOUT_SCHEDULE,
    ),
    Schedule | None,
)
"""A disabled schedule stops firing; its accounts keep their cursors for manual syncs."""

PAUSE_SCHEDULE: Query[Schedule | None] = Query(
    returned_and_audited(
        f"""
        UPDATE sync_schedule AS s SET paused_at = coalesce(s.paused_at, now()), paused_by = 'studio'
        WHERE s.connection_id = {CHOSEN} AND s.stream = :stream AND s.enabled
        """,
        OF_SCHEDULE,
        SHOWN,
        action="schedule.pause",
        subject="schedule",
        detail=ABOUT_SCHEDULE,
    ),
    Schedule | None,
)
"""A pause by the studio, which replaces a pause by the connection."""

LOCK_SCHEDULE: Query[LockedSchedule | None] = Query(
    one(
        f"""
        SELECT s.id, (SELECT row_to_json(shown) FROM (SELECT {SHOWN}) AS shown) AS shown,
               s.frequency, studio.time_zone AS "timeZone", now() AS now
        FROM sync_schedule AS s
        JOIN platform_connection AS c ON c.studio_id = s.studio_id AND c.id = s.connection_id
        JOIN studio ON studio.id = s.studio_id
        WHERE s.connection_id = {CHOSEN} AND s.stream = :stream AND s.enabled
        FOR SHARE OF c FOR UPDATE OF s
        """
    ),
    LockedSchedule | None,
)
"""Locks the connection first, in the same order as failing or reconnecting it does."""

RESUME_SCHEDULE: Query[Schedule | None] = Query(
    returned_and_audited(
        f"""
        UPDATE sync_schedule AS s SET
            paused_at = CASE WHEN NOT {WORKING} THEN s.paused_at END,
            paused_by = CASE WHEN NOT {WORKING} THEN 'connection' END,
            next_run_at = :next_run_at
        FROM platform_connection AS c
        WHERE s.id = :id AND s.paused_at IS NOT NULL
          AND c.studio_id = s.studio_id AND c.id = s.connection_id
          AND (s.paused_by = 'studio' OR {WORKING})
        """,
        OF_SCHEDULE,
        SHOWN,
        action="schedule.resume",
        subject="schedule",
        detail=ABOUT_SCHEDULE,
    ),
    Schedule | None,
)
"""After LOCK_SCHEDULE. While the connection is broken the pause becomes the connection's; what is not paused stays."""

CLAIM_DUE_SCHEDULES: Query[list[DueSchedule]] = Query(
    "SELECT cross_tenant.claim_due_schedules(:batch)", list[DueSchedule]
)
START_SCHEDULED_RUNS: Query[list[Dispatch]] = Query("SELECT cross_tenant.start_scheduled_runs(:claims)", list[Dispatch])
ENQUEUE_LOST_RUNS: Query[list[Dispatch]] = Query("SELECT cross_tenant.enqueue_lost_runs(:batch)", list[Dispatch])
