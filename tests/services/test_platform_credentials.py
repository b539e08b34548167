"""OAuth clients and platform keys from Secrets Manager: read lazily, cached for minutes, never mixed with variables."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import boto3
import pytest

from chalicelib import clock, secret_store
from chalicelib.data.connections import FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.postgres.database import read
from chalicelib.errors import SettingsError
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.secret_store import KEPT, forget_secrets
from chalicelib.services.connections.clients import Session
from chalicelib.services.connections.credentials import find_oauth_client, find_platform_key
from chalicelib.services.connections.tokens import open_tokens
from chalicelib.settings import OAuthClient, get_settings
from dev.sandbox import CREDENTIALS, Sandbox
from tests.conftest import NOON, Api, Queue
from tests.services.conftest import Studio, connect

UNREACHABLE = "http://127.0.0.1:1"
CLIENT = {"PINTEREST_CLIENT_ID": "id", "PINTEREST_CLIENT_SECRET": "new-canary, old-canary"}


class PlatformSecret:
    """The secret that PLATFORM_SECRETS_ARN names, in the local Secrets Manager."""

    def __init__(self, **variables: str) -> None:
        self._client = boto3.client("secretsmanager", region_name="eu-central-1")
        created = self._client.create_secret(Name=f"ansel-{uuid4()}", SecretString=json.dumps(variables))
        self.arn = created["ARN"]

    def put(self, **variables: str) -> None:
        self._client.put_secret_value(SecretId=self.arn, SecretString=json.dumps(variables))


@pytest.fixture
def platform_secret(local_aws: Any, platforms: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlatformSecret]:
    """The sandbox's credentials in the secret, and none in the environment."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    platform_secret = PlatformSecret(**CREDENTIALS)
    monkeypatch.setenv("PLATFORM_SECRETS_ARN", platform_secret.arn)
    forget_secrets()
    get_settings.cache_clear()
    yield platform_secret
    forget_secrets()


def stored(studio: Studio) -> StoredConnection:
    connection = read(studio.id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert connection is not None
    return connection


def test_a_refresh_uses_the_client_in_the_secret(api: Api, queue: Queue, platform_secret: PlatformSecret) -> None:
    studio = connect(api, queue, lifetime=0)
    before = open_tokens(stored(studio)).access
    Session(stored(studio), get_platform("google")).client()
    assert open_tokens(stored(studio)).access != before


def test_a_business_is_connected_with_the_key_in_the_secret(api: Api, platform_secret: PlatformSecret) -> None:
    body = {"platform": "yelp", "accountId": "linden-and-light-photography-berlin"}
    assert api.post("/api/connections", body).status == 201


def test_an_authorization_uses_the_client_in_the_secret(api: Api, platform_secret: PlatformSecret) -> None:
    response = api.post("/api/oauth/google/authorize")
    assert response.status == 201, response.text
    assert CREDENTIALS["GOOGLE_CLIENT_ID"] in response.json["authorizeUrl"]


def test_a_request_without_platform_calls_does_not_read_the_secret(
    api: Api, queue: Queue, platform_secret: PlatformSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(api, queue)
    forget_secrets()
    monkeypatch.setenv("AWS_ENDPOINT_URL", UNREACHABLE)
    assert len(api.get("/api/connections").json["items"]) == 1
    assert api.get("/api/connections/google").status == 200
    assert secret_store._kept == {}


def test_a_valid_token_is_used_while_the_secret_cannot_be_read(
    api: Api, queue: Queue, platform_secret: PlatformSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = connect(api, queue, lifetime=200)
    forget_secrets()
    monkeypatch.setenv("AWS_ENDPOINT_URL", UNREACHABLE)
    Session(stored(studio), get_platform("google")).client()
    assert (stored(studio).token_generation, stored(studio).status) == (1, "active")


def test_a_rotated_secret_is_used_within_five_minutes(platform_secret: PlatformSecret) -> None:
    platform_secret.put(**CLIENT)
    with clock.at(NOON):
        assert find_oauth_client("pinterest") == OAuthClient("id", (Secret("new-canary"), Secret("old-canary")))
        assert find_oauth_client("google") is None
    platform_secret.put(YELP_API_KEY="key-canary")
    with clock.at(NOON + KEPT + timedelta(seconds=1)):
        assert find_oauth_client("pinterest") is None
        assert find_platform_key("yelp") == Secret("key-canary")


def test_a_platform_configured_in_both_places_is_rejected(
    platform_secret: PlatformSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform_secret.put(**CLIENT, YELP_API_KEY="key-canary")
    for name, value in {**CLIENT, "META_CLIENT_ID": "plain", "META_CLIENT_SECRET": "plain-canary"}.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()
    with pytest.raises(SettingsError, match="PINTEREST_ variables are both") as caught:
        find_oauth_client("pinterest")
    assert "canary" not in str(caught.value)
    assert find_oauth_client("meta") == OAuthClient("plain", (Secret("plain-canary"),))
    assert find_platform_key("yelp") == Secret("key-canary")


def test_half_a_client_in_the_secret_names_the_missing_half(platform_secret: PlatformSecret) -> None:
    platform_secret.put(META_CLIENT_ID="id", GOOGLE_CLIENT_ID="id", GOOGLE_CLIENT_SECRET="canary")
    with pytest.raises(SettingsError, match="META_CLIENT_SECRET is not set"):
        find_oauth_client("meta")
    assert find_oauth_client("google") is not None
