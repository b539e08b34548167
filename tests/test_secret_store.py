"""Secrets Manager in the local cloud: values are cached for a while, and never appear in an error."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest

from chalicelib import clock, logs, secret_store
from chalicelib.errors import AppError, SettingsError, Unavailable
from chalicelib.secret import Secret
from chalicelib.secret_store import ASKED_AGAIN, KEPT, forget_secrets, get_secret
from tests.conftest import NOON, LogLines

MISSING = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:nobody-made-it-AbCdEf"


@pytest.fixture(autouse=True)
def nothing_kept(local_aws: Any) -> Iterator[None]:
    forget_secrets()
    yield
    forget_secrets()


@pytest.fixture
def manager() -> Any:
    return boto3.client("secretsmanager", region_name="eu-central-1")


def create_secret(manager: Any, text: str) -> str:
    return str(manager.create_secret(Name=f"ansel-{uuid4()}", SecretString=text)["ARN"])


def changed(manager: Any, arn: str, **fields: str) -> None:
    manager.put_secret_value(SecretId=arn, SecretString=json.dumps(fields))


def test_texts_and_numbers_become_secrets(manager: Any) -> None:
    arn = create_secret(manager, '{"password": "canary", "port": 5432, "tags": ["a"], "none": null}')
    assert get_secret(arn) == {"password": Secret("canary"), "port": Secret("5432")}


def test_a_secret_is_cached_for_five_minutes(manager: Any) -> None:
    arn = create_secret(manager, '{"a": "first"}')
    with clock.at(NOON):
        assert get_secret(arn)["a"].reveal() == "first"
    changed(manager, arn, a="second")
    with clock.at(NOON + KEPT - timedelta(seconds=1)):
        assert get_secret(arn)["a"].reveal() == "first"
    with clock.at(NOON + KEPT + timedelta(seconds=1)):
        assert get_secret(arn)["a"].reveal() == "second"


def test_bypassing_the_cache_refreshes_it_for_all(manager: Any) -> None:
    arn = create_secret(manager, '{"a": "first"}')
    get_secret(arn)
    changed(manager, arn, a="second")
    assert get_secret(arn, bypass_cache=True)["a"].reveal() == "second"
    assert get_secret(arn)["a"].reveal() == "second"


def test_concurrent_threads_read_a_secret_once(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    arn, reads = create_secret(manager, '{"a": "first"}'), []
    read = secret_store._read

    def counted(arn: str) -> str:
        reads.append(arn)
        return read(arn)

    monkeypatch.setattr(secret_store, "_read", counted)
    threads = [threading.Thread(target=get_secret, args=(arn,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == [arn]


def test_a_missing_secret_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match=r"nobody-made-it.*ResourceNotFoundException"):
        get_secret(MISSING)


@pytest.mark.parametrize("text", ["canary", '["canary"]', '{"canary": ', "null"])
def test_a_secret_that_is_not_an_object_is_named_but_not_shown(manager: Any, text: str) -> None:
    arn = create_secret(manager, text)
    with pytest.raises(SettingsError, match=arn) as caught:
        get_secret(arn)
    error: BaseException | None = caught.value
    while error is not None:
        assert "canary" not in f"{error} {error!r}"
        error = error.__cause__


def test_an_unreachable_secrets_manager_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="ConnectionRefusedError") as caught:
        get_secret(MISSING)
    assert isinstance(caught.value, AppError)
    assert "arn" not in caught.value.message


def test_a_cached_secret_outlives_an_outage_of_the_manager(
    manager: Any, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    logs.configure("INFO")
    # today: the local AWS dates its versions by the present
    arn, now = create_secret(manager, '{"a": "canary"}'), clock.now()
    get_secret(arn)
    with monkeypatch.context() as cut_off:
        cut_off.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        for passed in (KEPT, KEPT + ASKED_AGAIN - timedelta(seconds=1), KEPT + ASKED_AGAIN, 10 * KEPT):
            monkeypatch.setattr(clock, "now", lambda passed=passed: now + passed + timedelta(seconds=1))
            assert get_secret(arn)["a"].reveal() == "canary"
        with pytest.raises(Unavailable):
            get_secret(arn, bypass_cache=True)
    assert len(log_lines.named("secret.kept_longer")) == 3
    changed(manager, arn, a="second")
    monkeypatch.setattr(clock, "now", lambda: now + 11 * KEPT)
    assert get_secret(arn)["a"].reveal() == "second"
    assert "canary" not in log_lines.text
