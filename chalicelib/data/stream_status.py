"""Stream statuses: what goes on with each stream of each connection, and why."""

from typing import Literal
from uuid import UUID

from chalicelib.data.actions import Action, action_of
from chalicelib.data.connections import DEAD as ENDED
from chalicelib.data.connections import HEALTH, STATUS, ConnectionStatus, Health
from chalicelib.data.query import Query, columns, many
from chalicelib.data.rows import Moment, Row
from chalicelib.data.runs import ACTIVE, BACKFILL, LIVE, SHOWN, Backfill, Run, RunStatus, StartedRun
from chalicelib.data.schedules import NEXT_RUN_AT, PAUSED, PAUSED_BY, Pauser

StreamState = Literal[
    "broken",
    "stuck",
    "throttled",
    "deferred",
    "running",
    "queued",
    "needs_confirmation",
    "paused",
    "failing",
    "idle",
]
"""The first of these that holds."""


class Reason(Row):
    code: str
    message: str
    action: Action
    """What a person has to do about it"""


class ActiveRun(StartedRun):
    attempts: int


class ActiveBackfill(Backfill):
    id: UUID
    status: RunStatus


class StreamStatus(Row):
    """One stream of a connection, as the status page shows it. Backfills have no part in it but under `backfill`."""

    platform: str
    sync_type: str
    state: StreamState
    reason: Reason | None
    until: Moment | None
    """When it goes on by itself, where that is known"""
    connection_status: ConnectionStatus
    connection_health: Health
    frequency: str | None
    next_run_at: Moment | None
    paused: bool
    paused_by: Pauser | None
    last_run: Run | None
    last_success_at: Moment | None
    running: ActiveRun | None
    backfill: ActiveBackfill | None
    failures_in_row: int
    missed_windows: int
    skipped: dict[str, int]
    """How many records the stream's rules leave out, by reason"""
    set_aside: int
    """Records that could not be read: GET /api/sync/set-aside lists them"""
    refused_deletions: int
    """Records that the last complete read did not meet, too many to be deleted without a confirmation"""


def _reason(code: str, message: str, action: str) -> str:
    return f"json_build_object('code', {code}, 'message', {message}, 'action', {action})"


OF_STREAM = "r.studio_id = s.studio_id AND r.platform = s.platform AND r.stream = s.stream"
THROTTLED = "('platform_rate_limited', 'quota_spent', 'platform_down')"
STATE = f"""
    CASE
        WHEN connection.health = 'broken' THEN 'broken'
        WHEN now() - interval '10 minutes' > CASE run.status
            WHEN 'queued' THEN run.queued_at WHEN 'running' THEN run.lease_expires_at ELSE run.resume_at
        END THEN 'stuck'
        WHEN run.status = 'deferred' AND run.error_code IN {THROTTLED} THEN 'throttled'
        WHEN run.status IS NOT NULL THEN run.status
        WHEN s.refused_deletions > 0 THEN 'needs_confirmation'
        WHEN {PAUSED} THEN 'paused'
        WHEN last.status = 'failed' THEN 'failing'
        ELSE 'idle'
    END
"""
"""Stuck is judged by since when it has been a worker's turn. The lease of a run that is handed over ended then."""

EXPIRED = _reason("'token_expired'", "'The access token has expired, and there is no refresh token'", "'reconnect'")
DEAD = _reason(
    "coalesce(c.status_code, c.last_error_code, 'connection_not_active')",
    "coalesce(c.status_message, c.last_error_message, 'Reconnect this account to sync it')",
    f"CASE WHEN c.status IN {ENDED} THEN 'reconnect' ELSE 'contact_support' END",
)
WAITING = _reason(
    "coalesce(run.error_code, 'deferred')", "coalesce(run.error_message, run.error_code, 'deferred')", "'wait'"
)
NOBODY = _reason(
    "'no_worker'",
    """CASE run.status
        WHEN 'queued' THEN 'The run was queued more than ten minutes ago, and no worker has taken it up'
        WHEN 'running' THEN 'The run''s worker went silent more than ten minutes ago, and no other has taken over'
        ELSE 'The run was to go on more than ten minutes ago, and no worker has taken it up'
    END""",
    "'contact_support'",
)
UNCONFIRMED = _reason(
    "'deletions_refused'",
    """format(
        'The last complete read did not meet %s records, too many to believe it, so they were kept; '
        'POST /api/sync/%s {"syncType": "%s", "confirmDeletions": true} reads all again and deletes what is gone',
        s.refused_deletions, s.platform, s.stream
    )""",
    "'confirm_deletions'",
)
BY_HAND = _reason(
    "'paused'", "format('The schedule is paused; POST /api/sync/%s/schedule/resume ends that', s.platform)", "'resume'"
)
FAILED = _reason("last.error ->> 'code'", "last.error ->> 'message'", action_of("(last.error ->> 'code')"))
REASON = f"""
    CASE state.name
        WHEN 'broken' THEN CASE WHEN c.status = 'active' THEN {EXPIRED} ELSE {DEAD} END
        WHEN 'stuck' THEN {NOBODY}
        WHEN 'throttled' THEN {WAITING}
        WHEN 'deferred' THEN {WAITING}
        WHEN 'needs_confirmation' THEN {UNCONFIRMED}
        WHEN 'paused' THEN {BY_HAND}
        WHEN 'failing' THEN CASE WHEN last.error IS NOT NULL THEN {FAILED} END
    END
"""
UNTIL = f"""
    CASE
        WHEN state.name IN ('throttled', 'deferred') THEN run.resume_at
        WHEN state.name IN ('failing', 'idle') THEN {NEXT_RUN_AT}
    END
"""
RUNNING = f"""
    (SELECT row_to_json(shown) FROM (
        SELECT {columns(ActiveRun, "run", sync_type="run.stream")} WHERE run.id IS NOT NULL
    ) AS shown)
"""
BACKFILLING = f"""
    (SELECT row_to_json(shown) FROM (
        SELECT {
    columns(ActiveBackfill, "r", first="r.backfill_from", last="r.backfill_to", progress=f"({BACKFILL}) -> 'progress'")
}
        FROM sync_log AS r WHERE {OF_STREAM} AND {ACTIVE} AND r.trigger = 'backfill'
    ) AS shown)
"""
SET_ASIDE = """
    (SELECT count(*) FROM set_aside AS x
     WHERE x.studio_id = s.studio_id AND x.platform = s.platform AND x.stream = s.stream)
"""

LIST_STREAM_STATUSES: Query[list[StreamStatus]] = Query(
    many(
        f"""
        SELECT {
            columns(
                StreamStatus,
                "s",
                sync_type="s.stream",
                state="state.name",
                reason=REASON,
                until=UNTIL,
                connection_status=STATUS,
                connection_health="connection.health",
                frequency="CASE WHEN s.enabled THEN s.frequency END",
                next_run_at=NEXT_RUN_AT,
                paused=PAUSED,
                paused_by=PAUSED_BY,
                last_run="row_to_json(last)",
                running=RUNNING,
                backfill=BACKFILLING,
                set_aside=SET_ASIDE,
            )
        }
        FROM sync_schedule AS s
        JOIN platform_connection AS c ON c.studio_id = s.studio_id AND c.id = s.connection_id
        CROSS JOIN LATERAL (SELECT {HEALTH} AS health OFFSET 0) AS connection
        LEFT JOIN LATERAL (
            SELECT * FROM sync_log AS r WHERE {OF_STREAM} AND {ACTIVE} AND {LIVE} OFFSET 0
        ) AS run ON true
        LEFT JOIN LATERAL (
            SELECT {SHOWN} FROM sync_log AS r WHERE {OF_STREAM} AND {LIVE} ORDER BY r.id DESC LIMIT 1
        ) AS last ON true
        CROSS JOIN LATERAL (SELECT {STATE} AS name OFFSET 0) AS state
        ORDER BY s.platform, s.stream
        """
    ),
    list[StreamStatus],
)
"""OFFSET 0 has each of them computed once: else the planner copies it to wherever it is named, and takes longer for it
than the server does for the rest.
"""
