"""Google's tokens in the sandbox: refreshed, inspected, expired, too narrow, revoked."""

import pytest

from dev.sandbox import CLIENT_ID, CLIENT_SECRET
from tests.dev.sandbox_client import EVENTS, GMAIL, TOKEN, Answer, SandboxClient

SCOPE = "https://www.googleapis.com/auth/"


def refresh(client: SandboxClient, **form: str) -> Answer:
    given = {
        "grant_type": "refresh_token",
        "refresh_token": client.grant.refresh_token,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    return client.post(TOKEN, **{**given, **form})


def test_refreshing_returns_an_access_token_and_no_refresh_token(google: SandboxClient) -> None:
    expired = google.acting_for(lifetime=0)
    answer = refresh(expired)
    assert answer.status == 200
    assert set(answer.json) == {"access_token", "expires_in", "scope", "token_type"}
    assert answer.json["access_token"].startswith("ya29.")
    assert answer.json["scope"].split() == list(google.grant.scopes)
    headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert google.send("GET", f"{GMAIL}/profile", headers=headers).status == 200


@pytest.mark.parametrize("wrong", [{"client_id": "other"}, {"client_secret": "other"}, {"client_secret": ""}])
def test_another_client_cannot_refresh(google: SandboxClient, wrong: dict[str, str]) -> None:
    answer = refresh(google, **wrong)
    assert (answer.status, answer.json["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("token", ["", "1//0invented", "ya29.invented"])
def test_an_unknown_refresh_token_is_an_invalid_grant(google: SandboxClient, token: str) -> None:
    answer = refresh(google, refresh_token=token)
    assert (answer.status, answer.json["error"]) == (400, "invalid_grant")


def test_an_access_token_does_not_refresh_and_a_refresh_token_does_not_read(google: SandboxClient) -> None:
    swapped = "1//0" + google.grant.access_token.removeprefix("ya29.")
    assert refresh(google, refresh_token=swapped).json["error"] == "invalid_grant"
    headers = {"Authorization": "Bearer ya29." + google.grant.refresh_token.removeprefix("1//0")}
    assert google.send("GET", EVENTS, headers=headers).status == 401


def test_other_grant_types_are_not_supported(google: SandboxClient) -> None:
    assert refresh(google, grant_type="password").json["error"] == "unsupported_grant_type"


def test_an_expired_token_is_refused_as_google_does(google: SandboxClient) -> None:
    for path in (EVENTS, f"{GMAIL}/threads"):
        answer = google.acting_for(lifetime=0).get(path)
        assert (answer.status, answer.reason) == (401, "authError")
        assert answer.json["error"]["code"] == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]


def test_a_request_without_a_token_is_refused(google: SandboxClient) -> None:
    answer = google.send("GET", EVENTS)
    assert (answer.status, answer.reason) == (401, "required")


def test_a_token_without_an_account_is_refused(google: SandboxClient) -> None:
    assert google.acting_for("nobody").get(EVENTS).status == 401


def test_a_missing_scope_is_reported(google: SandboxClient) -> None:
    answer = google.acting_for(scopes=["openid", SCOPE + "calendar.readonly"]).get(f"{GMAIL}/threads")
    assert (answer.status, answer.reason) == (403, "insufficientPermissions")


def test_revoking_one_token_ends_every_token_of_the_account(google: SandboxClient) -> None:
    other, elsewhere = google.acting_for(), google.acting_for("empty")
    assert google.post("/oauth2.googleapis.com/revoke", token=google.grant.refresh_token).status == 200
    for client in (google, other):
        assert client.get(EVENTS).status == 401
        assert refresh(client).json["error"] == "invalid_grant"
    assert elsewhere.get(EVENTS).status == 200
    assert google.acting_for().get(EVENTS).status == 200


def test_revoking_a_dead_token_is_an_error(google: SandboxClient) -> None:
    google.control("POST", "/revoke", account="studio")
    answer = google.post("/oauth2.googleapis.com/revoke", token=google.grant.access_token)
    assert (answer.status, answer.json["error"]) == (400, "invalid_token")


@pytest.mark.parametrize("path", ["/oauth2.googleapis.com/tokeninfo", "/www.googleapis.com/oauth2/v2/tokeninfo"])
def test_tokeninfo_returns_scopes_and_user(google: SandboxClient, path: str) -> None:
    info = google.post(path, access_token=google.grant.access_token).json
    assert info["scope"].split() == list(google.grant.scopes)
    assert info["email"] == "hello@lindenandlight.example"
    assert 3000 < int(info["expires_in"]) <= 3600
    assert CLIENT_ID in (info.get("aud"), info.get("audience"))


@pytest.mark.parametrize("path", ["/oauth2.googleapis.com/tokeninfo", "/www.googleapis.com/oauth2/v2/tokeninfo"])
def test_tokeninfo_for_an_invalid_token_is_a_400(google: SandboxClient, path: str) -> None:
    answer = google.post(path, access_token="ya29.invented")
    assert (answer.status, answer.json["error"]) == (400, "invalid_token")


def test_tokeninfo_without_the_email_scope_returns_no_address(google: SandboxClient) -> None:
    narrow = google.acting_for(scopes=["openid"])
    info = narrow.post("/www.googleapis.com/oauth2/v2/tokeninfo", access_token=narrow.grant.access_token).json
    assert "email" not in info


def test_userinfo_returns_what_the_scopes_allow(google: SandboxClient) -> None:
    path = "/www.googleapis.com/oauth2/v2/userinfo"
    whole, narrow = google.get(path).json, google.acting_for(scopes=["openid"]).get(path).json
    assert (whole["name"], whole["email"]) == ("Linden & Light Photography", "hello@lindenandlight.example")
    assert narrow == {"id": whole["id"]}


def test_a_grant_can_be_issued_over_http(google: SandboxClient) -> None:
    issued = google.control("POST", "/issue_token", account="empty", scopes=[SCOPE + "calendar"]).json
    headers = {"Authorization": f"Bearer {issued['access_token']}"}
    assert google.send("GET", EVENTS, headers=headers).json["items"] == []


def test_the_repr_of_a_grant_shows_no_tokens(google: SandboxClient) -> None:
    shown = repr(google.grant)
    assert google.grant.access_token not in shown
    assert google.grant.refresh_token not in shown
