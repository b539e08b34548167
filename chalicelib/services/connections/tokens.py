"""Platform tokens: sealed on the way into the database, opened only in the process that calls the platform."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from uuid import UUID

import msgspec

from chalicelib.data.connections import StoredConnection
from chalicelib.data.data_keys import INSERT_DATA_KEY, StoredDataKey
from chalicelib.data.pending_grants import TABLE as PENDING
from chalicelib.data.pending_grants import StoredGrant
from chalicelib.data.postgres.database import Transaction
from chalicelib.errors import DecryptionFailed, TokenRevoked
from chalicelib.secret import Secret
from chalicelib.security.key_providers import provider_from_settings
from chalicelib.security.vault import MAX_SECRET_BYTES, AssociatedData, Vault, WrappedKey
from chalicelib.settings import get_settings

TABLE = "platform_connection"


class Tokens(msgspec.Struct, frozen=True):
    """A grant's tokens in the clear. When the access token ends is told by `expires_in` seconds from the moment it is
    stored, or else by `expires_at`."""

    access: Secret
    refresh: Secret | None
    expires_at: datetime | None
    scopes: list[str] | None
    expires_in: int | None = None
    refresh_expires_in: int | None = None
    """Seconds that a new refresh token lives"""


class SealedTokens(msgspec.Struct, frozen=True):
    access: bytes
    refresh: bytes | None


@cache
def vault() -> Vault:
    return Vault(provider_from_settings(get_settings()))


def new_data_key(studio_id: UUID) -> bytes:
    """A fresh data key, wrapped; KMS is asked, so it is made before the transaction that stores it."""
    return vault().new_key(studio_id)


def store_data_key(tx: Transaction, studio_id: UUID, wrapped: bytes) -> None:
    """Makes it the one that the studio seals with."""
    under = {"provider": vault().provider_name, "wrapped_under": vault().wrapped_under}
    tx.run(INSERT_DATA_KEY, studio_id=studio_id, wrapped=wrapped, **under)


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
    """Raises DecryptionFailed when a token does not open where it lies."""
    data = AssociatedData(stored.studio_id, PENDING, "access_token", stored.id, 1)
    refresh = data._replace(column="refresh_token")
    return Tokens(
        access=open_at(data, stored.access_token, stored.data_keys),
        refresh=open_at(refresh, stored.refresh_token, stored.data_keys) if stored.refresh_token else None,
        expires_at=None,
        scopes=stored.scopes,
        expires_in=_whole(stored.expires_in),
        refresh_expires_in=_whole(stored.refresh_expires_in),
    )


def open_tokens(stored: StoredConnection) -> Tokens:
    """Raises DecryptionFailed when a token does not open where it lies."""
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


def seal_at(
    data: AssociatedData, secret: Secret, data_keys: Sequence[StoredDataKey], *, max_bytes: int = MAX_SECRET_BYTES
) -> bytes:
    """Seals any secret of a studio for its data, under the current data key: the first."""
    if not data_keys:
        raise DecryptionFailed(internal=f"studio {data.studio_id} has no data key")
    return vault().seal(secret, wrapped_key(data_keys[0], data.studio_id), data, max_bytes=max_bytes)


def open_at(data: AssociatedData, sealed: bytes, data_keys: Sequence[StoredDataKey]) -> Secret:
    """Raises DecryptionFailed when it does not open there."""
    key_id = Vault.data_key_id(sealed)
    key = next((key for key in data_keys if key.id == key_id), None)
    if key is None:
        raise DecryptionFailed(
            internal=f"{data.table}.{data.column} of {data.row_id} names the unknown data key {key_id}"
        )
    return vault().open(sealed, wrapped_key(key, data.studio_id), data)


def _seal_both(
    data: AssociatedData, access: Secret, refresh: Secret | None, data_keys: Sequence[StoredDataKey]
) -> SealedTokens:
    return SealedTokens(
        access=seal_at(data, access, data_keys),
        refresh=seal_at(data._replace(column="refresh_token"), refresh, data_keys) if refresh else None,
    )


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)


def _open(stored: StoredConnection, column: str, sealed: bytes) -> Secret:
    return open_at(
        AssociatedData(stored.studio_id, TABLE, column, stored.id, stored.token_generation), sealed, stored.data_keys
    )


def wrapped_key(key: StoredDataKey, studio_id: UUID) -> WrappedKey:
    return WrappedKey(id=key.id, studio_id=studio_id, wrapped=key.wrapped)
