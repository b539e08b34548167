"""The AWS Encryption SDK. Importing this takes about 50 ms; only wrapping and unwrapping data keys need it."""

import logging
import struct
from functools import cache
from typing import Any

from cryptography.exceptions import InvalidTag

from chalicelib.errors import AppError, DecryptionFailed, SettingsError
from chalicelib.security.package_exports import postpone_exports
from chalicelib.security.wrapping import MAX_WRAPPING_KEYS

# The SDK's `__init__` imports boto3, which nothing here needs: another 100 ms.
postpone_exports("aws_encryption_sdk")

from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import AlgorithmSuite, CommitmentPolicy, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.internal.utils.signature import SignaturePolicy
from aws_encryption_sdk.key_providers.raw import RawMasterKey
from aws_encryption_sdk.streaming_client import StreamDecryptor, StreamEncryptor

from chalicelib.security.kms_keys import KmsKeys

SUITE = AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
_RULES: dict[str, Any] = {
    "commitment_policy": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    "max_encrypted_data_keys": MAX_WRAPPING_KEYS,
    "signature_policy": SignaturePolicy.ALLOW_ENCRYPT_ALLOW_DECRYPT,
}
"""What the SDK's client, which is one of its exports, passes to its streams."""

logging.getLogger("aws_encryption_sdk").setLevel(logging.ERROR)  # it logs every use of a key at INFO


@cache
def kms_keys(key_ids: tuple[str, ...]) -> KmsKeys:
    """The provider for these key ARNs."""
    keys = KmsKeys()
    keys.add_master_keys_from_list(key_ids)
    return keys


def raw_key(key: bytes) -> Any:
    """The SDK's provider for one 256-bit AES key of our own."""
    wrapping_key = WrappingKey(WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING, key, EncryptionKeyType.SYMMETRIC)
    return RawMasterKey(provider_id="ansel", key_id="ENCRYPTION_KEY", wrapping_key=wrapping_key)


def encrypt(plaintext: bytes, context: dict[str, str], keys: Any) -> bytes:
    """One SDK message. Raises Unavailable, or SettingsError if the keys cannot be used at all."""
    try:
        with StreamEncryptor(
            source=plaintext, key_provider=keys, encryption_context=context, algorithm=SUITE, **_RULES
        ) as encryptor:
            message = encryptor.read()
    except AWSEncryptionSDKClientError as error:
        raise SettingsError(f"a data key cannot be wrapped: {type(error).__name__}") from error
    return bytes(message)


def decrypt(message: bytes, context: dict[str, str], keys: Any) -> bytes:
    """Opens one SDK message with exactly this context. Raises DecryptionFailed, Unavailable or SettingsError."""
    try:
        plaintext, header = _read(StreamDecryptor(source=message, key_provider=keys, **_RULES))
    except AppError:
        raise
    # The SDK's parsers raise these for a damaged header, in addition to its own errors.
    except (AWSEncryptionSDKClientError, InvalidTag, struct.error, ValueError, LookupError, EOFError) as error:
        raise DecryptionFailed(internal=f"a wrapped data key cannot be unwrapped: {type(error).__name__}") from error
    # This also refuses signing suites, which add their public key to the context.
    if header.encryption_context != context:
        raise DecryptionFailed(internal="a wrapped data key was created for another studio or purpose")
    return bytes(plaintext)


def _read(decryptor: Any) -> tuple[bytes, Any]:
    try:
        return decryptor.read(), decryptor.header
    finally:
        # Without a footer, closing it fails, and from Python 3.13 on its finalizer prints that to stderr.
        decryptor.footer = None
        decryptor.close()
