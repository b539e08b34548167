"""A KMS service for tests: real boto3 against moto, with calls counted and responses replaced on demand."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError
from moto import mock_aws

from chalicelib.security import encryption_sdk

HERE, ELSEWHERE = "eu-central-1", "eu-west-1"


class KmsCalls(list[str]):
    """The operations called on a Region's client. `answers` replaces the service's response or raises, if set."""

    def __init__(self, region: str) -> None:
        super().__init__()
        self.answers: Callable[[], Any] = lambda: None
        encryption_sdk.kms_client(region).meta.events.register("before-call.kms", self._note)

    def _note(self, model: Any, **_: Any) -> Any:
        self.append(model.name)
        return self.answers()


def refusal(code: str, status: int = 400) -> Callable[[], Any]:
    """What botocore raises when KMS returns this error."""
    parsed = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return lambda: (AWSResponse("https://kms", status, {}, None), parsed)


def timeout() -> Any:
    raise ConnectTimeoutError(endpoint_url="https://kms")


def missing_credentials() -> Any:
    raise NoCredentialsError


class Kms:
    """A KMS key here, another one here, and one in another Region."""

    def __init__(self) -> None:
        self.here, self.other = self.make_key(HERE), self.make_key(HERE)
        self.elsewhere = self.make_key(ELSEWHERE)

    def make_key(self, region: str) -> str:
        return str(boto3.client("kms", region_name=region).create_key()["KeyMetadata"]["Arn"])


@pytest.fixture(scope="module")
def service() -> Iterator[Kms]:
    with pytest.MonkeyPatch.context() as environ, mock_aws():
        for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS", "AWS_PROFILE"):
            environ.delenv(name, raising=False)
        yield Kms()


@pytest.fixture
def kms(service: Kms) -> Iterator[Kms]:
    """With clients that are not observed yet."""
    forget_clients()
    yield service
    forget_clients()


def forget_clients() -> None:
    encryption_sdk.kms_client.cache_clear()
    encryption_sdk.kms_keys.cache_clear()
