"""Data keys wrapped under KMS: real boto3 against moto, with calls counted and failures classified."""

import os
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from chalicelib import aws_requests
from chalicelib.errors import AppError, DecryptionFailed, SettingsError, Unavailable
from chalicelib.secret import Secret
from chalicelib.security import encryption_sdk, kms_keys
from chalicelib.security.key_providers import KeyProvider, KmsKeyProvider, RawKeyProvider
from chalicelib.security.vault import AssociatedData, Vault, WrappedKey
from tests.security.kms import (
    ELSEWHERE,
    HERE,
    Kms,
    KmsCalls,
    kms,
    kms_proxy,
    refusal,
    response,
    service,
    timeout,
)

__all__ = ["kms", "kms_proxy", "service"]

STUDIO, OTHER_STUDIO = UUID(int=1), UUID(int=2)
DATA_KEY = bytes(range(32))
RAW = RawKeyProvider(Secret("0123456789abcdef" * 4))


@pytest.fixture
def provider(kms: Kms) -> KmsKeyProvider:
    return KmsKeyProvider((kms.here,))


@pytest.fixture
def both(kms: Kms) -> KmsKeyProvider:
    return KmsKeyProvider((kms.here, kms.elsewhere))


@pytest.fixture(params=["kms", "raw"])
def any_provider(request: pytest.FixtureRequest) -> KeyProvider:
    return request.getfixturevalue("provider") if request.param == "kms" else RAW


def test_a_wrapped_data_key_unwraps_for_its_studio(any_provider: KeyProvider) -> None:
    wrapped = any_provider.wrap(DATA_KEY, STUDIO)

    assert DATA_KEY not in wrapped
    assert any_provider.unwrap(wrapped, STUDIO) == DATA_KEY


def test_a_wrapped_data_key_is_refused_for_another_studio(any_provider: KeyProvider) -> None:
    wrapped = any_provider.wrap(DATA_KEY, STUDIO)

    with pytest.raises(DecryptionFailed, match="another studio or purpose"):
        any_provider.unwrap(wrapped, OTHER_STUDIO)


@pytest.mark.parametrize(
    "context",
    [
        {"studio": str(STUDIO), "purpose": "backup"},
        {"studio": str(STUDIO)},
        {"studio": str(STUDIO), "purpose": "data-key", "more": "x"},
        {},
    ],
)
def test_a_message_with_another_encryption_context_is_refused(
    provider: KmsKeyProvider, context: dict[str, str]
) -> None:
    keys = encryption_sdk.kms_keys(provider._key_ids)
    message = encryption_sdk.encrypt(DATA_KEY, context, keys)

    assert encryption_sdk.decrypt(message, context, keys) == DATA_KEY
    with pytest.raises(DecryptionFailed, match="another studio or purpose"):
        provider.unwrap(message, STUDIO)


def test_a_key_wrapped_under_kms_does_not_unwrap_with_another_kms_key_nor_with_an_encryption_key(kms: Kms) -> None:
    wrapped = KmsKeyProvider((kms.here,)).wrap(DATA_KEY, STUDIO)
    calls = KmsCalls(HERE)

    for other in (KmsKeyProvider((kms.other,)), KmsKeyProvider((kms.elsewhere,)), RAW):
        with pytest.raises(DecryptionFailed):
            other.unwrap(wrapped, STUDIO)
    assert calls == []


def test_a_thousand_tokens_of_one_studio_cost_one_kms_call(provider: KmsKeyProvider) -> None:
    key = WrappedKey(uuid4(), STUDIO, Vault(provider).new_key(STUDIO))
    calls = KmsCalls(HERE)
    vault = Vault(provider)
    for number in range(1000):
        place = AssociatedData(STUDIO, "platform_connection", "access_token", UUID(int=number), number)
        assert (
            vault.open(vault.seal(Secret(f"token-{number}"), [key], place), [key], place).reveal() == f"token-{number}"
        )

    assert calls == ["Decrypt"]


def test_each_studio_costs_one_kms_call(provider: KmsKeyProvider) -> None:
    vault = Vault(provider)
    keys = [WrappedKey(uuid4(), UUID(int=number), vault.new_key(UUID(int=number))) for number in range(3)]
    calls = KmsCalls(HERE)
    for key in keys * 2:
        vault.seal(Secret("x"), [key], AssociatedData(key.studio_id, "t", "c", UUID(int=9), 0))

    assert calls == ["Decrypt"] * 3


def test_a_key_is_wrapped_under_every_kms_key_and_unwrapped_with_one_call(both: KmsKeyProvider) -> None:
    calls, calls_elsewhere = KmsCalls(HERE), KmsCalls(ELSEWHERE)
    wrapped = both.wrap(DATA_KEY, STUDIO)
    assert (calls, calls_elsewhere) == (["GenerateDataKey"], ["Encrypt"])

    assert both.unwrap(wrapped, STUDIO) == DATA_KEY
    assert (calls, calls_elsewhere) == (["GenerateDataKey", "Decrypt"], ["Encrypt"])


@pytest.mark.parametrize(
    "failure",
    [timeout, refusal("ThrottlingException"), refusal("KMSInternalException", 500), refusal("DisabledException")],
)
def test_the_second_region_unwraps_when_the_first_one_fails(both: KmsKeyProvider, failure: Callable[[], Any]) -> None:
    wrapped = both.wrap(DATA_KEY, STUDIO)
    KmsCalls(HERE).answers = failure

    for _ in range(3):
        assert both.unwrap(wrapped, STUDIO) == DATA_KEY


def test_each_region_can_unwrap_alone(kms: Kms, both: KmsKeyProvider) -> None:
    wrapped = both.wrap(DATA_KEY, STUDIO)

    for key in (kms.here, kms.elsewhere):
        assert KmsKeyProvider((key,)).unwrap(wrapped, STUDIO) == DATA_KEY


def test_wrapping_fails_when_any_region_fails(both: KmsKeyProvider) -> None:
    KmsCalls(ELSEWHERE).answers = timeout

    with pytest.raises(Unavailable):
        both.wrap(DATA_KEY, STUDIO)


def test_of_two_failing_regions_the_retryable_failure_is_reported(both: KmsKeyProvider) -> None:
    wrapped = both.wrap(DATA_KEY, STUDIO)
    KmsCalls(HERE).answers = refusal("AccessDeniedException")
    KmsCalls(ELSEWHERE).answers = timeout

    with pytest.raises(Unavailable):
        both.unwrap(wrapped, STUDIO)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (timeout, Unavailable),
        (refusal("ThrottlingException"), Unavailable),
        (refusal("KeyUnavailableException", 500), Unavailable),
        (refusal("SomethingNew", 503), Unavailable),
        (refusal("SomethingNew", 429), Unavailable),
        (refusal("AccessDeniedException"), SettingsError),
        (refusal("DisabledException"), SettingsError),
        (refusal("NotFoundException"), SettingsError),
        (refusal("KMSInvalidStateException"), SettingsError),
        (refusal("ExpiredTokenException"), SettingsError),
        (refusal("InvalidCiphertextException"), DecryptionFailed),
        (refusal("IncorrectKeyException"), DecryptionFailed),
    ],
)
def test_every_kms_failure_to_unwrap_is_classified(
    provider: KmsKeyProvider, failure: Callable[[], Any], expected: type[AppError]
) -> None:
    wrapped = provider.wrap(DATA_KEY, STUDIO)
    calls = KmsCalls(HERE)
    calls.answers = failure

    for _ in range(3):
        with pytest.raises(AppError) as failed:
            provider.unwrap(wrapped, STUDIO)
        assert type(failed.value) is expected
        assert failed.value.message == expected.title
        assert DATA_KEY.hex() not in str(failed.value)
    calls.answers = lambda: None
    assert provider.unwrap(wrapped, STUDIO) == DATA_KEY


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (timeout, Unavailable),
        (refusal("ThrottlingException"), Unavailable),
        (refusal("NotFoundException"), SettingsError),
    ],
)
def test_every_kms_failure_to_wrap_is_classified(
    provider: KmsKeyProvider, failure: Callable[[], Any], expected: type[AppError]
) -> None:
    KmsCalls(HERE).answers = failure

    with pytest.raises(AppError) as failed:
        provider.wrap(DATA_KEY, STUDIO)
    assert type(failed.value) is expected


def test_a_data_key_moved_to_another_kms_context_does_not_decrypt(provider: KmsKeyProvider) -> None:
    """The context in the header is changed but the wrapped key kept: KMS itself refuses."""
    wrapped = provider.wrap(DATA_KEY, STUDIO)
    relabelled = wrapped.replace(str(STUDIO).encode(), str(OTHER_STUDIO).encode())
    assert relabelled != wrapped

    with pytest.raises(DecryptionFailed, match="InvalidCiphertextException"):
        provider.unwrap(relabelled, OTHER_STUDIO)


def test_without_credentials_the_settings_are_at_fault(
    provider: KmsKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = provider.wrap(DATA_KEY, STUDIO)
    calls = KmsCalls(HERE)
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)

    for _ in range(2):
        with pytest.raises(SettingsError, match="NoCredentials"):
            provider.unwrap(wrapped, STUDIO)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    assert calls == []


@pytest.mark.parametrize(
    "damage",
    [{"Plaintext": None}, {"Plaintext": "*"}, {"Plaintext": 5}],
)
def test_a_response_without_a_key_is_an_outage_of_kms(provider: KmsKeyProvider, damage: dict[str, Any]) -> None:
    wrapped = provider.wrap(DATA_KEY, STUDIO)
    KmsCalls(HERE).answers = response({"KeyId": provider.key_names[0], **damage})

    with pytest.raises(Unavailable):
        provider.unwrap(wrapped, STUDIO)


def test_a_response_that_names_another_key_or_is_too_short_is_refused(kms: Kms, provider: KmsKeyProvider) -> None:
    wrapped = provider.wrap(DATA_KEY, STUDIO)
    for key, length in ((kms.other, 32), (kms.here, 31)):
        plaintext = b64encode(bytes(length)).decode()
        KmsCalls(HERE).answers = response({"KeyId": key, "Plaintext": plaintext})
        with pytest.raises(DecryptionFailed):
            provider.unwrap(wrapped, STUDIO)


def test_wrapping_is_refused_if_kms_used_another_key(kms: Kms, both: KmsKeyProvider) -> None:
    blob = b64encode(bytes(32)).decode()
    answer = {"KeyId": kms.other, "Plaintext": blob, "CiphertextBlob": blob}
    for region in (ELSEWHERE, HERE):
        KmsCalls(region).answers = response(answer)
        with pytest.raises(SettingsError, match="KeyError"):
            both.wrap(DATA_KEY, STUDIO)


def test_a_key_unwraps_in_either_direction_with_the_sdks_own_keys(kms: Kms) -> None:
    """The messages are those that any Encryption SDK reads and writes."""
    from aws_encryption_sdk import EncryptionSDKClient, StrictAwsKmsMasterKeyProvider

    names = (kms.here, kms.elsewhere)
    ours, theirs = KmsKeyProvider(names), StrictAwsKmsMasterKeyProvider(key_ids=list(names))
    client, context = EncryptionSDKClient(), {"studio": str(STUDIO), "purpose": "data-key"}
    opened, header = client.decrypt(source=ours.wrap(DATA_KEY, STUDIO), key_provider=theirs)
    assert (opened, header.encryption_context) == (DATA_KEY, context)

    message, _ = client.encrypt(
        source=DATA_KEY, key_provider=theirs, encryption_context=context, algorithm=encryption_sdk.SUITE
    )
    assert ours.unwrap_with_each(message, STUDIO) == [DATA_KEY, DATA_KEY]


def test_kms_is_given_two_seconds() -> None:
    connection, host = aws_requests._connection("kms", HERE, kms_keys.TIMEOUT_SECONDS)
    assert connection.timeout == 2
    assert host


def test_creating_a_provider_calls_nothing(kms: Kms) -> None:
    here = KmsCalls(HERE)
    KmsKeyProvider((kms.here,))
    encryption_sdk.kms_keys((kms.here,))

    assert here == []


def test_unwrapping_with_each_key_tries_every_one(both: KmsKeyProvider, kms: Kms) -> None:
    wrapped = both.wrap(DATA_KEY, STUDIO)
    here, elsewhere = KmsCalls(HERE), KmsCalls(ELSEWHERE)

    assert both.key_names == (kms.here, kms.elsewhere)
    assert both.unwrap_with_each(wrapped, STUDIO) == [DATA_KEY, DATA_KEY]
    assert (here, elsewhere) == (["Decrypt"], ["Decrypt"])


def test_a_failing_key_is_not_masked_by_another(both: KmsKeyProvider) -> None:
    wrapped = both.wrap(DATA_KEY, STUDIO)
    KmsCalls(ELSEWHERE).answers = refusal("AccessDeniedException")

    assert both.unwrap(wrapped, STUDIO) == DATA_KEY
    with pytest.raises(SettingsError, match="AccessDenied"):
        both.unwrap_with_each(wrapped, STUDIO)
