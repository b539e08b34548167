"""A second, plain key provider with which the vault's tests count and observe calls."""

import os
from threading import Lock
from uuid import UUID, uuid4

from chalicelib.errors import DecryptionFailed, Unavailable
from chalicelib.security.vault import AssociatedData, Vault, WrappedKey

CANARY = "ya29.canary-token"
STUDIO = UUID(int=1)
PLACE = AssociatedData(STUDIO, "platform_connection", "access_token", UUID(int=3), 7)


def new_key(vault: Vault, studio_id: UUID = STUDIO) -> WrappedKey:
    return WrappedKey(uuid4(), studio_id, vault.new_key(studio_id))


class Keyring:
    name = "keyring"
    key_names: tuple[str, ...] = ("keyring",)

    def __init__(self) -> None:
        self.keys: dict[bytes, tuple[bytes, UUID]] = {}
        self.unwrapped: list[bytes] = []
        self.broken = False
        self.unwraps_as: bytes | None = None
        """Returned instead of the key that was just wrapped"""
        self._lock = Lock()

    def wrap(self, plaintext_key: bytes, studio_id: UUID) -> bytes:
        wrapped = os.urandom(16)
        self.keys[wrapped] = plaintext_key, studio_id
        return wrapped

    def unwrap_with_each(self, wrapped: bytes, studio_id: UUID) -> list[bytes]:
        return [self.unwraps_as or self.unwrap(wrapped, studio_id)]

    def unwrap(self, wrapped: bytes, studio_id: UUID) -> bytes:
        with self._lock:
            self.unwrapped.append(wrapped)
        if self.broken:
            raise Unavailable(internal="the keyring is away")
        plaintext_key, owner = self.keys[wrapped]
        if owner != studio_id:
            raise DecryptionFailed(internal="another studio's")
        return plaintext_key
