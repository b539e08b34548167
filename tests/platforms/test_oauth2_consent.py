"""Requesting consent and exchanging its code: what is sent, by the facts of a platform."""

import base64
import hashlib
import logging
from urllib.parse import parse_qsl, urlsplit

import pytest
from msgspec.structs import replace

from chalicelib.errors import ContractChanged, Misconfigured, PlatformError, TokenRevoked
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
from chalicelib.platforms.core.transport import Transport
from chalicelib.platforms.registry import NAMES, get_platform
from chalicelib.secret import Secret
from chalicelib.settings import OAuthClient
from tests.http_fake import Fake, Reply

FACTS = OAuth2(authorize_url="https://www.acme.test/dialog", token_url="https://auth.acme.test/token")
ACME = Platform(name="acme", title="Acme", hosts=frozenset({"auth.acme.test"}), oauth=FACTS)
TOKEN = "/auth.acme.test/token"
REDIRECT_URI = "https://ansel.example.com/api/oauth/acme/callback"
CODE, VERIFIER, SECRET, ACCESS = "code/4711", "verifier-4711-" * 4, "client-secret-4711", "access-4711"
CLIENT = OAuthClient("client", (Secret(SECRET),))


def address(platform: Platform = ACME, sandbox_url: str = "", verifier: str = VERIFIER) -> str:
    return oauth2.authorize_url(
        platform,
        client_id="client",
        redirect_uri=REDIRECT_URI,
        state="state-1",
        scopes=("one", "two", "one"),
        verifier=Secret(verifier) if verifier else None,
        sandbox_url=sandbox_url,
    )


def params(platform: Platform = ACME, verifier: str = VERIFIER) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(address(platform, verifier=verifier)).query))


def with_facts(**facts: object) -> Platform:
    return replace(ACME, oauth=replace(FACTS, **facts))


def exchange(fake: Fake, platform: Platform = ACME) -> TokenGrant:
    return oauth2.exchange_code(
        platform,
        client=CLIENT,
        code=Secret(CODE),
        redirect_uri=REDIRECT_URI,
        verifier=Secret(VERIFIER),
        sandbox_url=fake.url,
    )


def test_the_url_requests_a_code_bound_to_the_verifier() -> None:
    assert address().startswith("https://www.acme.test/dialog?")
    assert params() == {
        "response_type": "code",
        "client_id": "client",
        "redirect_uri": REDIRECT_URI,
        "scope": "one two",
        "state": "state-1",
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    assert VERIFIER not in address()


@pytest.mark.parametrize(
    ("platform", "verifier"), [(ACME, ""), (replace(ACME, oauth=replace(FACTS, pkce=False)), VERIFIER)]
)
def test_without_pkce_there_is_no_challenge(platform: Platform, verifier: str) -> None:
    assert not [name for name in params(platform, verifier) if name.startswith("code_challenge")]


def test_a_platform_has_its_own_parameters_and_scope_separator() -> None:
    query = params(with_facts(authorize_params=(("prompt", "consent"),), scope_separator=","))
    assert (query["prompt"], query["scope"]) == ("consent", "one,two")


def test_a_sandbox_replaces_the_platform() -> None:
    url = urlsplit(address(sandbox_url="http://127.0.0.1:99/"))
    assert (url.netloc, url.path) == ("127.0.0.1:99", "/www.acme.test/dialog")


def test_a_platform_may_name_the_client_its_own_way(fake: Fake) -> None:
    platform = with_facts(client_id_param="client_key", client_secret_param="app_secret")
    asked = params(platform)
    assert asked["client_key"] == "client"
    assert "client_id" not in asked
    assert asked | {"client_id": "client"} == params() | {"client_key": "client"}
    fake.on(TOKEN, Reply({"access_token": ACCESS}))
    exchange(fake, platform)
    (request,) = fake.requests
    assert (request.form["client_key"], request.form["app_secret"]) == ("client", SECRET)
    assert not {"client_id", "client_secret"} & request.form.keys()


def test_a_code_is_exchanged_with_its_verifier_and_the_client(fake: Fake) -> None:
    fake.on(TOKEN, Reply({"access_token": ACCESS, "refresh_token": "r", "expires_in": 60, "scope": "one"}))
    grant = exchange(fake, with_facts(code_params=(("continuous_refresh", "true"),)))
    assert grant == TokenGrant(Secret(ACCESS), Secret("r"), 60, ("one",))
    [request] = fake.requests
    assert (request.method, request.query) == ("POST", [])
    assert request.form == {
        "grant_type": "authorization_code",
        "code": CODE,
        "redirect_uri": REDIRECT_URI,
        "code_verifier": VERIFIER,
        "continuous_refresh": "true",
        "client_id": "client",
        "client_secret": SECRET,
    }


def test_a_platform_without_pkce_gets_no_verifier(fake: Fake) -> None:
    fake.on(TOKEN, Reply({"access_token": ACCESS}))
    exchange(fake, with_facts(pkce=False))
    assert "code_verifier" not in fake.requests[0].form


def test_where_tokens_are_exchanged_a_code_yields_a_long_lived_one(fake: Fake) -> None:
    fake.on(
        TOKEN, Reply({"access_token": "short", "expires_in": 60}), Reply({"access_token": ACCESS, "expires_in": 99})
    )
    grant = exchange(
        fake,
        with_facts(
            token_method="GET",
            lasting="exchange",
            exchange_type="acme_exchange",
            exchange_param="short_token",
            pkce=False,
        ),
    )
    assert grant == TokenGrant(Secret(ACCESS), None, 99)
    first, second = (dict(request.query) for request in fake.requests)
    assert (first["grant_type"], first["code"]) == ("authorization_code", CODE)
    assert (second["grant_type"], second["short_token"]) == ("acme_exchange", "short")
    assert [(request.method, request.form) for request in fake.requests] == [("GET", {})] * 2


def test_an_unreported_lifetime_is_requested(fake: Fake) -> None:
    def find_lifetime(transport: Transport, client_id: str, secret: Secret, token: Secret) -> int:
        assert (client_id, secret, token) == ("client", Secret(SECRET), Secret(ACCESS))
        return 1234

    platform = with_facts(find_lifetime=find_lifetime)
    for unknown in ({}, {"expires_in": 0}, {"expires_in": "soon"}):
        fake.on(TOKEN, Reply({"access_token": ACCESS, **unknown}))
        assert exchange(fake, platform).expires_in == 1234
    fake.on(TOKEN, Reply({"access_token": ACCESS, "expires_in": 60}))
    assert exchange(fake, platform).expires_in == 60


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (400, {"error": "invalid_grant", "error_description": "Malformed auth code."}, TokenRevoked),
        (400, {"error": "redirect_uri_mismatch"}, Misconfigured),
        (200, {"token_type": "Bearer"}, ContractChanged),
    ],
)
def test_exchange_errors_are_classified(fake: Fake, status: int, answer: object, kind: type[PlatformError]) -> None:
    fake.on(TOKEN, Reply(answer, status=status))
    with pytest.raises(PlatformError) as caught:
        exchange(fake)
    assert type(caught.value) is kind


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_code_verifier_or_secret_is_in_an_error_or_a_log(
    fake: Fake, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    description = f"refused {CODE} {VERIFIER} {SECRET}"
    fake.on(TOKEN, Reply({"error": "invalid_grant", "error_description": description}, status=400))
    with caplog.at_level(logging.DEBUG), pytest.raises(TokenRevoked) as caught:
        exchange(fake, with_facts(token_method=method))
    output = f"{caplog.text} {caught.value!r} {vars(caught.value)}"
    assert "4711" not in output
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("platform", [get_platform(name) for name in NAMES], ids=lambda platform: platform.name)
def test_exactly_the_platforms_with_grants_have_oauth(platform: Platform) -> None:
    assert (platform.oauth is not None) is (platform.credential == "oauth")
    if platform.oauth is None:
        return
    hosts = {urlsplit(url).netloc for url in (platform.oauth.token_url, platform.oauth.revoke_url) if url}
    assert hosts <= platform.hosts
    assert platform.oauth.refresh_every
    assert platform.oauth.identity_scopes


@pytest.mark.parametrize("name", NAMES)
def test_what_is_exchanged_has_a_name(name: str) -> None:
    oauth = get_platform(name).oauth
    if oauth is not None:
        assert bool(oauth.exchange_type and oauth.exchange_param) == (oauth.lasting == "exchange")


def test_each_platform_declares_whether_it_needs_a_refresh_token() -> None:
    lost = {name for name in NAMES if (each := get_platform(name)).oauth and each.oauth.needs_refresh_token}
    assert lost == {"google", "pinterest"}
