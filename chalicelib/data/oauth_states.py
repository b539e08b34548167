"""OAuth states: authorizations in progress. A browser brings one back before its studio is known, so a cross-tenant
function looks it up."""

from uuid import UUID

from chalicelib.data.connections import DATA_KEYS_OF_STUDIO
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.postgres.query import Query, array_of, one
from chalicelib.data.postgres.rows import Moment, Row


class StateDraft(Row):
    """What is needed to seal a verifier (the id its row will have, and the data keys), and to choose the scopes."""

    id: UUID
    data_keys: list[StoredDataKey]
    streams: list[str]
    """The platform's streams that the studio already syncs"""
    connection_exists: bool
    """Whether there is the connection that the studio named"""


class NewState(Row):
    expires_at: Moment | None
    """None if the studio has reached its maximum of open states"""
    room_seconds: float | None
    """In that case, the time until the first of them expires"""


class TakenState(Row):
    """The studio's request, and the sealed PKCE verifier."""

    id: UUID
    studio_id: UUID
    verifier: bytes | None
    connection_id: UUID | None
    """The one that the studio wants to reconnect"""
    account_id: str | None
    """Its account, where that is known"""
    streams: list[str] | None
    return_to: str | None


DRAFT_OAUTH_STATE: Query[StateDraft] = Query(
    one(
        f"""
        SELECT uuidv7() AS id, {DATA_KEYS_OF_STUDIO} AS "dataKeys", (
            SELECT coalesce(json_agg(s.stream), '[]') FROM sync_schedule AS s
            WHERE s.platform = :platform AND (:connection::uuid IS NULL OR s.connection_id = :connection)
        ) AS streams, EXISTS (
            SELECT FROM platform_connection AS c WHERE c.id = :connection AND c.platform = :platform
        ) AS "connectionExists"
        """
    ),
    StateDraft,
)
INSERT_OAUTH_STATE: Query[NewState] = Query(
    f"""
    WITH forgotten AS (
        DELETE FROM oauth_state
        WHERE expires_at <= now() AND (used_at IS NULL OR used_at <= now() - interval '10 minutes')
    ), open AS (
        SELECT count(*) AS count, min(expires_at) AS first_ends_at FROM oauth_state
        WHERE used_at IS NULL AND expires_at > now()
    ), made AS (
        INSERT INTO oauth_state (
            id, studio_id, platform, connection_id, state_hash, verifier, streams, return_to, expires_at
        )
        SELECT :id, :studio_id, :platform, :connection, :state_hash, :verifier, {array_of("streams")}, :return_to,
               now() + make_interval(secs => :seconds)
        FROM open WHERE open.count < :most
        RETURNING expires_at
    )
    SELECT json_build_object(
        'expiresAt', (SELECT expires_at FROM made),
        'roomSeconds', extract(epoch FROM open.first_ends_at - now())
    )
    FROM open
    """,
    NewState,
)
"""Also deletes the studio's states that expired unused, but not one whose grant is on its way.

Concurrent requests may each find capacity for one more.
"""
TAKE_OAUTH_STATE: Query[TakenState | None] = Query(
    "SELECT cross_tenant.take_oauth_state(:state_hash, :platform)", TakenState | None
)
"""Single use: a second caller finds nothing, as for a state that is unknown, has expired or is another platform's."""
