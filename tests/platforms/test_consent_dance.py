"""From the consent page to a refreshed grant, with each sandbox platform and the product's side of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Barrier, Thread
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3

from chalicelib.errors import Misconfigured, PlatformError, TokenRevoked
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity, Platform
from chalicelib.platforms.core.oauth2 import TokenGrant
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.meta import META
from chalicelib.platforms.pinterest import PINTEREST
from chalicelib.secret import Secret
from chalicelib.settings import OAuthClient
from dev.sandbox import CREDENTIALS, Sandbox
from tests.conftest import TODAY

REDIRECT_URI = "https://ansel.example.com/api/oauth/callback"
VERIFIER = Secret("verifier-" * 6)


@dataclass
class Dance:
    """One platform, and a browser whose user does what the test says."""

    platform: Platform
    sandbox: Sandbox

    @property
    def client(self) -> OAuthClient:
        name = self.platform.name.upper()
        return OAuthClient(CREDENTIALS[f"{name}_CLIENT_ID"], (Secret(CREDENTIALS[f"{name}_CLIENT_SECRET"]),))

    def address(self) -> str:
        oauth = self.platform.oauth
        assert oauth is not None
        return oauth2.authorize_url(
            self.platform,
            client_id=self.client.id,
            redirect_uri=REDIRECT_URI,
            state="state-1",
            scopes=(
                *oauth.identity_scopes,
                *(scope for stream in self.platform.streams for scope in stream.asked_scopes),
            ),
            verifier=VERIFIER,
            sandbox_url=self.sandbox.url,
        )

    def follow(self, more: str) -> dict[str, list[str]]:
        """The parameters that the browser brings back."""
        answer = urllib3.request("GET", f"{self.address()}&{more}", redirect=False)
        assert answer.status == 302, answer.data
        location = urlsplit(answer.headers["Location"])
        assert f"{location.scheme}://{location.netloc}{location.path}" == REDIRECT_URI
        return parse_qs(location.query)

    def consent(self, more: str = "auto=approve") -> Secret:
        return Secret(self.follow(more)["code"][0])

    def exchange(
        self, code: Secret, verifier: Secret | None = VERIFIER, redirect_uri: str = REDIRECT_URI
    ) -> TokenGrant:
        return oauth2.exchange_code(
            self.platform,
            client=self.client,
            code=code,
            redirect_uri=redirect_uri,
            verifier=verifier,
            sandbox_url=self.sandbox.url,
        )

    def refresh(self, grant: TokenGrant) -> TokenGrant:
        return oauth2.refresh(
            self.platform,
            client=self.client,
            access_token=grant.access_token,
            refresh_token=grant.refresh_token,
            sandbox_url=self.sandbox.url,
        )

    def identify(self, grant: TokenGrant) -> Identity:
        assert self.platform.identify
        return self.platform.identify(Client(self.platform, grant.access_token, sandbox_url=self.sandbox.url))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(today=TODAY) as started:
        yield started


@pytest.fixture(params=[GOOGLE, META, PINTEREST], ids=lambda platform: platform.name)
def dance(request: pytest.FixtureRequest, sandbox: Sandbox) -> Dance:
    return Dance(request.param, sandbox)


@pytest.fixture
def google(sandbox: Sandbox) -> Dance:
    return Dance(GOOGLE, sandbox)


@pytest.fixture
def pinterest(sandbox: Sandbox) -> Dance:
    return Dance(PINTEREST, sandbox)


def test_an_authorization_yields_a_grant_that_can_be_identified_and_refreshed(dance: Dance) -> None:
    brought = dance.follow("auto=approve&account=empty")
    assert brought["state"] == ["state-1"]
    grant = dance.exchange(Secret(brought["code"][0]))
    account = dance.identify(grant)
    assert account.external_id
    assert account == dance.identify(dance.refresh(grant))
    assert account != dance.identify(dance.exchange(dance.consent()))


def test_a_grant_contains_what_keeps_it_alive(dance: Dance) -> None:
    oauth, grant = dance.platform.oauth, dance.exchange(dance.consent())
    assert oauth is not None
    assert (grant.refresh_token is not None) is oauth.needs_refresh_token
    assert grant.expires_in is not None
    assert grant.expires_in > oauth.refresh_early.total_seconds()


def test_a_denial_redirects_with_a_reason_and_no_code(dance: Dance) -> None:
    brought = dance.follow("auto=deny")
    assert (brought["error"], brought["state"]) == (["access_denied"], ["state-1"])
    assert "code" not in brought


def test_a_code_works_once(dance: Dance) -> None:
    code = dance.consent()
    dance.exchange(code)
    with pytest.raises(TokenRevoked):
        dance.exchange(code)


def test_an_invented_code_is_rejected(dance: Dance) -> None:
    with pytest.raises(TokenRevoked):
        dance.exchange(Secret("4/0invented"))


def test_a_code_belongs_to_its_redirect_uri(dance: Dance) -> None:
    with pytest.raises((Misconfigured, TokenRevoked)):
        dance.exchange(dance.consent(), redirect_uri=f"{REDIRECT_URI}/")


def test_deselected_scopes_are_not_granted(dance: Dance) -> None:
    assert dance.platform.oauth
    scope = dance.platform.oauth.identity_scopes[0]
    grant = dance.exchange(dance.consent(f"auto=approve&scopes={scope}"))
    granted = grant.scopes if grant.scopes is not None else dance.identify(grant).scopes
    assert granted == (scope,)


def test_a_removed_application_ends_the_grant(dance: Dance) -> None:
    grant = dance.exchange(dance.consent())
    getattr(dance.sandbox, dance.platform.name).revoke()
    with pytest.raises(TokenRevoked):
        dance.refresh(grant)
    with pytest.raises(PlatformError):
        dance.identify(grant)
    assert dance.identify(dance.exchange(dance.consent())).external_id


def test_a_replaced_client_secret_is_rejected(dance: Dance) -> None:
    grant, code = dance.exchange(dance.consent()), dance.consent()
    getattr(dance.sandbox, dance.platform.name).set_client_secrets(["the next one"])
    with pytest.raises(Misconfigured):
        dance.refresh(grant)
    with pytest.raises(Misconfigured):
        dance.exchange(code)


ADDRESSES = {
    "google": ("accounts.google.com/o/oauth2/v2/auth", {"access_type", "prompt", "include_granted_scopes"}, True),
    "meta": ("www.facebook.com/v26.0/dialog/oauth", {"auth_type"}, False),
    "pinterest": ("www.pinterest.com/oauth/", set(), False),
}


def test_each_platform_gets_its_own_parameters(dance: Dance) -> None:
    address = urlsplit(dance.address())
    place, own, proves = ADDRESSES[dance.platform.name]
    assert address.path == f"/{place}"
    standard = {"response_type", "client_id", "redirect_uri", "scope", "state"}
    challenge = {"code_challenge", "code_challenge_method"} if proves else set()
    assert set(parse_qs(address.query)) == standard | own | challenge


def test_google_is_also_asked_for_the_list_of_calendars(google: Dance) -> None:
    scopes = google.exchange(google.consent()).scopes or ()
    assert "https://www.googleapis.com/auth/calendar.calendarlist.readonly" in scopes
    assert "https://www.googleapis.com/auth/calendar.events.readonly" in scopes
    assert len(set(scopes)) == len(scopes) == 6


def test_google_requires_the_verifier(google: Dance) -> None:
    for verifier in (None, Secret("another-" * 6)):
        with pytest.raises(TokenRevoked):
            google.exchange(google.consent(), verifier)


@pytest.mark.parametrize("less", ["access_type=online", "prompt=none"])
def test_google_issues_a_refresh_token_only_on_request(google: Dance, less: str) -> None:
    assert google.exchange(google.consent(f"auto=approve&{less}")).refresh_token is None


def test_google_keeps_the_refresh_token(google: Dance) -> None:
    grant = google.exchange(google.consent())
    assert google.refresh(grant).refresh_token is None
    assert google.refresh(grant).access_token


def test_googles_testing_mode_is_visible_in_the_grant(google: Dance) -> None:
    google.sandbox.google.set_testing_mode()
    grant = google.exchange(google.consent())
    assert grant.refresh_expires_in == google.refresh(grant).refresh_expires_in == 604_799


def test_pinterest_rotates_the_refresh_token_and_ends_the_old_one_at_once(pinterest: Dance) -> None:
    first = pinterest.exchange(pinterest.consent())
    second = pinterest.refresh(first)
    assert second.refresh_token not in (None, first.refresh_token)
    assert second.refresh_expires_in == 60 * 86_400
    with pytest.raises(TokenRevoked):
        pinterest.refresh(first)
    assert pinterest.identify(first) == pinterest.identify(pinterest.refresh(second))


def test_only_one_of_many_concurrent_refreshes_gets_the_next_token(pinterest: Dance) -> None:
    grant, start = pinterest.exchange(pinterest.consent()), Barrier(8)
    refreshed: list[TokenGrant] = []

    def refresh() -> None:
        start.wait()
        try:
            refreshed.append(pinterest.refresh(grant))
        except TokenRevoked:
            return

    threads = [Thread(target=refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refreshed) == 1
