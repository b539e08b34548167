"""API keys: found by their id through a door, before any studio is known."""

from datetime import datetime
from uuid import UUID

from chalicelib.data.query import Query, columns, many, returned
from chalicelib.data.rows import Row
from chalicelib.data.studios import NewId


class StoredApiKey(Row):
    id: UUID
    studio_id: UUID
    secret_hash: bytes
    scopes: list[str]
    expires_at: datetime | None
    revoked_at: datetime | None


class ApiKey(Row):
    """An API key as its owner sees it: everything but the secret."""

    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


FIND_API_KEY: Query[StoredApiKey | None] = Query("SELECT door.find_api_key(:id)", StoredApiKey | None)
LIST_API_KEYS: Query[list[ApiKey]] = Query(many(f"SELECT {columns(ApiKey)} FROM api_key ORDER BY id"), list[ApiKey])
INSERT_API_KEY: Query[None] = Query(
    """
    INSERT INTO api_key (id, studio_id, name, secret_hash, scopes, expires_at)
    VALUES (:id, :studio_id, :name, :secret_hash, :scopes, :expires_at)
    """
)
REVOKE_API_KEY: Query[NewId | None] = Query(
    returned("UPDATE api_key SET revoked_at = coalesce(revoked_at, now()) WHERE id = :id RETURNING id"), NewId | None
)
