"""Platform tokens: sealed on the way into the database, opened only in the process that calls the platform."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from chalicelib.data.connections import StoredConnection
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.pending_grants import TABLE as PENDING
from chalicelib.data.pending_grants import StoredGrant
from chalicelib.errors import TokenRevoked
from chalicelib.secret import Secret
from chalicelib.security.vault import AssociatedData, vault

TABLE = "platform_connection"


class Tokens(msgspec.Struct, frozen=True):
    """A grant's tokens in the clear. The access token expires `expires_in` seconds after it is stored, or else at
    `expires_at`."""

    access: Secret
    refresh: Secret | None
    expires_at: datetime | None
    scopes: list[str] | None
    expires_in: int | None = None
    refresh_expires_in: int | None = None
    """Lifetime of a new refresh token, in seconds"""


class SealedTokens(msgspec.Struct, frozen=True):
    access: bytes
    refresh: bytes | None


def seal_tokens(
    tokens: Tokens, data_keys: list[StoredDataKey], *, studio_id: UUID, connection_id: UUID, generation: int
) -> SealedTokens:
    """Seals both tokens for one row and generation, under the studio's current data key."""
    data = AssociatedData(studio_id, TABLE, "access_token", connection_id, generation)
    return _seal_both(data, tokens.access, tokens.refresh, data_keys)


def seal_grant(
    access: Secret, refresh: Secret | None, data_keys: Sequence[StoredDataKey], *, studio_id: UUID, grant_id: UUID
) -> SealedTokens:
    """Seals the tokens of a pending grant, which are never replaced."""
    return _seal_both(AssociatedData(studio_id, PENDING, "access_token", grant_id, 1), access, refresh, data_keys)


def open_grant(stored: StoredGrant) -> Tokens:
    """Raises DecryptionFailed if a token cannot be decrypted in its place."""
    data = AssociatedData(stored.studio_id, PENDING, "access_token", stored.id, 1)
    refresh = data._replace(column="refresh_token")
    return Tokens(
        access=vault().open(stored.access_token, stored.data_keys, data),
        refresh=vault().open(stored.refresh_token, stored.data_keys, refresh) if stored.refresh_token else None,
        expires_at=None,
        scopes=stored.scopes,
        expires_in=_whole(stored.expires_in),
        refresh_expires_in=_whole(stored.refresh_expires_in),
    )


def open_tokens(stored: StoredConnection) -> Tokens:
    """Raises DecryptionFailed if a token cannot be decrypted in its place."""
    return Tokens(
        access=open_access_token(stored),
        refresh=open_refresh_token(stored),
        expires_at=stored.token_expires_at,
        scopes=stored.scopes,
    )


def open_access_token(stored: StoredConnection) -> Secret:
    if stored.access_token is None:
        raise TokenRevoked("The connection has no token")
    return _open(stored, "access_token", stored.access_token)


def open_refresh_token(stored: StoredConnection) -> Secret | None:
    return _open(stored, "refresh_token", stored.refresh_token) if stored.refresh_token else None


def _seal_both(
    data: AssociatedData, access: Secret, refresh: Secret | None, data_keys: Sequence[StoredDataKey]
) -> SealedTokens:
    return SealedTokens(
        access=vault().seal(access, data_keys, data),
        refresh=vault().seal(refresh, data_keys, data._replace(column="refresh_token")) if refresh else None,
    )


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def _open(stored: StoredConnection, column: str, sealed: bytes) -> Secret:
    data = AssociatedData(stored.studio_id, TABLE, column, stored.id, stored.token_generation)
    return vault().open(sealed, stored.data_keys, data)
