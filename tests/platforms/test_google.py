"""Google: who is connected, and what its refusals mean."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import ContractChanged, PlatformError, RateLimited, TokenExpired
from chalicelib.platforms.base import Account, Platform
from chalicelib.platforms.client import Client
from chalicelib.platforms.faults import Fault
from chalicelib.platforms.google import GOOGLE, UserInfo, classify, identify
from chalicelib.platforms.transport import Response
from tests.http_fake import Fake, Reply

ClientOf = Callable[[Platform], Client]

TOKENINFO = "/oauth2.googleapis.com/tokeninfo"
USERINFO = "/www.googleapis.com/oauth2/v2/userinfo"
REFUSALS = json.loads((Path(__file__).parent / "payloads" / "google" / "refusals.json").read_text())
CALENDAR_SCOPE = "https://www.googleapis.com/auth/calendar.events.readonly"


def test_the_account_is_the_user_with_the_scopes_of_the_token(fake: Fake, client_of: ClientOf) -> None:
    fake.on(TOKENINFO, Reply({"scope": f"openid email profile {CALENDAR_SCOPE}", "expires_in": "3599", "sub": "1042"}))
    fake.on(USERINFO, Reply({"id": "1042", "name": "Lena Hart", "email": "lena@example.com", "verified_email": True}))
    account = identify(client_of(GOOGLE))
    assert account == Account("1042", "Lena Hart", ("openid", "email", "profile", CALENDAR_SCOPE))
    asked, _ = fake.requests
    assert (asked.method, asked.query, asked.form) == ("POST", [], {"access_token": "ya29.canary"})
    assert asked.headers["authorization"] == "Bearer ya29.canary"


def test_without_a_name_the_account_goes_by_its_address(fake: Fake, client_of: ClientOf) -> None:
    fake.on(TOKENINFO, Reply({"scope": "openid email"}))
    fake.on(USERINFO, Reply({"id": "1042", "email": "lena@example.com"}))
    assert identify(client_of(GOOGLE)).name == "lena@example.com"


def test_a_grant_without_an_identity_scope_is_alive_but_nameless(fake: Fake, client_of: ClientOf) -> None:
    fake.on(TOKENINFO, Reply({"scope": CALENDAR_SCOPE, "expires_in": 3599}))
    assert identify(client_of(GOOGLE)) == Account("", "Google account", (CALENDAR_SCOPE,))
    assert fake.paths() == [TOKENINFO]


def test_a_token_that_tokeninfo_does_not_know_has_expired(fake: Fake, client_of: ClientOf) -> None:
    fake.on(TOKENINFO, Reply({"error": "invalid_token", "error_description": "Invalid Value"}, status=400))
    with pytest.raises(TokenExpired):
        identify(client_of(GOOGLE))


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_told_apart(fake: Fake, client_of: ClientOf, name: str) -> None:
    status, body, code = REFUSALS[name]
    fake.on(USERINFO, Reply(body, status=status))
    with pytest.raises(PlatformError) as caught:
        client_of(GOOGLE).get("https://www.googleapis.com/oauth2/v2/userinfo", into=UserInfo)
    assert caught.value.code == code


def test_a_refusal_of_an_unknown_kind_is_logged_in_googles_words_too() -> None:
    status, body, _ = REFUSALS["not found"]
    assert classify(Response(status, {}, json.dumps(body).encode())) == Fault(ContractChanged, "notFound")


def test_a_refusal_is_logged_in_googles_words(fake: Fake, client_of: ClientOf) -> None:
    status, body, _ = REFUSALS["rate limit as 403"]
    fake.on(USERINFO, Reply(body, status=status))
    with pytest.raises(RateLimited) as caught:
        client_of(GOOGLE).get("https://www.googleapis.com/oauth2/v2/userinfo", into=UserInfo)
    expected = "403 GET www.googleapis.com/oauth2/v2/userinfo: rateLimitExceeded Rate Limit Exceeded"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "User-rate limit exceeded.  Retry after 2026-11-22T10:00:00.500Z",
            datetime(2026, 11, 22, 10, 0, 0, 500_000, UTC),
        ),
        ("Retry after 2026-11-22T10:00:00+02:00 (Mail sending)", datetime(2026, 11, 22, 8, 0, tzinfo=UTC)),
        ("Retry after 2026-99-99T10:00:00Z", None),
        ("Retry after 0001-01-01T00:00:00+14:00", None),
        ("Retry later", None),
    ],
)
def test_gmail_names_the_moment_to_go_on_in_its_message(message: str, expected: datetime | None) -> None:
    fault = classify(Response(429, {}, json.dumps({"error": {"message": message}}).encode()))
    assert fault.resume_at == expected


@given(
    st.integers(300, 599),
    st.binary(max_size=100) | st.text(max_size=60).map(lambda text: json.dumps({"error": text}).encode()),
)
def test_any_refusal_means_something(status: int, body: bytes) -> None:
    assert issubclass(classify(Response(status, {}, body)).kind, PlatformError)
