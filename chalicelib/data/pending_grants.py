"""Pending grants: the sealed result of a callback, until the studio that asked completes it or it is revoked."""

from uuid import UUID

from chalicelib.data.connections import DATA_KEYS_OF_STUDIO, WORKING, LiveGrant
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.postgres.query import Query, array_of, columns, many, one, returned
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.data.studios import NewId

TABLE = "pending_grant"


class HeldUntil(Row):
    expires_at: Moment


class StoredWarning(Row):
    code: str
    message: str


class StoredGrant(Row):
    """A pending grant with its sealed tokens and the wrapped data keys that open them."""

    id: UUID
    studio_id: UUID
    platform: str
    connection_id: UUID | None
    access_token: bytes
    refresh_token: bytes | None
    expires_in: float | None
    """The access token's remaining seconds at the time of reading, by the database's clock"""
    refresh_expires_in: float | None
    scopes: list[str] | None
    account_id: str | None
    account_name: str | None
    streams: list[str] | None
    warnings: list[StoredWarning]
    attempts: int
    beside_unidentified: bool
    """Whether the studio has a working connection on the platform whose account is unknown and may be the same"""
    data_keys: list[StoredDataKey]


class ExpiredGrant(Row):
    """A grant that was not completed; the claim postpones it long enough for a worker to revoke it."""

    grant_id: UUID
    studio_id: UUID


class Ended(Row):
    count: int


STORED = columns(
    StoredGrant,
    "p",
    expires_in="extract(epoch FROM p.token_expires_at - now())",
    refresh_expires_in="extract(epoch FROM p.refresh_token_expires_at - now())",
    account_id="p.external_account_id",
    account_name="p.external_account_name",
    warnings="p.warnings::json",
    beside_unidentified=(
        "EXISTS (SELECT FROM platform_connection AS c"
        f" WHERE c.platform = p.platform AND {WORKING} AND c.external_account_id IS NULL)"
    ),
    data_keys=DATA_KEYS_OF_STUDIO,
)
HOLD_GRANT: Query[HeldUntil | None] = Query(
    f"""
    WITH state AS (
        DELETE FROM oauth_state AS s WHERE s.id = :id
        RETURNING s.id, s.studio_id, s.platform, s.connection_id, s.streams
    ), held AS (
        INSERT INTO pending_grant (
            id, studio_id, platform, connection_id, streams, code_hash, access_token, refresh_token,
            token_expires_at, refresh_token_expires_at, scopes, external_account_id, external_account_name, warnings,
            expires_at, due_at
        )
        SELECT
            state.id, state.studio_id, state.platform, state.connection_id, state.streams, :code_hash, :access_token,
            :refresh_token,
            now() + make_interval(secs => :expires_in), now() + make_interval(secs => :refresh_expires_in),
            {array_of("scopes")}, :account_id, :account_name, :warnings,
            now() + make_interval(secs => :seconds), now() + make_interval(secs => :seconds)
        FROM state
        RETURNING expires_at
    )
    SELECT json_build_object('expiresAt', expires_at) FROM held
    """,
    HeldUntil | None,
)
"""Replaces the state by its grant. An erasure deletes the states before it looks for grants, so no grant is stored for
a studio that is being erased."""
FIND_GRANT_BY_CODE: Query[StoredGrant | None] = Query(
    one(
        f"""
        SELECT {STORED} FROM pending_grant AS p
        WHERE p.code_hash = :code_hash AND p.platform = :platform AND p.expires_at > now()
        """
    ),
    StoredGrant | None,
)
TAKE_GRANT: Query[NewId | None] = Query(
    returned(
        "DELETE FROM pending_grant AS p WHERE p.id = :id AND p.code_hash = :code_hash AND p.expires_at > now()"
        " RETURNING p.id"
    ),
    NewId | None,
)
"""Single use: of two concurrent completions the second finds nothing, and so does one that comes after the claim."""
FIND_EXPIRED_GRANT: Query[StoredGrant | None] = Query(
    one(f"SELECT {STORED} FROM pending_grant AS p WHERE p.id = :id AND p.code_hash IS NULL"), StoredGrant | None
)
"""For a worker that the tick started; returns nothing once it is done."""
LIST_PENDING_GRANTS: Query[list[LiveGrant]] = Query(
    many("SELECT p.id, p.platform, true AS pending FROM pending_grant AS p ORDER BY p.id"), list[LiveGrant]
)
FIND_PENDING_GRANT: Query[StoredGrant | None] = Query(
    one(f"SELECT {STORED} FROM pending_grant AS p WHERE p.id = :id"), StoredGrant | None
)
DELETE_PENDING_GRANT: Query[NewId | None] = Query(
    returned("DELETE FROM pending_grant AS p WHERE p.id = :id RETURNING p.id"), NewId | None
)
CLAIM_EXPIRED_GRANTS: Query[list[ExpiredGrant]] = Query(
    "SELECT cross_tenant.claim_expired_grants(:batch)", list[ExpiredGrant]
)
END_ACCOUNT_GRANTS: Query[Ended] = Query("SELECT cross_tenant.end_account_grants(:platform, :account_id, :at)", Ended)
"""Deletes the pending grants of an account whose platform reports that it revoked them, if they are not newer."""
