"""Data keys wrapped under ENCRYPTION_KEY, and the stages that allow it."""

from typing import Any
from uuid import UUID

import pytest
from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.identifiers import AlgorithmSuite
from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import DecryptionFailed, SettingsError
from chalicelib.secret import Secret
from chalicelib.security import encryption_sdk
from chalicelib.security.key_providers import KmsKeyProvider, RawKeyProvider, provider_from_settings
from chalicelib.security.wrapping import MAX_WRAPPING_KEYS
from chalicelib.settings import DatabaseLogin, Settings

STUDIO = UUID(int=1)
DATA_KEY = bytes(range(32))
RAW_KEY = bytes.fromhex("0123456789abcdef" * 4)
RAW = RawKeyProvider(Secret(RAW_KEY.hex()))
CONTEXT = {"studio": str(STUDIO), "purpose": "data-key"}
KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"


def test_a_message_with_another_algorithm_suite_is_refused() -> None:
    uncommitted = EncryptionSDKClient(commitment_policy=CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    signing = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    for client, suite in (
        (uncommitted, AlgorithmSuite.AES_256_GCM_IV12_TAG16_HKDF_SHA256),
        (signing, AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384),
    ):
        keys = encryption_sdk.raw_key(RAW_KEY)
        message, _ = client.encrypt(source=DATA_KEY, key_provider=keys, encryption_context=CONTEXT, algorithm=suite)
        with pytest.raises(DecryptionFailed):
            RAW.unwrap(message, STUDIO)


def test_the_message_uses_the_committing_suite_without_a_signature() -> None:
    # version 2 and suite 0x0478: https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/message-format.html
    assert RAW.wrap(DATA_KEY, STUDIO)[:3] == b"\x02\x04\x78"


def test_a_wrapped_key_with_any_damaged_byte_is_refused() -> None:
    wrapped = RAW.wrap(DATA_KEY, STUDIO)
    for position in range(len(wrapped)):
        damaged = bytearray(wrapped)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(DecryptionFailed):
            RAW.unwrap(bytes(damaged), STUDIO)


@given(st.data())
def test_a_shortened_or_invented_wrapped_key_raises_only_decryption_failed(data: st.DataObject) -> None:
    wrapped = RAW.wrap(DATA_KEY, STUDIO)
    changed = data.draw(
        st.one_of(
            st.integers(0, len(wrapped) - 1).map(lambda end: wrapped[:end]),
            st.binary(max_size=60),
            st.binary(max_size=60).map(lambda tail: wrapped[:40] + tail),
        )
    )
    with pytest.raises(DecryptionFailed):
        RAW.unwrap(changed, STUDIO)


def test_a_key_wrapped_under_one_encryption_key_does_not_unwrap_under_another() -> None:
    other = RawKeyProvider(Secret("f" * 64))

    with pytest.raises(DecryptionFailed):
        other.unwrap(RAW.wrap(DATA_KEY, STUDIO), STUDIO)


def test_more_kms_keys_than_a_message_can_name_are_refused() -> None:
    keys = tuple(f"{KEY_ARN[:-1]}{number}" for number in range(MAX_WRAPPING_KEYS + 1))

    with pytest.raises(SettingsError, match="more than 8 keys"):
        KmsKeyProvider(keys)


def test_a_message_that_names_too_many_keys_is_refused() -> None:
    class SameKeyAgain(RawMasterKeyProvider):  # type: ignore[misc]  # the SDK ships no types
        provider_id = "again"

        def _get_raw_key(self, key_id: bytes) -> Any:
            raise NotImplementedError

    keys = SameKeyAgain()
    keys.add_master_key_providers_from_list([encryption_sdk.raw_key(RAW_KEY) for _ in range(MAX_WRAPPING_KEYS + 1)])
    message, _ = EncryptionSDKClient().encrypt(
        source=DATA_KEY, key_provider=keys, encryption_context=CONTEXT, algorithm=encryption_sdk.SUITE
    )

    with pytest.raises(DecryptionFailed, match="MaxEncryptedDataKeysExceeded"):
        RAW.unwrap(message, STUDIO)


def settings(**changes: Any) -> Settings:
    login = DatabaseLogin(url=Secret("postgresql://"), stage="local")
    return Settings(**{"stage": "local", "database": login, **changes})


def test_the_local_stage_wraps_under_its_encryption_key() -> None:
    made = provider_from_settings(settings(encryption_key=Secret(RAW_KEY.hex())))

    assert made.name == "raw"
    assert made.unwrap(RAW.wrap(DATA_KEY, STUDIO), STUDIO) == DATA_KEY


@pytest.mark.parametrize("stage", ["local", "test", "dev", "prod"])
def test_every_stage_can_wrap_under_kms(stage: str) -> None:
    made = provider_from_settings(settings(stage=stage, kms_key_ids=(KEY_ARN,)))

    assert made.name == "kms"


@pytest.mark.parametrize("stage", ["test", "dev", "prod"])
@pytest.mark.parametrize("kms_key_ids", [(), (KEY_ARN,)])
def test_an_encryption_key_outside_local_is_refused(stage: str, kms_key_ids: tuple[str, ...]) -> None:
    unsafe = settings(stage=stage, encryption_key=Secret("0" * 64), kms_key_ids=kms_key_ids)

    with pytest.raises(SettingsError, match="local stage only"):
        provider_from_settings(unsafe)


@pytest.mark.parametrize("stage", ["local", "test", "dev", "prod"])
def test_missing_keys_are_refused(stage: str) -> None:
    with pytest.raises(SettingsError, match="KMS_KEY_IDS is not set"):
        provider_from_settings(settings(stage=stage))


def test_an_encryption_key_together_with_kms_keys_is_refused() -> None:
    both = settings(encryption_key=Secret("0" * 64), kms_key_ids=(KEY_ARN,))

    with pytest.raises(SettingsError, match="mutually exclusive"):
        provider_from_settings(both)


@pytest.mark.parametrize("key", ["", "0" * 63, "0" * 66, "g" * 64, "0 " * 32, "\uff10" * 64])
def test_an_encryption_key_that_is_not_256_bits_of_hex_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="64 hexadecimal"):
        RawKeyProvider(Secret(key))


def test_a_providers_repr_shows_no_key() -> None:
    assert RAW_KEY.hex() not in f"{RAW!r} {vars(RAW)!r}"
