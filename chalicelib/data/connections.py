"""Connections: what the API shows of them, and the sealed rows that services use."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from chalicelib.data.counted_accounts import PRESENT
from chalicelib.data.data_keys import DATA_KEYS, StoredDataKey
from chalicelib.data.postgres.query import Query, columns, many, one
from chalicelib.data.postgres.rows import ErrorCode, ErrorMessage, Moment, PlatformText, Row
from chalicelib.data.reasons import Code, ReasonFacts
from chalicelib.errors import ConnectionChoice

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
    WHERE r.studio_id = s.studio_id AND r.connection_id = s.connection_id AND r.stream = s.stream
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
NAMED = "o.platform = :platform AND (:connection::uuid IS NULL OR o.id = :connection)"
CHOSEN = f"""
    (SELECT (array_agg(o.id))[1] FROM platform_connection AS o
     WHERE {NAMED} AND o.disconnected_at IS NULL HAVING count(*) = 1)
"""
"""SQL for the id of the live connection that a request means: the one it names, or the only one of the platform. NULL
where there is none, and where there are several."""
CHOSEN_OR_ENDED = f"""
    (SELECT (array_agg(o.id ORDER BY o.disconnected_at DESC))[1] FROM platform_connection AS o
     WHERE {NAMED}
     HAVING count(*) = 1 OR count(*) FILTER (WHERE o.disconnected_at IS NULL) = 1)
"""
"""The same, or one that is disconnected, where none is live."""
DATA_KEYS_OF_STUDIO = f"({many(DATA_KEYS)})"
STORED = columns(
    StoredConnection,
    "c",
    expires_in="extract(epoch FROM c.token_expires_at - now())",
    account_id="c.external_account_id",
    data_keys=DATA_KEYS_OF_STUDIO,
)

LIST_CONNECTIONS: Query[list[ConnectionFacts]] = Query(
    many(
        f"""
        SELECT {SHOWN} FROM platform_connection AS c
        WHERE {LIVE} AND (:connection::uuid IS NULL OR c.id = :connection) ORDER BY c.platform, c.id
        """
    ),
    list[ConnectionFacts],
)
FIND_CONNECTION: Query[ConnectionFacts | None] = Query(
    one(f"SELECT {SHOWN} FROM platform_connection AS c WHERE c.id = {CHOSEN} AND {LIVE}"), ConnectionFacts | None
)
FIND_CONNECTION_BY_ID: Query[ConnectionFacts | None] = Query(
    one(f"SELECT {SHOWN} FROM platform_connection AS c WHERE c.id = :id AND {LIVE}"), ConnectionFacts | None
)
FIND_STORED_CONNECTION: Query[StoredConnection | None] = Query(
    one(f"SELECT {STORED} FROM platform_connection AS c WHERE c.id = {CHOSEN} AND {LIVE}"), StoredConnection | None
)
LIST_CHOICES: Query[list[ConnectionChoice]] = Query(
    many(
        """
        SELECT c.id, c.external_account_name AS "accountName" FROM (
            SELECT c.*, rank() OVER (ORDER BY c.disconnected_at IS NOT NULL) AS rank FROM platform_connection AS c
            WHERE c.platform = :platform AND (:or_ended::boolean OR c.disconnected_at IS NULL)
        ) AS c
        WHERE c.rank = 1 ORDER BY c.id
        """
    ),
    list[ConnectionChoice],
)
"""What CHOSEN, or CHOSEN_OR_ENDED, has found no single one among."""
FIND_SCHEDULED_CONNECTION: Query[ScheduledConnection | None] = Query(
    one(
        f"""
        SELECT {STORED}, (
            SELECT coalesce(json_agg(s.stream), '[]') FROM sync_schedule AS s
            WHERE s.studio_id = c.studio_id AND s.connection_id = c.id
        ) AS streams
        FROM platform_connection AS c WHERE c.id = {CHOSEN} AND {LIVE}
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
    many(f"SELECT c.id, c.platform FROM platform_connection AS c WHERE {LIVE} ORDER BY c.platform, c.id"),
    list[LiveGrant],
)
"""The grants to be ended, whatever else their rows contain."""
FIND_STORED_BY_ID: Query[StoredConnection | None] = Query(
    one(f"SELECT {STORED} FROM platform_connection AS c WHERE c.id = :id AND {LIVE}"), StoredConnection | None
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
