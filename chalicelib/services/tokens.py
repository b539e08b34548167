"""Platform tokens: sealed on the way into the database, opened only in the process that calls the platform."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from uuid import UUID

from chalicelib.data.connections import StoredConnection
from chalicelib.data.studios import StoredDataKey
from chalicelib.errors import SealBroken, TokenRevoked
from chalicelib.secret import Secret
from chalicelib.security.key_providers import provider_from_settings
from chalicelib.security.vault import Place, Vault, WrappedKey
from chalicelib.settings import get_settings

TABLE = "platform_connection"


@dataclass(frozen=True)
class Tokens:
    """A grant's tokens in the clear."""

    access: Secret
    refresh: Secret | None
    expires_at: datetime | None
    scopes: list[str] | None


@dataclass(frozen=True)
class SealedTokens:
    access: bytes
    refresh: bytes | None


@cache
def vault() -> Vault:
    return Vault(provider_from_settings(get_settings()))


def seal_tokens(
    tokens: Tokens, data_keys: list[StoredDataKey], *, studio_id: UUID, connection_id: UUID, generation: int
) -> SealedTokens:
    """Seals both tokens for one row and generation, under the studio's current data key."""
    if not data_keys:
        raise SealBroken(internal=f"studio {studio_id} has no data key")
    key = _wrapped(data_keys[0], studio_id)

    def sealed(secret: Secret, column: str) -> bytes:
        return vault().seal(secret, key, Place(studio_id, TABLE, column, connection_id, generation))

    return SealedTokens(
        access=sealed(tokens.access, "access_token"),
        refresh=sealed(tokens.refresh, "refresh_token") if tokens.refresh else None,
    )


def open_tokens(stored: StoredConnection) -> Tokens:
    """Raises SealBroken when a token does not open where it lies."""
    if stored.access_token is None:
        raise TokenRevoked("The connection has no token")
    return Tokens(
        access=_open(stored, "access_token", stored.access_token),
        refresh=_open(stored, "refresh_token", stored.refresh_token) if stored.refresh_token else None,
        expires_at=stored.token_expires_at,
        scopes=stored.scopes,
    )


def _open(stored: StoredConnection, column: str, sealed: bytes) -> Secret:
    key_id = Vault.data_key_id(sealed)
    key = next((key for key in stored.data_keys if key.id == key_id), None)
    if key is None:
        raise SealBroken(internal=f"{column} of connection {stored.id} names the unknown data key {key_id}")
    place = Place(stored.studio_id, TABLE, column, stored.id, stored.token_generation)
    return vault().open(sealed, _wrapped(key, stored.studio_id), place)


def _wrapped(key: StoredDataKey, studio_id: UUID) -> WrappedKey:
    return WrappedKey(id=key.id, studio_id=studio_id, wrapped=key.wrapped)
