"""KMS keys as master keys of the AWS Encryption SDK, without boto3, which the SDK's own need: importing it and making a
client takes longer than all else that opening a token needs (docs/cold-start.md)."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any

from aws_encryption_sdk.exceptions import DecryptKeyError, EncryptKeyError, GenerateKeyError
from aws_encryption_sdk.key_providers.base import (
    MasterKey,
    MasterKeyConfig,
    MasterKeyProvider,
    MasterKeyProviderConfig,
)
from aws_encryption_sdk.structures import DataKey, EncryptedDataKey

from chalicelib import aws_requests, telemetry
from chalicelib.aws_requests import AwsError
from chalicelib.errors import AppError, DecryptionFailed, SettingsError, Unavailable

PROVIDER_ID = "aws-kms"
"""What the SDK's own keys for KMS are called in a message, in every language."""
TIMEOUT_SECONDS = 2

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
}
_BROKEN = {"IncorrectKeyException", "InvalidCiphertextException"}


class _KeyConfig(MasterKeyConfig):  # type: ignore[misc]  # the SDK ships no types
    provider_id = PROVIDER_ID


class KmsKey(MasterKey):  # type: ignore[misc]  # the SDK ships no types
    """One KMS key, named by its ARN. A failure keeps its meaning, while the SDK's own keys report all of them as
    `Unable to decrypt any data key`."""

    provider_id = PROVIDER_ID
    _config_class = _KeyConfig

    def _generate_data_key(self, algorithm: Any, encryption_context: dict[str, str]) -> DataKey:
        answer = self._call("GenerateDataKey", {"NumberOfBytes": algorithm.kdf_input_len}, encryption_context)
        self._check_key(answer, GenerateKeyError)
        return DataKey(
            key_provider=self.key_provider,
            data_key=_blob(answer, "Plaintext"),
            encrypted_data_key=_blob(answer, "CiphertextBlob"),
        )

    def _encrypt_data_key(self, data_key: Any, algorithm: Any, encryption_context: dict[str, str]) -> EncryptedDataKey:
        answer = self._call("Encrypt", {"Plaintext": _base64(data_key.data_key)}, encryption_context)
        self._check_key(answer, EncryptKeyError)
        return EncryptedDataKey(key_provider=self.key_provider, encrypted_data_key=_blob(answer, "CiphertextBlob"))

    def _decrypt_data_key(self, encrypted_data_key: Any, algorithm: Any, encryption_context: dict[str, str]) -> DataKey:
        """The caller has checked that the message names this key, and checks the length of what comes back."""
        ciphertext = encrypted_data_key.encrypted_data_key
        answer = self._call("Decrypt", {"CiphertextBlob": _base64(ciphertext)}, encryption_context)
        self._check_key(answer, DecryptKeyError)
        return DataKey(
            key_provider=self.key_provider, data_key=_blob(answer, "Plaintext"), encrypted_data_key=ciphertext
        )

    @property
    def _arn(self) -> str:
        return str(self.key_id, "utf-8")

    def _call(self, operation: str, fields: Mapping[str, Any], context: dict[str, str]) -> dict[str, Any]:
        request = {"KeyId": self._arn, **fields, **({"EncryptionContext": context} if context else {})}
        region, failed = self._arn.split(":")[3], True
        try:
            answer = aws_requests.call(
                "kms", region, f"TrentService.{operation}", request, timeout_seconds=TIMEOUT_SECONDS
            )
            failed = False
        except AwsError as error:
            raise _meaning(error) from error
        finally:
            telemetry.count("KmsCalls")
            telemetry.count("KmsErrors", failed)
        return answer

    def _check_key(self, answer: Mapping[str, Any], error: type[Exception]) -> None:
        """The SDK's specification requires it of Decrypt:
        https://github.com/awslabs/aws-encryption-sdk-specification/blob/master/framework/aws-kms/aws-kms-mrk-aware-master-key.md
        """
        if answer.get("KeyId") != self._arn:
            raise error("KMS used another key")


class KmsKeys(MasterKeyProvider):  # type: ignore[misc]  # the SDK ships no types
    """The SDK's strict provider: the first key generates, all wrap, each can unwrap, and no other key is asked."""

    provider_id = PROVIDER_ID
    vend_masterkey_on_decrypt = False
    _config_class = MasterKeyProviderConfig

    def _new_master_key(self, key_id: bytes) -> KmsKey:
        return KmsKey(key_id=key_id)


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


def _blob(answer: Mapping[str, Any], field: str) -> bytes:
    try:
        return b64decode(answer[field], validate=True)
    except (LookupError, TypeError, ValueError):
        raise Unavailable(internal=f"KMS responds without a valid {field}") from None  # the cause may quote a key


def _meaning(error: AwsError) -> AppError:
    if error.code in _BROKEN:
        return DecryptionFailed(internal=f"KMS refuses a wrapped data key: {error.code}")
    if isinstance(error.__cause__, OSError | HTTPException):
        return Unavailable(internal=f"KMS does not respond: {error.code}")
    if error.may_pass or error.code in _TRANSIENT:
        return Unavailable(internal=f"KMS is not available: {error.code}")
    return SettingsError(f"KMS refuses the use of the key: {error.code}")
