"""OAuth states: consents that were asked for. A browser brings one back before its studio is known:
a cross-tenant function finds it."""

from uuid import UUID

from chalicelib.data.connections import DATA_KEYS_OF_STUDIO
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.postgres.query import Query, array_of, one
from chalicelib.data.postgres.rows import Moment, Row


class StateDraft(Row):
    """What is needed to seal a verifier (the id its row will have, and the data keys), and to know what to ask for."""

    id: UUID
    data_keys: list[StoredDataKey]
    streams: list[str]
    """Those of the platform that the studio syncs already"""


class NewState(Row):
    expires_at: Moment | None
    """None where the studio has as many open as it may"""
    room_seconds: float | None
    """Then, until the first of them ends"""


class TakenState(Row):
    """What the studio asked for, and the sealed PKCE verifier."""

    id: UUID
    studio_id: UUID
    verifier: bytes | None
    streams: list[str] | None
    return_to: str | None


DRAFT_OAUTH_STATE: Query[StateDraft] = Query(
    one(
        f"""
        SELECT uuidv7() AS id, {DATA_KEYS_OF_STUDIO} AS "dataKeys", (
            SELECT coalesce(json_agg(s.stream), '[]') FROM sync_schedule AS s WHERE s.platform = :platform
        ) AS streams
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
        INSERT INTO oauth_state (id, studio_id, platform, state_hash, verifier, streams, return_to, expires_at)
        SELECT :id, :studio_id, :platform, :state_hash, :verifier, {array_of("streams")}, :return_to,
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
"""Also forgets those of the studio that were not, or no longer can be, used; not one whose grant is on its way.

Requests at the same moment may each find room for one more.
"""
TAKE_OAUTH_STATE: Query[TakenState | None] = Query(
    "SELECT cross_tenant.take_oauth_state(:state_hash, :platform)", TakenState | None
)
"""Single use: who asks second finds nothing, as for a state that is unknown, has expired or is another platform's."""
