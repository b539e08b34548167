"""Yelp: a studio's business, called with our key; the meaning of errors, and the rest of the daily calls."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import Misconfigured, PlatformError, RateLimited, TokenRevoked
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity
from chalicelib.platforms.core.quota import Usage
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.yelp import YELP, classify, identify, usage
from chalicelib.secret import Secret
from dev.sandbox import Sandbox
from dev.sandbox.yelp import API_KEY, BUSINESS_ALIAS, BUSINESS_ID
from tests.conftest import TODAY
from tests.http_fake import Fake, Reply

ERROR_RULES = json.loads((Path(__file__).parent / "payloads" / "yelp" / "errors.json").read_text())
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(today=TODAY) as started:
        yield started


@pytest.fixture
def ask(sandbox: Sandbox) -> Callable[..., Identity]:
    def business(name: str = BUSINESS_ID, key: str = API_KEY) -> Identity:
        return identify(Client(YELP, Secret(key), account_id=name, sandbox_url=sandbox.url))

    return business


@pytest.mark.parametrize("name", [BUSINESS_ID, BUSINESS_ALIAS])
def test_a_business_is_found_by_id_or_alias_and_identified_by_id(ask: Callable[..., Identity], name: str) -> None:
    assert ask(name) == Identity(BUSINESS_ID, "Linden & Light Photography")


@pytest.mark.parametrize("name", ["nobody", "../businesses/x?y#z"])
def test_a_missing_business_has_to_be_connected_again(
    sandbox: Sandbox, ask: Callable[..., Identity], name: str
) -> None:
    with pytest.raises(TokenRevoked):
        ask(name)
    assert [entry["path"].count("/") for entry in sandbox.requests.list()] == [3]


def test_a_rejected_key_is_misconfigured(ask: Callable[..., Identity]) -> None:
    with pytest.raises(Misconfigured):
        ask(key="another")


def test_when_the_daily_calls_are_used_up_all_studios_wait_for_midnight(
    sandbox: Sandbox, ask: Callable[..., Identity]
) -> None:
    sandbox.yelp.set_usage(0)
    with pytest.raises(RateLimited) as caught:
        ask()
    assert caught.value.scope == "app"
    assert caught.value.resume_at is not None
    assert (caught.value.resume_at.hour, caught.value.resume_at.minute) == (0, 0)


def test_each_response_reports_the_remaining_daily_calls(sandbox: Sandbox) -> None:
    sandbox.yelp.set_usage(150)
    client = Client(YELP, Secret(API_KEY), account_id=BUSINESS_ID, sandbox_url=sandbox.url)
    identify(client)
    assert client.usage["app"].used == pytest.approx(151 / 300)
    assert client.usage["app"].resets_at


@pytest.mark.parametrize("name", ERROR_RULES)
def test_errors_are_classified(fake: Fake, name: str) -> None:
    status, body, code = ERROR_RULES[name]
    fake.on("/api.yelp.com/v3/businesses/b", Reply(body, status=status))
    with pytest.raises(PlatformError) as caught:
        identify(Client(YELP, Secret("key-4711"), account_id="b", sandbox_url=fake.url))
    assert caught.value.code == code
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "expected"),
    [
        ("300", "75", "2026-11-23T00:00:00+00:00", [Usage("app", 0.75, MIDNIGHT)]),
        ("300.0", "0.0", "2026-11-22T16:00:00-08:00", [Usage("app", 1.0, MIDNIGHT)]),
        ("300", "300", "2026-11-23T00:00:00", [Usage("app", 0.0)]),
        ("300", "301", "soon", [Usage("app", 0.0)]),
        ("0", "0", "", []),
        ("300", "-1", "", []),
        ("", "", "", []),
    ],
)
def test_the_headers_report_the_used_quota(limit: str, remaining: str, reset: str, expected: list[Usage]) -> None:
    headers = {"ratelimit-dailylimit": limit, "ratelimit-remaining": remaining, "ratelimit-resettime": reset}
    assert usage(headers, NOW) == expected


@given(st.integers(300, 599), st.binary(max_size=80) | st.text(max_size=40).map(lambda text: json.dumps(text).encode()))
def test_any_error_is_classified(status: int, body: bytes) -> None:
    assert issubclass(classify(PlatformResponse(status, {}, body)).kind, PlatformError)
