"""Google: the connected account, and the meaning of errors."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import ContractChanged, PlatformError, RateLimited, ReconnectRequired, TokenExpired
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity, Platform
from chalicelib.platforms.core.faults import Fault
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.google import GOOGLE, USERINFO_URL, UserInfo, identify
from chalicelib.platforms.google.errors import classify
from chalicelib.secret import Secret
from chalicelib.settings import OAuthClient
from tests.http_fake import Fake, Reply

ClientOf = Callable[[Platform], Client]

TOKENINFO = "/oauth2.googleapis.com/tokeninfo"
USERINFO = "/www.googleapis.com/oauth2/v2/userinfo"
ERROR_RULES = json.loads((Path(__file__).parent / "payloads" / "google" / "errors.json").read_text())
CALENDAR_SCOPE = "https://www.googleapis.com/auth/calendar.events.readonly"


def test_the_account_is_the_user_with_the_scopes_of_the_token(fake: Fake, client_of: ClientOf) -> None:
    fake.on(TOKENINFO, Reply({"scope": f"openid email profile {CALENDAR_SCOPE}", "expires_in": "3599", "sub": "1042"}))
    fake.on(USERINFO, Reply({"id": "1042", "name": "Lena Hart", "email": "lena@example.com", "verified_email": True}))
    account = identify(client_of(GOOGLE))
    assert account == Identity("1042", "Lena Hart", ("openid", "email", "profile", CALENDAR_SCOPE))
    request, _ = fake.requests
    assert (request.method, request.query, request.form) == ("POST", [], {"access_token": "ya29.canary"})
    assert request.headers["authorization"] == "Bearer ya29.canary"


def test_an_account_without_a_name_is_named_by_its_address(fake: Fake, client_of: ClientOf) -> None:
    fake.on(TOKENINFO, Reply({"scope": "openid email"}))
    fake.on(USERINFO, Reply({"id": "1042", "email": "lena@example.com"}))
    assert identify(client_of(GOOGLE)).name == "lena@example.com"


def test_a_grant_without_an_identity_scope_works_without_a_name(fake: Fake, client_of: ClientOf) -> None:
    fake.on(TOKENINFO, Reply({"scope": CALENDAR_SCOPE, "expires_in": 3599}))
    assert identify(client_of(GOOGLE)) == Identity("", "Google account", (CALENDAR_SCOPE,))
    assert fake.paths() == [TOKENINFO]


def test_a_token_unknown_to_tokeninfo_has_expired(fake: Fake, client_of: ClientOf) -> None:
    fake.on(TOKENINFO, Reply({"error": "invalid_token", "error_description": "Invalid Value"}, status=400))
    with pytest.raises(TokenExpired):
        identify(client_of(GOOGLE))


@pytest.mark.parametrize("name", ERROR_RULES)
def test_errors_are_classified(fake: Fake, client_of: ClientOf, name: str) -> None:
    status, body, code = ERROR_RULES[name]
    fake.on(USERINFO, Reply(body, status=status))
    with pytest.raises(PlatformError) as caught:
        client_of(GOOGLE).get(USERINFO_URL, into=UserInfo)
    assert caught.value.code == code


def test_an_unknown_error_is_logged_with_googles_reason() -> None:
    status, body, _ = ERROR_RULES["not found"]
    assert classify(PlatformResponse(status, {}, json.dumps(body).encode())) == Fault(ContractChanged, "notFound")


def test_an_error_is_logged_with_googles_reasons_but_not_its_messages(fake: Fake, client_of: ClientOf) -> None:
    status, body, _ = ERROR_RULES["rate limit as 403"]
    fake.on(USERINFO, Reply(body, status=status))
    with pytest.raises(RateLimited) as caught:
        client_of(GOOGLE).get(USERINFO_URL, into=UserInfo)
    assert str(caught.value) == "403 GET www.googleapis.com/oauth2/v2/userinfo: rateLimitExceeded"


@pytest.mark.parametrize(
    ("limit", "scope"),
    [
        ("defaultPerMinutePerProject", "app"),
        ("defaultPerMinutePerUser", "account"),
        ("QueriesPerMinutePerProjectPerUser", "account"),
        (7, "account"),
    ],
)
def test_a_quota_is_per_user_or_per_project(limit: object, scope: str) -> None:
    info = {"reason": "RATE_LIMIT_EXCEEDED", "metadata": {"quota_limit": limit}}
    fault = classify(PlatformResponse(403, {}, json.dumps({"error": {"details": [info]}}).encode()))
    assert (fault.kind, fault.scope) == (RateLimited, scope)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no mailbox", ["Gmail", "administrator", "connect the account"]),
        ("calendar off", ["Google Calendar", "administrator", "connect the account"]),
        ("apps blocked in the domain", ["administrator", "ask them"]),
    ],
)
def test_an_error_that_a_person_can_fix_says_how(fake: Fake, client_of: ClientOf, name: str, words: list[str]) -> None:
    status, body, _ = ERROR_RULES[name]
    fake.on(USERINFO, Reply(body, status=status))
    with pytest.raises(PlatformError) as caught:
        client_of(GOOGLE).get(USERINFO_URL, into=UserInfo)
    assert [word for word in words if word not in caught.value.message] == []


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        (
            401,
            {"error": "deleted_client", "error_description": "The OAuth client was deleted."},
            "platform_misconfigured",
        ),
        (401, {"error": "disabled_client"}, "platform_misconfigured"),
        (403, {"error": "org_internal"}, "platform_misconfigured"),
        (401, {"error": "invalid_client"}, "platform_misconfigured"),
        (400, {"error": "admin_policy_enforced"}, "blocked_by_administrator"),
        (400, {"error": "access_not_configured"}, "blocked_by_administrator"),
        (400, {"error": "invalid_grant", "error_subtype": "invalid_rapt"}, "token_revoked"),
        (400, {"error": "invalid_grant", "error_description": None}, "token_revoked"),
        (403, {"error": "access_denied", "error_description": "Account restricted"}, "token_revoked"),
        (503, {"error": "invalid_grant"}, "platform_unavailable"),
        (401, {}, "platform_contract_changed"),
    ],
)
def test_token_endpoint_errors_are_classified(fake: Fake, status: int, answer: object, code: str) -> None:
    fake.on("/oauth2.googleapis.com/token", Reply(answer, status=status))
    client = OAuthClient("id", (Secret("GOCSPX-x"),))
    with pytest.raises(PlatformError) as caught:
        oauth2.refresh(
            GOOGLE, client=client, access_token=Secret("ya29.x"), refresh_token=Secret("1//x"), sandbox_url=fake.url
        )
    assert caught.value.code == code


def test_an_administrators_block_at_the_token_endpoint_asks_to_reconnect(fake: Fake) -> None:
    fake.on("/oauth2.googleapis.com/token", Reply({"error": "admin_policy_enforced"}, status=400))
    with pytest.raises(ReconnectRequired, match="admin_policy_enforced") as caught:
        oauth2.refresh(
            GOOGLE,
            client=OAuthClient("id", (Secret("GOCSPX-x"),)),
            access_token=Secret("ya29.x"),
            refresh_token=Secret("1//x"),
            sandbox_url=fake.url,
        )
    assert "administrator" in caught.value.message


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
def test_gmail_names_the_retry_time_in_its_message(message: str, expected: datetime | None) -> None:
    fault = classify(PlatformResponse(429, {}, json.dumps({"error": {"message": message}}).encode()))
    assert fault.resume_at == expected


@given(
    st.integers(300, 599),
    st.binary(max_size=100) | st.text(max_size=60).map(lambda text: json.dumps({"error": text}).encode()),
)
def test_any_error_is_classified(status: int, body: bytes) -> None:
    assert issubclass(classify(PlatformResponse(status, {}, body)).kind, PlatformError)
