"""Seals platform tokens: AES-256-GCM under the studio's data key, bound to the place where the ciphertext is stored."""

import os
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol
from uuid import UUID

import msgspec

from chalicelib import clock
from chalicelib.errors import DecryptionFailed, InvalidInput, SettingsError
from chalicelib.secret import Secret
from chalicelib.security.key_cache import KeyCache
from chalicelib.security.key_providers import KeyProvider, provider_from_settings
from chalicelib.settings import get_settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAX_SECRET_BYTES = 16 * 1024

# Sealed: version 1 | data key id 16 | nonce 12 | ciphertext and tag 16. The tag covers all of it and the data.
_VERSION = 1
_HEADER_BYTES = 1 + 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32


class AssociatedData(NamedTuple):
    """Where a sealed value is stored; it cannot be opened elsewhere. `generation` counts the value's replacements."""

    studio_id: UUID
    table: str
    column: str
    row_id: UUID
    generation: int

    def encoded(self) -> bytes:
        """Unique bytes: fixed widths, and the length of each name. Changing them makes all sealed values unreadable."""
        table, column = self.table.encode(), self.column.encode()
        sizes = struct.pack(">qHH", self.generation, len(table), len(column))
        return b"".join((self.studio_id.bytes, self.row_id.bytes, sizes, table, column))


class StoredKey(Protocol):
    """A data key as stored: wrapped, for one studio only."""

    @property
    def id(self) -> UUID: ...

    @property
    def wrapped(self) -> bytes: ...


class WrappedKey(msgspec.Struct, frozen=True):
    """A data key, and the studio for which it is unwrapped."""

    id: UUID
    studio_id: UUID
    wrapped: bytes

    def __repr__(self) -> str:
        return f"WrappedKey({self.id})"


class Vault:
    """Seals and opens tokens. A data key stays unwrapped for `cache_seconds`, even after it was destroyed."""

    def __init__(
        self,
        provider: KeyProvider,
        *,
        cache_seconds: float = 300,
        cache_size: int = 1000,
        monotonic: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._provider = provider
        self._ciphers: KeyCache[WrappedKey, AESGCM] = KeyCache(
            self._unwrap_cipher, seconds=cache_seconds, size=cache_size, clock=monotonic
        )

    @property
    def provider_name(self) -> str:
        return self._provider.name

    @property
    def wrapped_under(self) -> list[str]:
        """The KMS keys that can each unwrap new and re-wrapped keys, sorted independently of the settings."""
        return sorted(self._provider.key_names)

    def __repr__(self) -> str:
        return f"Vault({self._provider.name})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault must not leave the process")

    def new_key(self, studio_id: UUID) -> bytes:
        """A fresh 256-bit data key, wrapped; the caller stores it under an id."""
        return self._provider.wrap(os.urandom(_KEY_BYTES), studio_id)

    def rewrap(self, key: StoredKey, studio_id: UUID) -> bytes:
        """The same data key under the provider's current wrapping keys; values it sealed stay readable.

        Each of them has unwrapped it before this returns; a key that can only wrap would otherwise go unnoticed.
        """
        data_key = self._provider.unwrap(key.wrapped, studio_id)
        wrapped = self._provider.wrap(data_key, studio_id)
        if any(opened != data_key for opened in self._provider.unwrap_with_each(wrapped, studio_id)):
            raise SettingsError(f"data key {key.id} was unwrapped to a different key")
        return wrapped

    def seal(
        self, secret: Secret, keys: Sequence[StoredKey], data: AssociatedData, *, max_bytes: int = MAX_SECRET_BYTES
    ) -> bytes:
        """Seals under the studio's current data key: the first of `keys`.

        Raises InvalidInput for a secret that is empty, too long or not text.
        """
        if not keys:
            raise DecryptionFailed(internal=f"studio {data.studio_id} has no data key")
        plaintext = _plaintext(secret, max_bytes)
        header = struct.pack("B", _VERSION) + keys[0].id.bytes
        nonce = os.urandom(_NONCE_BYTES)
        return header + nonce + self._cipher(keys[0], data).encrypt(nonce, plaintext, header + data.encoded())

    def open(self, sealed: bytes, keys: Sequence[StoredKey], data: AssociatedData) -> Secret:
        """Raises DecryptionFailed unless these are exactly the bytes sealed with one of these keys for this data."""
        from cryptography.exceptions import InvalidTag

        key_id = self.data_key_id(sealed)
        key = next((key for key in keys if key.id == key_id), None)
        if key is None:
            raise DecryptionFailed(
                internal=f"{data.table}.{data.column} of {data.row_id} names the unknown data key {key_id}"
            )
        header, nonce = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        ciphertext = sealed[_HEADER_BYTES + _NONCE_BYTES :]
        try:
            plaintext = self._cipher(key, data).decrypt(nonce, ciphertext, header + data.encoded())
        except InvalidTag as error:
            raise DecryptionFailed(internal=f"a value sealed with data key {key_id} cannot be opened here") from error
        return Secret(plaintext.decode())

    @staticmethod
    def data_key_id(sealed: bytes) -> UUID:
        """The id of the data key according to the header; only `open` verifies it."""
        if len(sealed) <= _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES:
            raise DecryptionFailed(internal="a sealed value is too short")
        if sealed[0] != _VERSION:
            raise DecryptionFailed(internal=f"a sealed value has the unknown version {sealed[0]}")
        return UUID(bytes=sealed[1:_HEADER_BYTES])

    def _cipher(self, key: StoredKey, data: AssociatedData) -> "AESGCM":
        return self._ciphers.get(WrappedKey(key.id, data.studio_id, key.wrapped))

    def _unwrap_cipher(self, key: WrappedKey) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        data_key = self._provider.unwrap(key.wrapped, key.studio_id)
        if len(data_key) != _KEY_BYTES:
            raise DecryptionFailed(internal=f"data key {key.id} is not 256 bits long")
        return AESGCM(data_key)


@cache
def vault() -> Vault:
    """The process's vault, built from its settings."""
    return Vault(provider_from_settings(get_settings()))


def _plaintext(secret: Secret, max_bytes: int) -> bytes:
    # surrogatepass, then a check: a UnicodeEncodeError would contain the secret itself
    plaintext = secret.reveal().encode("utf-8", "surrogatepass")
    if not plaintext:
        raise InvalidInput("A token must not be empty")
    if len(plaintext) > max_bytes:
        raise InvalidInput(f"A token must have at most {max_bytes} bytes")
    if plaintext.decode("utf-8", "ignore").encode() != plaintext:
        raise InvalidInput("A token must be valid text")
    return plaintext
