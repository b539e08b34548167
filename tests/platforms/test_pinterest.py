"""Pinterest: the connected account, the meaning of errors, and the quota in its headers."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib import clock
from chalicelib.errors import PlatformError, RateLimited
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity, Platform
from chalicelib.platforms.core.quota import Usage
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.pinterest import PINTEREST, classify, classify_token_error, identify, usage
from tests.conftest import NOON
from tests.http_fake import Fake, Reply

ClientOf = Callable[[Platform], Client]
USER = "/api.pinterest.com/v5/user_account"
PAYLOADS = json.loads((Path(__file__).parent / "payloads" / "pinterest" / "errors.json").read_text())
ERROR_RULES, TOKEN_ERROR_RULES = PAYLOADS["api"], PAYLOADS["token endpoint"]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("user", "name"),
    [
        ({"id": "278", "username": "lenahart", "business_name": "Hart & Co"}, "Hart & Co"),
        ({"id": "278", "username": "lenahart", "business_name": None}, "lenahart"),
        ({"id": "278", "username": ""}, "Pinterest account"),
    ],
)
def test_the_account_is_named_by_its_business_or_its_user(
    fake: Fake, client_of: ClientOf, user: dict[str, str], name: str
) -> None:
    fake.on(USER, Reply(user))
    assert identify(client_of(PINTEREST)) == Identity("278", name)
    assert fake.requests[0].headers["authorization"] == "Bearer ya29.canary"


@pytest.mark.parametrize("name", ERROR_RULES)
def test_errors_are_classified_by_their_status_first(fake: Fake, client_of: ClientOf, name: str) -> None:
    status, body, code = ERROR_RULES[name]
    fake.on(USER, Reply(body, status=status))
    with pytest.raises(PlatformError) as caught:
        identify(client_of(PINTEREST))
    assert caught.value.code == code


@pytest.mark.parametrize("name", TOKEN_ERROR_RULES)
def test_a_token_endpoint_error_ends_the_grant_unless_it_means_something_else(name: str) -> None:
    status, body, code = TOKEN_ERROR_RULES[name]
    assert classify_token_error(PlatformResponse(status, {}, json.dumps(body).encode())).kind.code == code


def test_an_error_is_logged_with_its_code_and_request_id() -> None:
    body = json.dumps({"code": 29, "message": "Not permitted"}).encode()
    assert classify(PlatformResponse(403, {"x-pinterest-rid": "8675309"}, body)).reason == "29 8675309"


def test_a_rate_limit_ends_when_its_window_does() -> None:
    headers = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "42"}
    with clock.at(NOON):
        fault = classify(PlatformResponse(429, headers, b'{"code": 8, "message": "Slow down"}'))
    assert (fault.kind, fault.scope) == (RateLimited, "account")
    assert fault.resume_at == NOON + timedelta(seconds=42)


@pytest.mark.parametrize(
    ("message", "wait"),
    [("Retry after 90 seconds", timedelta(seconds=90)), ("Sorry, this looks like spam", timedelta(hours=4))],
)
def test_some_messages_say_how_long_to_wait(message: str, wait: timedelta) -> None:
    with clock.at(NOON):
        fault = classify(PlatformResponse(400, {}, json.dumps({"code": 1, "message": message}).encode()))
    assert fault.kind is RateLimited
    assert fault.resume_at == NOON + wait


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "expected"),
    [
        ("1000", "250", "42", [Usage("account", 0.75, NOW + timedelta(seconds=42))]),
        ("100, 100;w=1, 1000;w=60", "100", "1", [Usage("account", 0.0, NOW + timedelta(seconds=1))]),
        ("1000", "400", "67150", [Usage("app", 0.6, NOW + timedelta(seconds=67150))]),
        ("1000", "1001", "", [Usage("account", 0.0)]),
        ("1000", "", "42", []),
        ("0", "0", "42", []),
        ("many", "1", "42", []),
    ],
)
def test_the_headers_report_the_used_quota(limit: str, remaining: str, reset: str, expected: list[Usage]) -> None:
    headers = {"x-ratelimit-limit": limit, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}
    assert usage(headers, NOW) == expected


def test_without_headers_there_is_no_usage() -> None:
    assert usage({}, NOW) == []


@given(st.integers(300, 599), st.binary(max_size=80) | st.text(max_size=40).map(lambda text: json.dumps(text).encode()))
def test_any_error_is_classified(status: int, body: bytes) -> None:
    assert issubclass(classify(PlatformResponse(status, {}, body)).kind, PlatformError)
    assert issubclass(classify_token_error(PlatformResponse(status, {}, body)).kind, PlatformError)
