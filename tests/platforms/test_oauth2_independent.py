"""The product's OAuth 2.0 against a server built with a third-party library: consent with PKCE, and refresh."""

import os
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from chalicelib.errors import Misconfigured, TokenRevoked
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
from chalicelib.secret import Secret
from chalicelib.settings import OAuthClient
from tests.oauth_server import CLIENT_ID, HOST, Server, oauth_server

REDIRECT_URI = "https://ansel.example.com/api/oauth/acme/callback?via=a b"
VERIFIER = Secret("verifier-4711-verifier-4711-verifier-4711-verifier")


@pytest.fixture(autouse=True, scope="module")
def plain_http() -> Iterator[None]:
    """Authlib rejects URLs without TLS."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"
    yield
    del os.environ["AUTHLIB_INSECURE_TRANSPORT"]


@pytest.fixture(params=["client_secret_post", "client_secret_basic"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with oauth_server(auth_method=request.param, redirect_uri=REDIRECT_URI) as started:
        yield started


@pytest.fixture
def acme(server: Server) -> Platform:
    assert server.client
    facts = OAuth2(
        authorize_url=f"https://{HOST}/authorize",
        token_url=f"https://{HOST}/token",
        client_auth="basic" if server.client.auth_method == "client_secret_basic" else "body",
    )
    return Platform(name="acme", title="Acme", hosts=frozenset({HOST}), oauth=facts)


def registered(server: Server) -> OAuthClient:
    assert server.client
    return OAuthClient(CLIENT_ID, (Secret(server.client.secret),))


def consent(server: Server, acme: Platform) -> Secret:
    """Acts as the browser: follows the URL, and brings the code back."""
    url = oauth2.authorize_url(
        acme,
        client_id=CLIENT_ID,
        redirect_uri=REDIRECT_URI,
        state="state&4711=",
        scopes=("calendar", "openid"),
        verifier=VERIFIER,
        sandbox_url=server.url,
    )
    answer = urllib3.request("GET", url, redirect=False)
    assert answer.status == 302, answer.data
    params = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert (params["state"], params["via"]) == (["state&4711="], ["a b"])
    return Secret(params["code"][0])


def exchange(server: Server, acme: Platform, code: Secret, verifier: Secret = VERIFIER) -> TokenGrant:
    return oauth2.exchange_code(
        acme,
        client=registered(server),
        code=code,
        redirect_uri=REDIRECT_URI,
        verifier=verifier,
        sandbox_url=server.url,
    )


def refresh(server: Server, acme: Platform, grant: TokenGrant, client: OAuthClient | None = None) -> TokenGrant:
    return oauth2.refresh(
        acme,
        client=client or registered(server),
        access_token=grant.access_token,
        refresh_token=grant.refresh_token,
        sandbox_url=server.url,
    )


def test_a_consent_becomes_a_grant_with_a_rotating_refresh_token(server: Server, acme: Platform) -> None:
    grant = exchange(server, acme, consent(server, acme))
    assert grant.scopes == ("calendar", "openid")
    assert grant.expires_in
    refreshed = refresh(server, acme, grant)
    assert refreshed.access_token != grant.access_token
    assert refreshed.refresh_token not in (None, grant.refresh_token)
    with pytest.raises(TokenRevoked):
        refresh(server, acme, grant)
    assert refresh(server, acme, refreshed).access_token


def test_a_code_works_once_and_only_with_its_verifier(server: Server, acme: Platform) -> None:
    code = consent(server, acme)
    exchange(server, acme, code)
    with pytest.raises(TokenRevoked):
        exchange(server, acme, code)
    with pytest.raises(TokenRevoked):
        exchange(server, acme, consent(server, acme), Secret("another-verifier-another-verifier-another-verifier"))


def test_a_rejected_secret_is_followed_by_the_next_one(server: Server, acme: Platform) -> None:
    grant = exchange(server, acme, consent(server, acme))
    right = registered(server).secrets[0]
    with pytest.raises(Misconfigured):
        refresh(server, acme, grant, OAuthClient(CLIENT_ID, (Secret("withdrawn"),)))
    assert refresh(server, acme, grant, OAuthClient(CLIENT_ID, (Secret("withdrawn"), right))).access_token
