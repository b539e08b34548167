"""The AWS Encryption SDK and KMS. Importing this takes about 180 ms; only wrapping and unwrapping data keys need it."""

import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import boto3
from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient, StrictAwsKmsMasterKeyProvider
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import AlgorithmSuite, EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.kms import KMSMasterKey
from aws_encryption_sdk.key_providers.raw import RawMasterKey
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from cryptography.exceptions import InvalidTag

from chalicelib import telemetry
from chalicelib.errors import AppError, DecryptionFailed, SettingsError, Unavailable
from chalicelib.security.wrapping import MAX_WRAPPING_KEYS

SUITE = AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY

# KMS's errors if a later attempt may succeed, and if the ciphertext does not belong to the key or the context:
# https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors and CommonErrors.
_TRANSIENT = {
    "DependencyTimeoutException",
    "KMSInternalException",
    "KeyUnavailableException",
    "LimitExceededException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "Throttling",
    "ThrottlingException",
}
_BROKEN = {"IncorrectKeyException", "InvalidCiphertextException"}

_sdk = EncryptionSDKClient(
    commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT, max_encrypted_data_keys=MAX_WRAPPING_KEYS
)
logging.getLogger("aws_encryption_sdk").setLevel(logging.ERROR)  # it logs every use of a key at INFO


_CLIENT_CONFIG = Config(connect_timeout=1, read_timeout=2, retries={"mode": "standard", "total_max_attempts": 3})
_making_client = Lock()  # a boto3 session is not thread-safe, its clients are


@cache
def _session() -> Any:
    return boto3.session.Session()


@cache
def kms_client(region: str) -> Any:
    """The KMS client of a Region, created once."""
    with _making_client:
        return _session().client("kms", region_name=region, config=_CLIENT_CONFIG)


@cache
def kms_keys(key_ids: tuple[str, ...]) -> "KmsKeys":
    """The SDK's strict provider for these key ARNs: the first generates, all wrap, each can unwrap."""
    regions = [key_id.split(":")[3] for key_id in key_ids]
    return KmsKeys(key_ids=list(key_ids), region_names=regions)


def raw_key(key: bytes) -> Any:
    """The SDK's provider for one 256-bit AES key of our own."""
    wrapping_key = WrappingKey(WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING, key, EncryptionKeyType.SYMMETRIC)
    return RawMasterKey(provider_id="ansel", key_id="ENCRYPTION_KEY", wrapping_key=wrapping_key)


def encrypt(plaintext: bytes, context: dict[str, str], keys: Any) -> bytes:
    """One SDK message. Raises Unavailable, or SettingsError if the keys cannot be used at all."""
    try:
        message, _ = _sdk.encrypt(source=plaintext, key_provider=keys, encryption_context=context, algorithm=SUITE)
    except AWSEncryptionSDKClientError as error:
        raise SettingsError(f"a data key cannot be wrapped: {type(error).__name__}") from error
    return bytes(message)


def decrypt(message: bytes, context: dict[str, str], keys: Any) -> bytes:
    """Opens one SDK message with exactly this context. Raises DecryptionFailed, Unavailable or SettingsError."""
    try:
        plaintext, header = _read(_sdk.stream(mode="decrypt", source=message, key_provider=keys))
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


@contextmanager
def _kms_call() -> Iterator[None]:
    """Counts a use of KMS and classifies a failure, because the SDK reduces them all to `Unable to decrypt any data
    key`."""
    failed = True
    try:
        yield
        failed = False
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise SettingsError(f"KMS cannot be called: {type(error).__name__}") from error
    except BotoCoreError as error:
        raise Unavailable(internal=f"KMS does not respond: {type(error).__name__}") from error
    except AWSEncryptionSDKClientError as error:
        if isinstance(error.__cause__, ClientError):
            raise _meaning(error.__cause__) from error.__cause__
        raise
    finally:
        telemetry.count("KmsCalls")
        telemetry.count("KmsErrors", failed)


def _meaning(error: ClientError) -> AppError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _BROKEN:
        return DecryptionFailed(internal=f"KMS refuses a wrapped data key: {code}")
    if code in _TRANSIENT or status == 429 or status >= 500:
        return Unavailable(internal=f"KMS is not available: {code}")
    return SettingsError(f"KMS refuses the use of the key: {code}")


class _KmsKey(KMSMasterKey):  # type: ignore[misc]  # the SDK ships no types
    """One KMS key whose failures stay distinguishable."""

    def _generate_data_key(self, algorithm: Any, encryption_context: Any = None) -> Any:
        with _kms_call():
            return super()._generate_data_key(algorithm, encryption_context)

    def _encrypt_data_key(self, data_key: Any, algorithm: Any, encryption_context: Any = None) -> Any:
        with _kms_call():
            return super()._encrypt_data_key(data_key, algorithm, encryption_context)

    def _decrypt_data_key(self, encrypted_data_key: Any, algorithm: Any, encryption_context: Any = None) -> Any:
        with _kms_call():
            return super()._decrypt_data_key(encrypted_data_key, algorithm, encryption_context)


class KmsKeys(StrictAwsKmsMasterKeyProvider):  # type: ignore[misc]  # the SDK ships no types
    master_key_class = _KmsKey

    def add_regional_client(self, region_name: str) -> None:
        """Uses our cached client. The SDK's own has no timeouts and is dropped at the first connection error; the
        master key that still holds it then reports every later error as a key that cannot be unwrapped."""
        self._regional_clients.setdefault(region_name, kms_client(region_name))
