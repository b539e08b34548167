"""Refreshing and revoking a grant, against a real server."""

import base64
import dataclasses
import logging
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chalicelib.errors import (
    ContractChanged,
    Misconfigured,
    PlatformError,
    RateLimited,
    TokenExpired,
    TokenRevoked,
    TransientFault,
)
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.faults import Fault
from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.secret import Secret
from chalicelib.settings import OAuthClient
from tests.http_fake import Fake, Reply

FACTS = OAuth2(
    authorize_url="https://auth.acme.test/authorize",
    token_url="https://auth.acme.test/token",
    revoke_url="https://auth.acme.test/revoke",
)
ACME = Platform(name="acme", title="Acme", hosts=frozenset({"auth.acme.test"}), oauth=FACTS)
TOKEN = "/auth.acme.test/token"
REVOKE = "/auth.acme.test/revoke"
SECRETS = ("client/secret+4711", "1//refresh-4711", "ya29.access-4711")
ANSWER = {"access_token": SECRETS[2], "expires_in": 3599, "scope": "a b", "token_type": "Bearer"}


def refresh(fake: Fake, platform: Platform = ACME, *secrets: str) -> TokenGrant:
    return oauth2.refresh(
        platform,
        client=OAuthClient("client:id", tuple(map(Secret, secrets or SECRETS[:1]))),
        access_token=Secret(SECRETS[2]),
        refresh_token=Secret(SECRETS[1]),
        sandbox_url=fake.url,
    )


def revoke(fake: Fake, platform: Platform = ACME) -> bool:
    return oauth2.revoke(platform, token=Secret(SECRETS[1]), sandbox_url=fake.url)


def test_a_refresh_sends_the_grant_and_the_client_in_the_body(fake: Fake) -> None:
    fake.on(TOKEN, Reply(ANSWER))
    assert refresh(fake) == TokenGrant(Secret(SECRETS[2]), None, 3599, ("a", "b"))
    [request] = fake.requests
    assert request.form == {
        "grant_type": "refresh_token",
        "refresh_token": SECRETS[1],
        "client_id": "client:id",
        "client_secret": SECRETS[0],
    }
    assert "authorization" not in request.headers


def test_a_platform_may_require_the_client_in_the_header(fake: Fake) -> None:
    fake.on(TOKEN, Reply(ANSWER))
    refresh(fake, replace(ACME, oauth=replace(FACTS, client_auth="basic")))
    [request] = fake.requests
    assert request.form == {"grant_type": "refresh_token", "refresh_token": SECRETS[1]}
    scheme, _, pair = request.headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair)) == ("Basic", b"client%3Aid:client%2Fsecret%2B4711")


@pytest.mark.parametrize(
    ("answer", "grant"),
    [
        ({"access_token": "a", "token_type": "Bearer"}, TokenGrant(Secret("a"))),
        ({"access_token": "a", "expires_in": "3600"}, TokenGrant(Secret("a"), None, 3600)),
        ({"access_token": "a", "refresh_token": "r"}, TokenGrant(Secret("a"), Secret("r"))),
        ({"access_token": "a", "refresh_token": ""}, TokenGrant(Secret("a"))),
        ({"access_token": "a", "scope": ""}, TokenGrant(Secret("a"), scopes=())),
        ({"access_token": "a", "id_token": "ignored", "refresh_token_expires_at": 5}, TokenGrant(Secret("a"))),
        (
            {"access_token": "a", "refresh_token_expires_in": 604799},
            TokenGrant(Secret("a"), refresh_expires_in=604799),
        ),
        ({"access_token": "a", "expires_in": 3600.0}, TokenGrant(Secret("a"), None, 3600)),
    ],
)
def test_missing_response_fields_are_none(fake: Fake, answer: dict[str, object], grant: TokenGrant) -> None:
    fake.on(TOKEN, Reply(answer))
    assert refresh(fake) == grant


@pytest.mark.parametrize("lifetime", [-1, "soon", 10**30, True, [3600], 1.5, "\u0663600"])
@pytest.mark.parametrize("name", ["expires_in", "refresh_token_expires_in"])
def test_an_unreadable_lifetime_does_not_lose_a_rotated_token(fake: Fake, name: str, lifetime: object) -> None:
    fake.on(TOKEN, Reply({"access_token": "a", "refresh_token": "r", name: lifetime}))
    assert refresh(fake) == TokenGrant(Secret("a"), Secret("r"))


@pytest.mark.parametrize("scope", ["ads_read,pages_show_list", "ads_read pages_show_list", "ads_read, pages_show_list"])
def test_scopes_are_split_at_spaces_and_commas(fake: Fake, scope: str) -> None:
    fake.on(TOKEN, Reply({"access_token": "a", "scope": scope}))
    assert refresh(fake).scopes == ("ads_read", "pages_show_list")


def test_client_secrets_are_tried_in_order(fake: Fake) -> None:
    refused = Reply({"error": "invalid_client"}, status=401)
    fake.on(TOKEN, refused, refused, Reply(ANSWER))
    assert refresh(fake, ACME, "newest", "current", "old").access_token == Secret(SECRETS[2])
    assert [request.form["client_secret"] for request in fake.requests] == ["newest", "current", "old"]


def test_if_no_secret_is_accepted_an_operator_must_act(fake: Fake) -> None:
    fake.on(TOKEN, Reply({"error": "invalid_client"}, status=401))
    with pytest.raises(Misconfigured):
        refresh(fake, ACME, "newest", "old")
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("status", "error"), [(400, "invalid_grant"), (503, "x"), (429, "x"), (400, "invalid_request")]
)
def test_only_a_rejected_client_leads_to_the_next_secret(fake: Fake, status: int, error: str) -> None:
    fake.on(TOKEN, Reply({"error": error}, status=status))
    with pytest.raises(PlatformError):
        refresh(fake, ACME, "newest", "old")
    assert len(fake.requests) == 1


def test_a_client_without_a_secret_sends_nothing(fake: Fake) -> None:
    with pytest.raises(Misconfigured, match="no secret"):
        oauth2.refresh(
            ACME,
            client=OAuthClient("client:id", ()),
            access_token=Secret("a"),
            refresh_token=Secret("r"),
            sandbox_url=fake.url,
        )
    assert fake.requests == []


def test_a_grant_without_a_refresh_token_cannot_be_refreshed(fake: Fake) -> None:
    with pytest.raises(TokenExpired):
        oauth2.refresh(
            ACME, client=OAuthClient("client:id", (Secret("s"),)), access_token=Secret("a"), sandbox_url=fake.url
        )
    assert fake.requests == []


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}, TokenRevoked),
        (400, {"error": "invalid_grant", "error_subtype": "invalid_rapt"}, TokenRevoked),
        (401, {"error": "invalid_client"}, Misconfigured),
        (400, {"error": "unauthorized_client"}, Misconfigured),
        (400, {"error": "temporarily_unavailable"}, TransientFault),
        (400, {"error": "other", "error_description": "internal_failure"}, TransientFault),
        (400, {"error": "server_error"}, TransientFault),
        (408, {}, TransientFault),
        (429, {"error": "invalid_grant"}, RateLimited),
        (500, {"error": "invalid_grant"}, TransientFault),
        (502, "<html>", TransientFault),
        (400, {"error": "never_heard_of"}, ContractChanged),
        (400, ["invalid_grant"], ContractChanged),
        (404, {}, ContractChanged),
        (302, {}, ContractChanged),
        (200, {"error": "invalid_grant"}, TokenRevoked),
        (200, {"error": "invalid_client", "error_description": "x"}, Misconfigured),
        (200, {"error": "never_heard_of"}, ContractChanged),
        (200, {}, ContractChanged),
        (200, {"access_token": ""}, ContractChanged),
        (200, {"access_token": 7}, ContractChanged),
        (200, {"access_token": "a", "refresh_token": 7}, ContractChanged),
        (200, {"access_token": "a", "error": "server_error"}, ContractChanged),
        (200, ["a"], ContractChanged),
    ],
)
def test_errors_are_classified(fake: Fake, status: int, answer: object, kind: type[PlatformError]) -> None:
    fake.on(TOKEN, Reply(answer, status=status))
    with pytest.raises(PlatformError) as caught:
        refresh(fake)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(f"{status} POST auth.acme.test/token")


def test_a_rate_limit_says_when_to_retry(fake: Fake) -> None:
    fake.on(TOKEN, Reply({}, status=429, headers={"Retry-After": "Sun, 22 Nov 2026 11:00:00 GMT"}))
    with pytest.raises(RateLimited) as caught:
        refresh(fake)
    assert caught.value.resume_at is not None
    assert caught.value.resume_at.isoformat() == "2026-11-22T11:00:00+00:00"


@given(
    st.binary(max_size=120) | st.from_regex(rb'\{"(access_token|expires_in|scope)": ?("a"|-?[0-9]+|NaN|null|\[\])\}')
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_response_is_a_grant_or_one_of_our_errors(fake: Fake, body: bytes) -> None:
    fake.on(TOKEN, Reply(body=body))
    try:
        refresh(fake)
    except (ContractChanged, TransientFault):
        return  # any other error fails the test


def test_revoking_sends_the_token_and_nothing_else(fake: Fake) -> None:
    fake.on(REVOKE, Reply(body=b""))
    assert revoke(fake) is True
    [request] = fake.requests
    assert (request.method, request.form) == ("POST", {"token": SECRETS[1]})


def test_revoking_an_unknown_token_is_not_an_error(fake: Fake) -> None:
    fake.on(REVOKE, Reply({"error": "invalid_token"}, status=400))
    assert revoke(fake) is False


@pytest.mark.parametrize(("status", "known"), [(200, True), (401, False)])
def test_a_platform_may_require_delete_authorized_by_the_token(fake: Fake, status: int, known: bool) -> None:
    def classify(_: PlatformResponse) -> Fault:
        return Fault(TokenRevoked)

    fake.on(REVOKE, Reply({}, status=status))
    facts = replace(FACTS, revoke_method="DELETE", classify=classify)
    assert revoke(fake, replace(ACME, oauth=facts)) is known
    [request] = fake.requests
    assert (request.method, request.form, request.query) == ("DELETE", {}, [])
    assert request.headers["authorization"] == f"Bearer {SECRETS[1]}"


@pytest.mark.parametrize("token", ["two\r\nlines", "", "caf\u00e9"])
def test_an_impossible_token_is_not_sent(fake: Fake, token: str) -> None:
    facts = replace(FACTS, revoke_method="DELETE")
    platform = replace(ACME, oauth=facts)
    assert oauth2.revoke(platform, token=Secret(token), sandbox_url=fake.url) is False
    assert fake.requests == []


def test_without_a_revocation_url_nothing_is_sent(fake: Fake) -> None:
    assert revoke(fake, replace(ACME, oauth=replace(FACTS, revoke_url=""))) is False
    assert fake.requests == []


@pytest.mark.parametrize(("status", "kind"), [(503, TransientFault), (400, ContractChanged), (429, RateLimited)])
def test_revocation_errors_are_classified(fake: Fake, status: int, kind: type[PlatformError]) -> None:
    fake.on(REVOKE, Reply({}, status=status))
    with pytest.raises(kind):
        revoke(fake)


def test_a_platform_without_oauth_is_misconfigured(fake: Fake) -> None:
    with pytest.raises(Misconfigured, match="Acme has no OAuth"):
        refresh(fake, Platform(name="acme", title="Acme"))


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"error": "invalid_request", "error_description": f"no {SECRETS[1]}"}, status=400),
        Reply({"access_token": [SECRETS[2]]}),
        Reply({"access_token": SECRETS[2], "error": SECRETS[1]}),
        Reply({"access_token": SECRETS[2], "scope": [SECRETS[2]]}),
        Reply(body=SECRETS[2].encode()),
        Reply(breaks=True),
    ],
)
@pytest.mark.parametrize("call", [refresh, revoke])
def test_no_secret_is_in_an_error_or_a_log(
    fake: Fake, call: Callable[[Fake], object], reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    fake.on(TOKEN, reply)
    fake.on(REVOKE, dataclasses.replace(reply, status=400))
    with caplog.at_level(logging.DEBUG), pytest.raises(PlatformError) as caught:
        call(fake)
    output = [caplog.text]
    error: BaseException | None = caught.value
    while error is not None:
        output += [str(error), repr(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    assert [secret for secret in SECRETS if secret in " ".join(output)] == []


def test_a_grants_repr_shows_no_token() -> None:
    assert "4711" not in repr(TokenGrant(Secret(SECRETS[2]), Secret(SECRETS[1])))
