"""Stream statuses: what each stream of each connection is doing, and the facts that explain it."""

from typing import Literal
from uuid import UUID

from chalicelib.data.connections import HEALTH, STATUS, ConnectionHealth, ConnectionStatus
from chalicelib.data.counted_accounts import PRESENT
from chalicelib.data.postgres.query import Query, columns, many
from chalicelib.data.postgres.rows import (
    ConnectionIdText,
    FailuresInRow,
    Moment,
    PlatformText,
    Row,
    SkippedCounts,
    StreamText,
)
from chalicelib.data.reasons import Code, ReasonFacts, reason_facts
from chalicelib.data.sync.accounts import SHOWN_STREAM, BaseAccountStream
from chalicelib.data.sync.runs import ACTIVE, BACKFILL, LIVE, SHOWN, Backfill, Run, RunId, RunStatus, StartedRun
from chalicelib.data.sync.schedules import NEXT_RUN_AT, PAUSED, PAUSED_BY, PausedBy

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
"""The first of these that holds. `broken`: the connection cannot sync. `stuck`: no worker has picked up its run for ten
minutes. `throttled`: waits until the platform may be asked again. `deferred`: waits before it is tried again.
`running`: a worker is reading. `queued`: waits for a worker. `needs_confirmation`: too many records were missing to
delete them without confirmation. `paused`: the schedule is paused. `failing`: the last run failed. `idle`: none of
these."""


class ActiveRun(StartedRun):
    """The run in progress."""

    attempts: int
    """How many times a worker has taken up the run so far."""


class ActiveBackfill(Backfill):
    """The backfill in progress."""

    id: RunId
    status: RunStatus
    """The run's status."""


class BaseStreamAccount(BaseAccountStream):
    """The state of the stream for one of its accounts, without the reason."""

    account_id: UUID
    """The account's id in this API."""
    kind: str
    """The kind of account: `calendar` or `ad_account`."""
    external_id: str | None
    """The platform's own id; null while the granted scopes do not permit reading it."""
    name: str | None
    """The account's name at the platform; null when it has none."""


class StreamAccountFacts(BaseStreamAccount):
    reason: ReasonFacts | None


class BaseStreamStatus(Row):
    """One stream of a connection, as the status page shows it, without the reason and its accounts. Backfills affect
    only `backfill`."""

    connection_id: ConnectionIdText
    connection_account_name: str | None
    """The connection's `accountName`; null until the platform has told it."""
    platform: PlatformText
    sync_type: StreamText
    state: StreamState
    """The stream's state."""
    resumes_at: Moment | None
    """When the stream continues by itself; null when it does not, or this is not known."""
    connection_status: ConnectionStatus
    """The connection's `status`."""
    connection_health: ConnectionHealth
    """The connection's `health`."""
    frequency: str | None
    """How often the stream syncs, such as `every 30 minutes`; null when it has no schedule."""
    next_run_at: Moment | None
    """When the stream syncs next; null while it is paused or has no schedule."""
    paused: bool
    """Whether the schedule is paused."""
    paused_by: PausedBy | None
    """Who paused it; null when it is not paused."""
    last_run: Run | None
    """The newest run, whether or not it has ended; null before the first. Never a backfill."""
    last_success_at: Moment | None
    """When a run last succeeded; null before the first time."""
    running: ActiveRun | None
    """The run in progress; null when there is none."""
    backfill: ActiveBackfill | None
    """The backfill in progress; null when there is none."""
    failures_in_row: FailuresInRow
    missed_windows: int
    """How many scheduled times have passed without a run of their own and were merged into another."""
    skipped: SkippedCounts
    set_aside: int
    """How many records could not be read: `GET /api/sync/set-aside` lists them."""
    refused_deletions: int
    """How many records the last complete reads did not find and kept, because they were too many to delete without
    confirmation; otherwise 0."""


class StreamFacts(BaseStreamStatus):
    reason: ReasonFacts | None
    accounts: list[StreamAccountFacts]
    """The selected accounts; empty for a stream without accounts"""


OF_STREAM = "r.studio_id = s.studio_id AND r.connection_id = s.connection_id AND r.stream = s.stream"
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
"""Whether a run is stuck depends on how long it has waited for a worker. If it yielded, its lease ended then."""

NOT_ACTIVE = reason_facts(
    f"coalesce(c.status_code, c.last_error_code, '{Code.CONNECTION_NOT_ACTIVE}')",
    "coalesce(c.status_message, c.last_error_message)",
)
WAITING = reason_facts(f"coalesce(run.error_code, '{Code.DEFERRED}')", "run.error_message")
FAILED = reason_facts("last.error ->> 'code'", "last.error ->> 'message'")
REASON = f"""
    CASE state.name
        WHEN 'broken' THEN CASE WHEN c.status = 'active' THEN {reason_facts(Code.TOKEN_EXPIRED)} ELSE {NOT_ACTIVE} END
        WHEN 'stuck' THEN {reason_facts(Code.NO_WORKER)}
        WHEN 'throttled' THEN {WAITING}
        WHEN 'deferred' THEN {WAITING}
        WHEN 'needs_confirmation' THEN {reason_facts(Code.DELETIONS_REFUSED)}
        WHEN 'paused' THEN {reason_facts(Code.PAUSED)}
        WHEN 'failing' THEN CASE
            WHEN last.status <> 'failed' THEN reading.failing WHEN last.error IS NOT NULL THEN {FAILED}
        END
    END
"""
RESUMES_AT = f"""
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
     WHERE x.studio_id = s.studio_id AND x.connection_id = s.connection_id AND x.stream = s.stream)
"""

SHOWN_ACCOUNT = f'{SHOWN_STREAM}, p.account_id AS "accountId", a.kind, a.external_id AS "externalId", a.name'
OF_ACCOUNT = reason_facts("p.code", "p.message", "a.name")
READING = f"""
    SELECT coalesce(sum(p.refused_deletions), 0)::bigint AS refused_deletions,
           coalesce(json_agg((SELECT row_to_json(shown) FROM (SELECT {SHOWN_ACCOUNT}) AS shown) ORDER BY a.name, a.id)
                    FILTER (WHERE a.id IS NOT NULL), '[]') AS accounts,
           (array_agg({OF_ACCOUNT} ORDER BY p.since DESC)
                FILTER (WHERE a.id IS NOT NULL AND p.failures_in_row > 0 AND p.code IS NOT NULL))[1] AS failing
    FROM account_position AS p
    LEFT JOIN connected_account AS a ON a.studio_id = p.studio_id AND a.id = p.account_id
    WHERE p.studio_id = s.studio_id AND p.connection_id = s.connection_id AND p.stream = s.stream
      AND p.backfill_id IS NULL AND (a.id IS NULL OR ({PRESENT}))
    OFFSET 0
"""

LIST_STREAM_STATUSES: Query[list[StreamFacts]] = Query(
    many(
        f"""
        SELECT {
            columns(
                StreamFacts,
                "s",
                connection_account_name="c.external_account_name",
                sync_type="s.stream",
                state="state.name",
                reason=REASON,
                resumes_at=RESUMES_AT,
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
        WHERE :connection::uuid IS NULL OR s.connection_id = :connection
        ORDER BY s.platform, s.connection_id, s.stream
        """
    ),
    list[StreamFacts],
)
"""OFFSET 0 has each of them computed once: otherwise the planner copies it to every reference, and spends more time on
that than the server does on the rest.
"""
