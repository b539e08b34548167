"""Connections: what the API shows of them, and the sealed rows that services work with."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from chalicelib.data.query import Query, columns, many, one, returned
from chalicelib.data.rows import Moment, Row
from chalicelib.data.studios import DATA_KEYS, NewId, StoredDataKey

ConnectionStatus = Literal["active", "expired", "revoked", "error", "disabled"]
Health = Literal["healthy", "degraded", "broken"]


class Problem(Row):
    """What went wrong last, and when."""

    code: str
    message: str
    at: Moment


class Connection(Row):
    """A connection as the API shows it; never a token."""

    id: UUID
    platform: str
    status: ConnectionStatus
    health: Health
    """broken: cannot sync; degraded: a stream fails, or the token runs out within a day and cannot be refreshed"""
    account_id: str | None
    account_name: str | None
    scopes: list[str] | None
    has_refresh_token: bool
    token_expires_at: Moment | None
    last_sync_at: Moment | None
    last_error: Problem | None
    created_at: Moment
    updated_at: Moment


class StoredConnection(Row):
    """A connection with its sealed tokens and the wrapped data keys that open them."""

    id: UUID
    studio_id: UUID
    platform: str
    status: str
    access_token: bytes | None
    refresh_token: bytes | None
    token_expires_at: datetime | None
    token_generation: int
    scopes: list[str] | None
    data_keys: list[StoredDataKey]


class Draft(Row):
    """What is needed to seal tokens for a platform: the row's id (old or new), its state, and the data keys."""

    id: UUID
    status: str | None
    token_generation: int
    data_keys: list[StoredDataKey]


HEALTH = """
    CASE
        WHEN c.status <> 'active' OR (c.token_expires_at <= now() AND c.refresh_token IS NULL) THEN 'broken'
        WHEN (c.token_expires_at <= now() + interval '1 day' AND c.refresh_token IS NULL) OR EXISTS (
            SELECT FROM sync_schedule AS s
            WHERE s.studio_id = c.studio_id AND s.connection_id = c.id AND s.failures_in_row > 0
        ) THEN 'degraded'
        ELSE 'healthy'
    END
"""
PROBLEM = """
    CASE WHEN c.last_error_code IS NOT NULL THEN
        json_build_object('code', c.last_error_code, 'message', c.last_error_message, 'at', c.last_error_at)
    END
"""
SHOWN = columns(
    Connection,
    "c",
    health=HEALTH,
    account_id="c.external_account_id",
    account_name="c.external_account_name",
    has_refresh_token="c.refresh_token IS NOT NULL",  # noqa: S106  SQL
    last_error=PROBLEM,
)
LIVE = "c.disconnected_at IS NULL"
DATA_KEYS_OF_STUDIO = f"({many(DATA_KEYS)})"
STORED = columns(StoredConnection, "c", data_keys=DATA_KEYS_OF_STUDIO)

LIST_CONNECTIONS: Query[list[Connection]] = Query(
    many(f"SELECT {SHOWN} FROM platform_connection AS c WHERE {LIVE} ORDER BY c.platform"), list[Connection]
)
FIND_CONNECTION: Query[Connection | None] = Query(
    one(f"SELECT {SHOWN} FROM platform_connection AS c WHERE c.platform = :platform AND {LIVE}"), Connection | None
)
FIND_STORED_CONNECTION: Query[StoredConnection | None] = Query(
    one(f"SELECT {STORED} FROM platform_connection AS c WHERE c.platform = :platform AND {LIVE}"),
    StoredConnection | None,
)
DRAFT_CONNECTION: Query[Draft] = Query(
    one(
        f"""
        SELECT coalesce(c.id, uuidv7()) AS id, c.status, coalesce(c.token_generation, 0) AS "tokenGeneration",
               {DATA_KEYS_OF_STUDIO} AS "dataKeys"
        FROM (SELECT) AS nothing LEFT JOIN platform_connection AS c ON c.platform = :platform
        """
    ),
    Draft,
)

INSERT_CONNECTION: Query[NewId | None] = Query(
    returned(
        """
        INSERT INTO platform_connection AS c (
            id, studio_id, platform, access_token, refresh_token, token_expires_at, token_generation, scopes
        )
        VALUES (
            :id, :studio_id, :platform, :access_token, :refresh_token, :token_expires_at, :token_generation, :scopes
        )
        ON CONFLICT (studio_id, platform) DO UPDATE SET
            status = 'active', access_token = excluded.access_token, refresh_token = excluded.refresh_token,
            token_expires_at = excluded.token_expires_at, token_generation = excluded.token_generation,
            scopes = excluded.scopes, external_account_id = NULL, external_account_name = NULL,
            last_error_code = NULL, last_error_message = NULL, last_error_at = NULL,
            revocation = NULL, disconnected_at = NULL, updated_at = now()
        WHERE c.status = 'disabled' AND c.id = excluded.id AND c.token_generation = excluded.token_generation - 1
        RETURNING c.id
        """
    ),
    NewId | None,
)
"""Inserts, or revives a disconnected row. Nothing comes back when a live one was there first."""

REPLACE_TOKENS: Query[NewId | None] = Query(
    """
    WITH replaced AS (
        UPDATE platform_connection AS c SET
            status = 'active', access_token = :access_token, refresh_token = :refresh_token,
            token_expires_at = :token_expires_at, token_generation = c.token_generation + 1, scopes = :scopes,
            last_error_code = NULL, last_error_message = NULL, last_error_at = NULL,
            refresh_owner = NULL, refresh_lease_expires_at = NULL, updated_at = now()
        WHERE c.id = :id AND c.token_generation = :token_generation AND c.disconnected_at IS NULL
        RETURNING c.studio_id, c.id
    ), resumed AS (
        UPDATE sync_schedule AS s SET
            paused_at = CASE WHEN s.paused_by = 'studio' THEN s.paused_at END,
            paused_by = CASE WHEN s.paused_by = 'studio' THEN s.paused_by END,
            failures_in_row = CASE WHEN s.paused_by = 'studio' THEN s.failures_in_row ELSE 0 END
        FROM replaced AS c
        WHERE s.studio_id = c.studio_id AND s.connection_id = c.id AND s.paused_at IS NOT NULL
    )
    SELECT json_build_object('id', id) FROM replaced
    """,
    NewId | None,
)
"""Compare-and-swap on the generation the new tokens were made from; a connection that had broken syncs again.

What the studio itself paused stays so. It is touched all the same: a resume just now may have made the pause the
connection's, which the statement's snapshot does not show.
"""

LEASE_REFRESH: Query[NewId | None] = Query(
    returned(
        """
        UPDATE platform_connection AS c SET
            refresh_owner = :owner, refresh_lease_expires_at = now() + make_interval(secs => :lease_seconds)
        WHERE c.id = :id AND c.token_generation = :token_generation AND c.status = 'active'
          AND (c.refresh_lease_expires_at IS NULL OR c.refresh_lease_expires_at < now())
        RETURNING c.id
        """
    ),
    NewId | None,
)
RELEASE_REFRESH: Query[None] = Query(
    """
    UPDATE platform_connection SET refresh_owner = NULL, refresh_lease_expires_at = NULL
    WHERE id = :id AND refresh_owner = :owner
    """
)

IDENTIFY_CONNECTION: Query[None] = Query(
    """
    WITH before AS (
        SELECT c.studio_id, c.id, c.external_account_id <> :account_id AS is_another
        FROM platform_connection AS c WHERE c.id = :id
    ), reset AS (
        UPDATE sync_schedule AS s SET cursor = NULL
        FROM before WHERE before.is_another AND s.studio_id = before.studio_id AND s.connection_id = before.id
    )
    UPDATE platform_connection SET
        external_account_id = :account_id, external_account_name = :account_name,
        scopes = coalesce(:scopes, scopes), updated_at = now()
    WHERE id = :id AND disconnected_at IS NULL
    """
)
"""Remembers who is connected. Where one account's sync ended means nothing in another's."""
BREAK_CONNECTION: Query[None] = Query(
    """
    WITH broken AS (
        UPDATE platform_connection SET
            status = :status, last_error_code = :code, last_error_message = :message, last_error_at = now(),
            updated_at = now()
        WHERE id = :id AND token_generation = :token_generation AND status = 'active'
        RETURNING studio_id, id
    )
    UPDATE sync_schedule AS s SET
        paused_at = coalesce(s.paused_at, now()),
        paused_by = CASE WHEN s.paused_at IS NULL THEN 'connection' ELSE s.paused_by END
    FROM broken WHERE s.studio_id = broken.studio_id AND s.connection_id = broken.id
    """
)
"""Marks a grant that died and pauses its schedules, unless its tokens were replaced meanwhile.

The paused ones are touched as well, and stay as they are unless a resume came first that the snapshot does not show.
"""

DISCONNECT: Query[None] = Query(
    """
    WITH gone AS (
        UPDATE platform_connection SET
            status = 'disabled', access_token = NULL, refresh_token = NULL, token_expires_at = NULL,
            token_generation = token_generation + 1, refresh_owner = NULL, refresh_lease_expires_at = NULL,
            revocation = :revocation, disconnected_at = now(), updated_at = now()
        WHERE id = :id AND disconnected_at IS NULL
        RETURNING studio_id, id
    ), stopped AS (
        UPDATE sync_log AS r SET
            status = 'cancelled', finished_at = now(), lease_owner = NULL, lease_expires_at = NULL,
            error_code = 'disconnected', error_message = 'The platform was disconnected'
        FROM gone
        WHERE r.studio_id = gone.studio_id AND r.connection_id = gone.id
          AND r.status IN ('queued', 'running', 'deferred')
        RETURNING r.id
    ), forgotten AS (
        DELETE FROM sync_seen AS seen USING stopped WHERE seen.run_id = stopped.id
    )
    DELETE FROM sync_schedule AS s USING gone
    WHERE s.studio_id = gone.studio_id AND s.connection_id = gone.id
    """
)
