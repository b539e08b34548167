"""Stream statuses: what goes on with each stream of each connection, and why."""

from typing import Literal
from uuid import UUID

from chalicelib.data.accounts import SHOWN_STREAM, AccountStream
from chalicelib.data.actions import Reason, action_of
from chalicelib.data.connections import DEAD as ENDED
from chalicelib.data.connections import HEALTH, OF_ACCOUNT, STATUS, ConnectionStatus, Health
from chalicelib.data.positions import PRESENT
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


class ActiveRun(StartedRun):
    attempts: int


class ActiveBackfill(Backfill):
    id: UUID
    status: RunStatus


class StreamAccount(AccountStream):
    """Where the stream stands with one of the accounts that it reads."""

    account_id: UUID
    kind: str
    external_id: str | None
    name: str | None


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
    """Records that the last complete reads did not meet, too many to be deleted without a confirmation"""
    accounts: list[StreamAccount]
    """Those that are selected; empty for a stream that reads none of its own"""


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
        WHEN reading.refused_deletions > 0 THEN 'needs_confirmation'
        WHEN {PAUSED} THEN 'paused'
        WHEN last.status = 'failed' OR reading.failing IS NOT NULL THEN 'failing'
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
        reading.refused_deletions, s.platform, s.stream
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
        WHEN 'failing' THEN CASE
            WHEN last.status <> 'failed' THEN reading.failing WHEN last.error IS NOT NULL THEN {FAILED}
        END
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

SHOWN_ACCOUNT = f'{SHOWN_STREAM}, p.account_id AS "accountId", a.kind, a.external_id AS "externalId", a.name'
READING = f"""
    SELECT coalesce(sum(p.refused_deletions), 0)::bigint AS refused_deletions,
           coalesce(json_agg((SELECT row_to_json(shown) FROM (SELECT {SHOWN_ACCOUNT}) AS shown) ORDER BY a.name, a.id)
                    FILTER (WHERE a.id IS NOT NULL), '[]') AS accounts,
           (array_agg(json_build_object(
               'code', p.code, 'message', {OF_ACCOUNT}, 'action', {action_of("p.code")}
           ) ORDER BY p.since DESC) FILTER (WHERE a.id IS NOT NULL AND p.failures_in_row > 0 AND p.code IS NOT NULL))[1]
               AS failing
    FROM account_position AS p
    LEFT JOIN connected_account AS a ON a.studio_id = p.studio_id AND a.id = p.account_id
    WHERE p.studio_id = s.studio_id AND p.connection_id = s.connection_id AND p.stream = s.stream
      AND p.backfill_id IS NULL AND (a.id IS NULL OR ({PRESENT}))
    OFFSET 0
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
                refused_deletions="reading.refused_deletions",
                accounts="reading.accounts",
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
        CROSS JOIN LATERAL ({READING}) AS reading
        CROSS JOIN LATERAL (SELECT {STATE} AS name OFFSET 0) AS state
        ORDER BY s.platform, s.stream
        """
    ),
    list[StreamStatus],
)
"""OFFSET 0 has each of them computed once: else the planner copies it to wherever it is named, and takes longer for it
than the server does for the rest.
"""
