"""Connections without a grant: a platform read with one key for all studios, and one that needs no key."""

from typing import Any

import pg8000.native
import pytest

from chalicelib.settings import get_settings
from dev.sandbox import Sandbox
from tests.conftest import Api

pytestmark = pytest.mark.usefixtures("platforms")
YELP = {"platform": "yelp", "accountId": "linden-and-light-photography-berlin"}
WEBSITE = {"platform": "website"}


def wrong_fields(api: Api, body: dict[str, Any]) -> list[str]:
    answer = api.post("/api/connections", body)
    assert (answer.status, answer.json["code"]) == (422, "invalid_input"), answer.text
    return sorted(problem["field"] for problem in answer.json["errors"])


def test_a_business_is_connected_by_its_name_and_stored_by_its_id(
    api: Api, superuser: pg8000.native.Connection
) -> None:
    answer = api.post("/api/connections", YELP)
    assert answer.status == 201, answer.text
    connection = answer.json
    assert (connection["status"], connection["health"]) == ("active", "healthy")
    assert (connection["hasRefreshToken"], connection["tokenExpiresAt"], connection["scopes"]) == (False, None, None)
    assert connection["accountName"] == "Linden & Light Photography"
    assert connection["accountId"] not in (None, YELP["accountId"])
    assert superuser.run("SELECT needs_token, access_token FROM platform_connection") == [[False, None]]
    assert superuser.run("SELECT kind FROM connection_event") == [["connected"]]


def test_a_website_is_connected_without_any_call(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    answer = api.post("/api/connections", WEBSITE)
    assert (answer.status, answer.json["status"], answer.json["accountId"]) == (201, "active", None)
    assert superuser.run("SELECT needs_token, access_token FROM platform_connection") == [[False, None]]
    assert platforms.requests.list() == []


@pytest.mark.parametrize("body", [YELP, WEBSITE])
def test_a_business_is_connected_once_and_again_after_a_disconnect(api: Api, body: dict[str, Any]) -> None:
    first = api.post("/api/connections", body)
    again = api.post("/api/connections", body)
    assert (again.status, again.json["code"]) == (409, "connection_exists")
    path = f"/api/connections/{body['platform']}"
    assert api.delete(path).status == 204
    assert api.get(path).status == 404
    assert api.post("/api/connections", body).json["id"] == first.json["id"]


def test_fields_that_a_platform_needs_or_rejects_are_named(api: Api) -> None:
    tokens = {"accessToken": "token", "refreshToken": "token", "expiresIn": 60, "scopes": ["a"]}
    assert wrong_fields(api, {"platform": "google"}) == ["accessToken"]
    assert wrong_fields(api, {"platform": "google", "refreshToken": "token"}) == ["accessToken"]
    assert wrong_fields(api, {"platform": "google", "accessToken": "token", "accountId": "me"}) == ["accountId"]
    assert wrong_fields(api, {"platform": "yelp"}) == ["accountId"]
    assert wrong_fields(api, {**YELP, **tokens}) == sorted(tokens)
    assert wrong_fields(api, {"platform": "yelp", "accessToken": "token"}) == ["accessToken", "accountId"]
    assert wrong_fields(api, {**WEBSITE, "accessToken": "token", "accountId": "me"}) == ["accessToken", "accountId"]
    assert wrong_fields(api, {"platform": "yelp", "accountId": ""}) == ["accountId"]
    assert wrong_fields(api, {"platform": "yelp", "accountId": "two words"}) == ["accountId"]
    assert wrong_fields(api, {"platform": "yelp", "accountId": "line\n"}) == ["accountId"]
    assert api.get("/api/connections").json["items"] == []


def test_a_business_unknown_to_yelp_is_invalid(api: Api) -> None:
    assert wrong_fields(api, {"platform": "yelp", "accountId": "nobody-knows-it"}) == ["accountId"]


@pytest.mark.parametrize("key", [None, "withdrawn"])
def test_a_missing_or_rejected_platform_key_is_not_the_studios_error(
    api: Api, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.setenv("YELP_API_KEY", key or "")
    get_settings.cache_clear()
    answer = api.post("/api/connections", YELP)
    assert (answer.status, answer.json["code"]) == (502, "platform_misconfigured")
    assert api.get("/api/connections").json["items"] == []


@pytest.mark.parametrize("body", [YELP, WEBSITE])
def test_a_keyed_connection_rejects_tokens_in_updates(
    api: Api, superuser: pg8000.native.Connection, body: dict[str, Any]
) -> None:
    api.post("/api/connections", body)
    answer = api.put(f"/api/connections/{body['platform']}", {"accessToken": "token"})
    assert (answer.status, answer.json["code"]) == (409, "no_tokens")
    assert superuser.run("SELECT access_token FROM platform_connection") == [[None]]
