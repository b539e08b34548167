"""Connections: what the API shows of them, and the sealed rows that services use."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from chalicelib.data.counted_accounts import PRESENT
from chalicelib.data.data_keys import DATA_KEYS, StoredDataKey
from chalicelib.data.postgres.query import Query, array_of, columns, many, one
from chalicelib.data.postgres.rows import ErrorCode, ErrorMessage, Moment, PlatformText, Row
from chalicelib.data.reasons import Code, ReasonFacts
from chalicelib.data.studios import NewId

ConnectionStatus = Literal["active", "refreshing", "expired", "revoked", "misconfigured", "error", "disabled"]
"""`active`: it works. `refreshing`: it works, and its token is being refreshed. `expired`, `revoked`: the platform no
longer accepts it; reconnect. `misconfigured`: the platform rejects this application; we fix that. `error`: the stored
tokens cannot be decrypted; contact support. `disabled`: disconnected."""
ConnectionHealth = Literal["healthy", "degraded", "broken"]
"""`healthy`: everything syncs. `degraded`: a stream or an account fails, or the access token ends within a day and
cannot be refreshed. `broken`: nothing can sync."""


class RecordedError(Row):
    """What went wrong, and when."""

    code: ErrorCode
    message: ErrorMessage
    at: Moment
    """When it happened."""


class Failure(ReasonFacts):
    since: Moment | None


class StatusFacts(Row):
    """Why a connection has its status, and since when."""

    code: str | None
    since: Moment
    message: str | None = None
    """The message that was stored with the code"""
    failing: list[Failure] | None = None
    """The errors of its streams and accounts while the connection itself works: the latest per code, streams first"""


class BaseConnection(Row):
    """A connection as the API shows it, without the reason for its status; never a token."""

    id: UUID
    """The connection's id; stays the same through reconnects."""
    platform: PlatformText
    status: ConnectionStatus
    """The connection's status; `statusReason` says why."""
    health: ConnectionHealth
    """Whether the connection's streams can sync."""
    account_id: str | None
    """The platform's id of the connected account; null until the platform has named it."""
    account_name: str | None
    """The name of the connected account; null until the platform has named it."""
    scopes: list[str] | None
    """The scopes the platform granted; null when they are not known."""
    has_refresh_token: bool
    """Whether a refresh token is stored."""
    token_expires_at: Moment | None
    """When the access token expires; null when it does not, or this is not known."""
    last_sync_at: Moment | None
    """When a sync of this connection last succeeded; null before the first."""
    last_error: RecordedError | None
    """The last error of this connection; null when there was none."""
    created_at: Moment
    """When the platform was first connected."""
    updated_at: Moment
    """When the connection last changed."""


class ConnectionFacts(BaseConnection):
    status_reason: StatusFacts


class StoredConnection(Row):
    """A connection with its sealed tokens and the wrapped data keys that open them."""

    id: UUID
    studio_id: UUID
    platform: str
    status: str
    access_token: bytes | None
    refresh_token: bytes | None
    token_expires_at: datetime | None
    expires_in: float | None
    """The access token's remaining seconds at the time of reading, by the database's clock"""
    token_generation: int
    scopes: list[str] | None
    account_id: str | None
    account_unverified: bool
    refresh_failures: int
    data_keys: list[StoredDataKey]


class ScheduledConnection(StoredConnection):
    streams: list[str]
    """The streams that have a schedule"""


class LiveGrant(Row):
    """A connection or a pending grant, with the fields that both have."""

    id: UUID
    platform: str
    pending: bool = False


class ConnectionDraft(Row):
    """What is needed to seal tokens for a platform: the row's id (old or new), its state, and the data keys."""

    id: UUID
    status: str | None
    token_generation: int
    data_keys: list[StoredDataKey]


DEAD = ("expired", "revoked")
"""Only the studio can fix it: schedules are paused until then."""
WORKING = "c.status IN ('active', 'misconfigured', 'error')"
"""Syncs are attempted. In all other states only the studio can help, and schedules are paused."""
REFRESHING = "c.status = 'active' AND c.refresh_lease_expires_at > now()"
STATUS = f"CASE WHEN {REFRESHING} THEN 'refreshing' ELSE c.status END"
RUN_OUT = "c.status = 'active' AND c.token_expires_at <= now() AND c.refresh_token IS NULL"
FAILING_ACCOUNTS = f"""
    account_position AS p JOIN connected_account AS a ON a.studio_id = p.studio_id AND a.id = p.account_id
    WHERE p.studio_id = c.studio_id AND p.connection_id = c.id AND p.backfill_id IS NULL
      AND p.failures_in_row > 0 AND p.code IS NOT NULL AND {PRESENT}
"""
HEALTH = f"""
    CASE
        WHEN c.status NOT IN ('active', 'misconfigured') OR {RUN_OUT}
            OR (c.status = 'misconfigured' AND c.token_expires_at <= now()) THEN 'broken'
        WHEN c.status <> 'active' OR (c.token_expires_at <= now() + interval '1 day' AND c.refresh_token IS NULL)
            OR EXISTS (
                SELECT FROM sync_schedule AS s
                WHERE s.studio_id = c.studio_id AND s.connection_id = c.id AND s.failures_in_row > 0
            ) OR EXISTS (SELECT FROM {FAILING_ACCOUNTS}) THEN 'degraded'
        ELSE 'healthy'
    END
"""
LAST_RUN = """
    SELECT r.* FROM sync_log AS r
    WHERE r.studio_id = s.studio_id AND r.platform = s.platform AND r.stream = s.stream
      AND r.trigger <> 'backfill' AND r.status IN ('succeeded', 'failed')
    ORDER BY r.id DESC LIMIT 1
"""
FAILING = f"""
    (SELECT json_agg(failing ORDER BY failing.rank, failing.since DESC) FROM (
        SELECT DISTINCT ON (failure.code) * FROM (
            SELECT run.error_code AS code, run.error_message AS message, NULL AS account, run.finished_at AS since,
                   1 AS rank
            FROM sync_schedule AS s CROSS JOIN LATERAL ({LAST_RUN}) AS run
            WHERE s.studio_id = c.studio_id AND s.connection_id = c.id AND s.failures_in_row > 0
            UNION ALL
            SELECT p.code, p.message, a.name, p.since, 2 FROM {FAILING_ACCOUNTS}
        ) AS failure
        WHERE failure.code IS NOT NULL
        ORDER BY failure.code, failure.rank, failure.since DESC
    ) AS failing)
"""
STATUS_REASON = f"""
    CASE
        WHEN {RUN_OUT} THEN json_build_object('code', '{Code.TOKEN_EXPIRED}', 'since', c.token_expires_at)
        WHEN c.status = 'active' AND c.refresh_failures > 0
        THEN json_build_object('code', '{Code.REFRESH_FAILING}', 'since', c.status_since)
        ELSE json_build_object(
            'code', c.status_code, 'message', c.status_message, 'since', c.status_since,
            'failing', CASE WHEN c.status = 'active' THEN {FAILING} END
        )
    END
"""
PROBLEM = """
    CASE WHEN c.last_error_code IS NOT NULL THEN json_build_object(
        'code', c.last_error_code, 'message', coalesce(c.last_error_message, c.last_error_code),
        'at', coalesce(c.last_error_at, c.updated_at)
    )
    END
"""
SHOWN = columns(
    ConnectionFacts,
    "c",
    status=STATUS,
    status_reason=STATUS_REASON,
    health=HEALTH,
    account_id="c.external_account_id",
    account_name="c.external_account_name",
    has_refresh_token="c.refresh_token IS NOT NULL",  # noqa: S106  SQL
    last_error=PROBLEM,
)
LIVE = "c.disconnected_at IS NULL"
DATA_KEYS_OF_STUDIO = f"({many(DATA_KEYS)})"
STORED = columns(
    StoredConnection,
    "c",
    expires_in="extract(epoch FROM c.token_expires_at - now())",
    account_id="c.external_account_id",
    data_keys=DATA_KEYS_OF_STUDIO,
)

LIST_CONNECTIONS: Query[list[ConnectionFacts]] = Query(
    many(f"SELECT {SHOWN} FROM platform_connection AS c WHERE {LIVE} ORDER BY c.platform"), list[ConnectionFacts]
)
FIND_CONNECTION: Query[ConnectionFacts | None] = Query(
    one(f"SELECT {SHOWN} FROM platform_connection AS c WHERE c.platform = :platform AND {LIVE}"), ConnectionFacts | None
)
FIND_STORED_CONNECTION: Query[StoredConnection | None] = Query(
    one(f"SELECT {STORED} FROM platform_connection AS c WHERE c.platform = :platform AND {LIVE}"),
    StoredConnection | None,
)
FIND_SCHEDULED_CONNECTION: Query[ScheduledConnection | None] = Query(
    one(
        f"""
        SELECT {STORED}, (
            SELECT coalesce(json_agg(s.stream), '[]') FROM sync_schedule AS s
            WHERE s.studio_id = c.studio_id AND s.connection_id = c.id
        ) AS streams
        FROM platform_connection AS c WHERE c.platform = :platform AND {LIVE}
        """
    ),
    ScheduledConnection | None,
)
FIND_CONNECTION_TO_REFRESH: Query[StoredConnection | None] = Query(
    one(
        f"""
        SELECT {STORED} FROM platform_connection AS c
        WHERE c.id = :id AND {WORKING} AND c.refresh_at <= now() + interval '15 minutes'
        """
    ),
    StoredConnection | None,
)
"""For a worker that the tick started: the claim postponed the refresh by this long. Returns nothing once it is done."""

LIST_GRANTS: Query[list[LiveGrant]] = Query(
    many(f"SELECT c.id, c.platform FROM platform_connection AS c WHERE {LIVE} ORDER BY c.platform"), list[LiveGrant]
)
"""The grants to be ended, whatever else their rows contain."""
FIND_STORED_BY_ID: Query[StoredConnection | None] = Query(
    one(f"SELECT {STORED} FROM platform_connection AS c WHERE c.id = :id AND {LIVE}"), StoredConnection | None
)

DRAFT_CONNECTION: Query[ConnectionDraft] = Query(
    one(
        f"""
        SELECT coalesce(c.id, uuidv7()) AS id, c.status, coalesce(c.token_generation, 0) AS "tokenGeneration",
               {DATA_KEYS_OF_STUDIO} AS "dataKeys"
        FROM (SELECT) AS nothing LEFT JOIN platform_connection AS c ON c.platform = :platform
        """
    ),
    ConnectionDraft,
)


def abandoned(connections: str, *, accounts: str = "true") -> str:
    """CTEs that reset the sync positions of connections, given by `studio_id` and `id`. Accounts that match `accounts`,
    a condition, are gone until the platform lists them again."""
    of_connection = "{0}.studio_id = x.studio_id AND {0}.connection_id = x.id"
    return f"""
    positions AS (
        UPDATE account_position AS p SET
            cursor = NULL, page_cursor = NULL, full_read = p.backfill_id IS NULL, read_started_at = now(),
            resume_at = NULL, skipped = '{{}}', refused_deletions = 0
        FROM {connections} AS x WHERE {of_connection.format("p")}
    ), left_accounts AS (
        UPDATE connected_account AS a SET gone_at = coalesce(a.gone_at, now())
        FROM {connections} AS x WHERE {of_connection.format("a")} AND {accounts}
    )"""


IDENTIFY_CONNECTION: Query[NewId | None] = Query(
    f"""
    WITH before AS (
        SELECT c.studio_id, c.id, c.external_account_id <> :account_id AS is_another
        FROM platform_connection AS c
        WHERE c.id = :id AND c.token_generation = :token_generation AND c.disconnected_at IS NULL
    ), reset AS (
        UPDATE sync_schedule AS s SET accounts_listed_at = NULL
        FROM before WHERE before.is_another AND s.studio_id = before.studio_id AND s.connection_id = before.id
    ), begun AS (
        UPDATE sync_log AS r SET
            full_read = r.trigger <> 'backfill'
        FROM before
        WHERE before.is_another AND r.studio_id = before.studio_id AND r.connection_id = before.id
          AND r.status IN ('queued', 'running', 'deferred') AND r.started_at IS NOT NULL
        RETURNING r.id
    ), forgotten AS (
        DELETE FROM sync_seen AS seen USING begun WHERE seen.run_id = begun.id
    ), {abandoned("(SELECT before.studio_id, before.id FROM before WHERE before.is_another)")}, identified AS (
        UPDATE platform_connection AS c SET
            external_account_id = :account_id, external_account_name = :account_name,
            scopes = coalesce({array_of("scopes")}, c.scopes), account_unverified = false, updated_at = now()
        FROM before
        WHERE c.id = before.id AND c.token_generation = :token_generation AND c.disconnected_at IS NULL
        RETURNING c.id
    )
    SELECT json_build_object('id', identified.id) FROM identified
    """,
    NewId | None,
)
"""Stores which account the tokens of this generation belong to. Another account's sync positions mean nothing for this
one. Returns nothing if the tokens were replaced meanwhile: the new ones may belong to another account."""
