"""API keys: looked up by id through a cross-tenant function, before the studio is known."""

from datetime import datetime
from uuid import UUID

from chalicelib.data.audit import audited, returned_and_audited
from chalicelib.data.postgres.query import Query, array_of, columns, many, one
from chalicelib.data.postgres.rows import Row
from chalicelib.data.studios import NewId


class StoredApiKey(Row):
    id: UUID
    studio_id: UUID
    secret_hash: bytes
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None


class Charged(Row):
    """A token bucket after it was charged."""

    admitted: bool
    """Whether this request was admitted"""
    left: float
    """Requests it has capacity for now; if negative, the number that must be waited for"""


class ChargedApiKey(StoredApiKey):
    """A key and the state of its buckets. A wrong secret or a revoked key charges no bucket; they are then None."""

    key: Charged | None
    studio: Charged | None


class ApiKey(Row):
    """An API key as its owner sees it: everything except the secret."""

    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class LockedApiKey(ApiKey):
    """An API key that is locked against concurrent changes."""

    ended: bool


FIND_API_KEY: Query[StoredApiKey | None] = Query("SELECT cross_tenant.find_api_key(:id)", StoredApiKey | None)
CHARGE_API_KEY: Query[ChargedApiKey | None] = Query(
    "SELECT cross_tenant.charge_api_key(:id, :secret_hash, :calls, :key_rate, :key_burst, :studio_rate, :studio_burst)",
    ChargedApiKey | None,
)
"""Finds a key and charges one request, if there is capacity, and `calls` that were admitted before."""
LIST_API_KEYS: Query[list[ApiKey]] = Query(many(f"SELECT {columns(ApiKey)} FROM api_key ORDER BY id"), list[ApiKey])
WITH_SCOPES = "jsonb_build_object('scopes', to_jsonb(x.scopes))"

INSERT_API_KEY: Query[None] = Query(
    f"""
    WITH made AS (
        INSERT INTO api_key (id, studio_id, name, secret_hash, scopes, expires_at)
        VALUES (:id, :studio_id, :name, :secret_hash, {array_of("scopes")}, :expires_at)
        RETURNING studio_id, id, scopes
    ), {
        audited(
            "made",
            action="api_key.create",
            subject="api_key",
            detail=WITH_SCOPES,
        )
    }
    SELECT FROM made
    """
)
REVOKE_API_KEY: Query[NewId | None] = Query(
    returned_and_audited(
        "UPDATE api_key AS k SET revoked_at = coalesce(k.revoked_at, now()) WHERE k.id = :id",
        "k.studio_id, k.id",
        "k.id",
        action="api_key.revoke",
        subject="api_key",
        detail="'{}'::jsonb",
    ),
    NewId | None,
)
LOCK_API_KEY: Query[LockedApiKey | None] = Query(
    one(
        f"""
        SELECT {columns(LockedApiKey, ended="revoked_at IS NOT NULL OR expires_at <= now() IS TRUE")}
        FROM api_key WHERE id = :id FOR UPDATE
        """
    ),
    LockedApiKey | None,
)
END_API_KEY: Query[ApiKey | None] = Query(
    returned_and_audited(
        """
        UPDATE api_key AS k SET expires_at = least(k.expires_at, now() + make_interval(hours => :hours))
        WHERE k.id = :id
        """,
        "k.studio_id, k.id",
        columns(ApiKey, "k"),
        action="api_key.end",
        subject="api_key",
        detail="'{}'::jsonb",
    ),
    ApiKey | None,
)
"""Expires a locked key in this many hours, unless it expires earlier. `least` ignores NULL."""
