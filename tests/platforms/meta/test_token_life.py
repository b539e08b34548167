"""Meta's tokens: exchanged while they are valid, their lifetime, and the errors of the exchange."""

import json

import pytest

from chalicelib import clock
from chalicelib.errors import ContractChanged, Misconfigured, PlatformError, TokenRevoked
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.oauth2 import TokenGrant
from chalicelib.platforms.core.transport import PlatformResponse, Transport
from chalicelib.platforms.meta import META
from chalicelib.platforms.meta.errors import classify_token_error
from chalicelib.platforms.meta.token_life import find_lifetime
from chalicelib.secret import Secret
from chalicelib.settings import OAuthClient
from dev.sandbox import Sandbox
from dev.sandbox.meta import APP_ID, APP_SECRET, issue_token
from tests.conftest import NOON
from tests.http_fake import Fake, Reply

DEBUG_TOKEN = "/graph.facebook.com/v26.0/debug_token"
ERROR_RULES = {
    "a used code": (100, 36009, "This authorization code has been used.", "token_revoked"),
    "an old code": (100, 36007, "This authorization code has expired.", "token_revoked"),
    "no code": (100, 0, "Invalid verification code format.", "token_revoked"),
    "an expired token": (190, 463, "Error validating access token: Session has expired", "token_revoked"),
    "a removed application": (190, 458, "The user has not authorized application", "token_revoked"),
    "another redirect URI": (100, 36008, "Error validating verification code.", "platform_misconfigured"),
    "an unknown application": (101, 0, "Error validating application.", "platform_misconfigured"),
    "a wrong secret": (1, 0, "Error validating client secret.", "platform_misconfigured"),
    "a passing fault": (2, 0, "Service temporarily unavailable", "platform_unavailable"),
    "an unknown fault": (1, 0, "An unknown error occurred", "platform_unavailable"),
    "a limit": (4, 0, "Application request limit reached", "platform_rate_limited"),
    "a wrong parameter": (100, 0, "Unsupported parameter", "platform_contract_changed"),
}


def refresh(sandbox: Sandbox, token: str, *secrets: str) -> TokenGrant:
    client = OAuthClient(APP_ID, tuple(map(Secret, secrets or (APP_SECRET,))))
    return oauth2.refresh(META, client=client, access_token=Secret(token), sandbox_url=sandbox.url)


@pytest.mark.parametrize("name", ERROR_RULES)
def test_exchange_errors_are_classified(name: str) -> None:
    code, subcode, message, expected = ERROR_RULES[name]
    error = {"message": message, "type": "OAuthException", "code": code, "error_subcode": subcode}
    assert classify_token_error(PlatformResponse(400, {}, json.dumps({"error": error}).encode())).kind.code == expected


def test_a_valid_token_is_exchanged_for_one_of_sixty_days(sandbox: Sandbox) -> None:
    present = issue_token(lifetime=600).access_token
    grant = refresh(sandbox, present)
    assert grant.access_token != Secret(present)
    assert (grant.refresh_token, grant.expires_in) == (None, 5_183_944)


def test_a_dead_token_cannot_be_exchanged(sandbox: Sandbox) -> None:
    with pytest.raises(TokenRevoked):
        refresh(sandbox, issue_token(lifetime=0).access_token)
    present = issue_token().access_token
    sandbox.meta.revoke()
    with pytest.raises(TokenRevoked) as caught:
        refresh(sandbox, present)
    assert present not in str(caught.value)
    with pytest.raises(TokenRevoked) as caught:
        refresh(sandbox, "invented-token")
    assert "invented-token" not in str(caught.value)


def test_a_rejected_new_secret_is_followed_by_the_old_one(sandbox: Sandbox) -> None:
    token = issue_token().access_token
    assert refresh(sandbox, token, "not live yet", APP_SECRET).access_token
    with pytest.raises(Misconfigured):
        refresh(sandbox, token, "not live yet")
    sandbox.meta.set_client_secrets(["second", "third"])
    assert refresh(sandbox, token, "first", "third").access_token


def test_an_unreported_lifetime_is_requested(sandbox: Sandbox) -> None:
    sandbox.add_fault(kind="shape", path="/v26.0/oauth/access_token", body={"expires_in": None})
    grant = refresh(sandbox, issue_token().access_token)
    assert grant.expires_in is not None
    assert 5_183_900 < grant.expires_in <= 5_183_944
    assert sandbox.requests.counts() == {"oauth.access_token": 1, "debug_token": 1}


def ask_lifetime(fake: Fake) -> int | None:
    return find_lifetime(Transport.to(META, fake.url), "app", Secret("secret-4711"), Secret("token-4711"))


@pytest.mark.parametrize(("expires_at", "expected"), [(0, None), (1, 0)])
def test_a_token_may_never_expire_or_be_expired(fake: Fake, expires_at: int, expected: int | None) -> None:
    fake.on(DEBUG_TOKEN, Reply({"data": {"expires_at": expires_at, "is_valid": True}}))
    assert ask_lifetime(fake) == expected
    assert dict(fake.requests[0].query) == {"input_token": "token-4711", "access_token": "app|secret-4711"}


def test_a_lifetime_counts_from_now(fake: Fake) -> None:
    fake.on(DEBUG_TOKEN, Reply({"data": {"expires_at": int(NOON.timestamp()) + 3600}}))
    with clock.at(NOON):
        assert ask_lifetime(fake) == 3600


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"data": {"is_valid": False}}),
        Reply({"data": []}),
        Reply({"error": {"message": "bad token-4711 secret-4711", "code": 190}}, status=400),
        Reply({}, status=500),
    ],
)
def test_an_unknown_lifetime_is_an_error_without_secrets(fake: Fake, reply: Reply) -> None:
    fake.on(DEBUG_TOKEN, reply)
    with pytest.raises(PlatformError) as caught:
        ask_lifetime(fake)
    assert "4711" not in f"{caught.value} {caught.value.message}"


def test_revoking_a_grant_removes_the_application(sandbox: Sandbox) -> None:
    token = Secret(issue_token().access_token)
    assert oauth2.revoke(META, token=token, sandbox_url=sandbox.url) is True
    assert oauth2.revoke(META, token=token, sandbox_url=sandbox.url) is False
    with pytest.raises(TokenRevoked):
        refresh(sandbox, token.reveal())


def test_a_failed_removal_is_reported(fake: Fake) -> None:
    fake.on("/graph.facebook.com/v26.0/me/permissions", Reply({"error": {"code": 100, "message": "x"}}, status=400))
    with pytest.raises(ContractChanged):
        oauth2.revoke(META, token=Secret("EAAG"), sandbox_url=fake.url)
