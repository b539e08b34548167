"""Key providers that wrap data keys: KMS, or in the `local` stage one key from the environment."""

import re
from typing import Protocol
from uuid import UUID

from chalicelib.errors import AppError, DecryptionFailed, SettingsError, Unavailable
from chalicelib.secret import Secret
from chalicelib.security.wrapping import MAX_WRAPPING_KEYS
from chalicelib.settings import Settings


class KeyProvider(Protocol):
    """Wraps a studio's data key in an AWS Encryption SDK message that is bound to the studio.

    Both raise Unavailable if a later attempt may succeed and SettingsError if the keys may not be used; `unwrap`
    raises DecryptionFailed for a message that is damaged, another studio's, or under a key that is not listed.
    """

    @property
    def name(self) -> str: ...

    @property
    def key_names(self) -> tuple[str, ...]:
        """The keys it wraps under; each of them can unwrap alone."""

    def wrap(self, plaintext_key: bytes, studio_id: UUID) -> bytes: ...

    def unwrap(self, wrapped: bytes, studio_id: UUID) -> bytes: ...

    def unwrap_with_each(self, wrapped: bytes, studio_id: UUID) -> list[bytes]:
        """The result of each of its keys; raises if one of them fails."""


class KmsKeyProvider:
    """Wraps under every given KMS key, so that each alone (another Region's, for example) can unwrap."""

    name = "kms"

    def __init__(self, key_ids: tuple[str, ...]) -> None:
        if not key_ids:
            raise SettingsError("KMS_KEY_IDS is not set")
        if len(key_ids) > MAX_WRAPPING_KEYS:
            raise SettingsError(f"KMS_KEY_IDS names more than {MAX_WRAPPING_KEYS} keys")
        self._key_ids = key_ids

    @property
    def key_names(self) -> tuple[str, ...]:
        return self._key_ids

    def wrap(self, plaintext_key: bytes, studio_id: UUID) -> bytes:
        """Fails if any key fails: otherwise it would only be noticed in an emergency that one Region cannot unwrap."""
        from chalicelib.security import encryption_sdk

        return encryption_sdk.encrypt(plaintext_key, _context(studio_id), encryption_sdk.kms_keys(self._key_ids))

    def unwrap(self, wrapped: bytes, studio_id: UUID) -> bytes:
        """Tries one key after another: the SDK itself would not try the next Region after a timeout."""
        failures: list[AppError] = []
        for key_id in self._key_ids:
            try:
                return _unwrap_with(key_id, wrapped, studio_id)
            except (Unavailable, SettingsError, DecryptionFailed) as error:
                failures.append(error)
        raise min(failures, key=_hope)

    def unwrap_with_each(self, wrapped: bytes, studio_id: UUID) -> list[bytes]:
        return [_unwrap_with(key_id, wrapped, studio_id) for key_id in self._key_ids]


class RawKeyProvider:
    """Wraps under ENCRYPTION_KEY, 64 hexadecimal characters. `provider_from_settings` allows it only in `local`."""

    name = "raw"
    key_names = ("ENCRYPTION_KEY",)

    def __init__(self, key: Secret) -> None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", key.reveal()):
            raise SettingsError("ENCRYPTION_KEY must be 64 hexadecimal characters")
        self._key = key

    def wrap(self, plaintext_key: bytes, studio_id: UUID) -> bytes:
        from chalicelib.security import encryption_sdk

        return encryption_sdk.encrypt(plaintext_key, _context(studio_id), encryption_sdk.raw_key(self._key_bytes()))

    def unwrap(self, wrapped: bytes, studio_id: UUID) -> bytes:
        from chalicelib.security import encryption_sdk

        return encryption_sdk.decrypt(wrapped, _context(studio_id), encryption_sdk.raw_key(self._key_bytes()))

    def unwrap_with_each(self, wrapped: bytes, studio_id: UUID) -> list[bytes]:
        return [self.unwrap(wrapped, studio_id)]

    def _key_bytes(self) -> bytes:
        return bytes.fromhex(self._key.reveal())


def provider_from_settings(settings: Settings) -> KeyProvider:
    """Raises SettingsError rather than wrapping with less than the stage requires."""
    if settings.encryption_key is None:
        return KmsKeyProvider(settings.kms_key_ids)
    if settings.stage != "local":
        raise SettingsError(f"ENCRYPTION_KEY is for the local stage only, this is {settings.stage}")
    if settings.kms_key_ids:
        raise SettingsError("ENCRYPTION_KEY and KMS_KEY_IDS are mutually exclusive")
    return RawKeyProvider(settings.encryption_key)


def _unwrap_with(key_id: str, wrapped: bytes, studio_id: UUID) -> bytes:
    from chalicelib.security import encryption_sdk

    return encryption_sdk.decrypt(wrapped, _context(studio_id), encryption_sdk.kms_keys((key_id,)))


def _context(studio_id: UUID) -> dict[str, str]:
    return {"studio": str(studio_id), "purpose": "data-key"}


def _hope(error: AppError) -> int:
    """The most recoverable failure counts: a throttled key may unwrap what another key cannot."""
    return (Unavailable, SettingsError, DecryptionFailed).index(type(error))
