"""The sandbox's consent pages: what users see and choose, and which requests are never redirected."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from dev.sandbox import CLIENT_ID, CREDENTIALS, Sandbox, meta, pinterest
from tests.conftest import TODAY
from tests.dev.sandbox_client import TOKEN, Answer, SandboxClient

GOOGLE_PAGE = "/accounts.google.com/o/oauth2/v2/auth"
META_PAGE, PINTEREST_PAGE = "/www.facebook.com/v26.0/dialog/oauth", "/www.pinterest.com/oauth/"
REDIRECT_URI = "https://ansel.example.com/callback?from=here"
PARAMS = {
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT_URI,
    "response_type": "code",
    "scope": "openid email",
    "state": 'a"<b>',
}
PINTEREST_TOKEN = "/api.pinterest.com/v5/oauth/token"


def ask(client: SandboxClient, page: str = GOOGLE_PAGE, **changes: str) -> Answer:
    given = {name: value for name, value in {**PARAMS, **changes}.items() if value}
    return client.send("GET", f"{page}?{urlencode(given)}", redirect=False)


def submit(client: SandboxClient, page: Answer, *fields: tuple[str, str]) -> dict[str, list[str]]:
    """Submits the page; returns the parameters of the redirect."""
    form = re.search(r'<form method="post" action="([^"]+)"', page.body.decode())
    assert form
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = client.send("POST", unescape(form[1]), body=urlencode(fields), headers=headers, redirect=False)
    assert answer.status == 302, answer.body
    assert answer.headers["location"].startswith(f"{REDIRECT_URI}&")
    return parse_qs(urlsplit(answer.headers["location"]).query)


def refresh_at_pinterest(client: SandboxClient, token: str) -> Answer:
    headers = {"Content-Type": "application/x-www-form-urlencoded"} | basic(
        pinterest.APP_ID, CREDENTIALS["PINTEREST_CLIENT_SECRET"]
    )
    body = urlencode({"grant_type": "refresh_token", "refresh_token": token})
    return client.send("POST", PINTEREST_TOKEN, body=body, headers=headers)


def basic(name: str, secret: str) -> dict[str, str]:
    from urllib3.util import make_headers

    return {"Authorization": make_headers(basic_auth=f"{name}:{secret}")["authorization"]}


def test_a_page_shows_the_request_and_escapes_its_input(google: SandboxClient) -> None:
    page = ask(google, scope="openid <script>")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    text = page.body.decode()
    assert "ansel.example.com" in text
    assert 'value="openid" checked' in text
    assert "<script>" not in text
    assert '"<b>' not in text


def test_a_user_allows_the_checked_scopes_for_the_chosen_account(google: SandboxClient) -> None:
    brought = submit(google, ask(google), ("decision", "approve"), ("account", "empty"), ("scope", "email"))
    assert (brought["from"], brought["state"]) == (["here"], [PARAMS["state"]])
    answer = google.post(
        TOKEN,
        grant_type="authorization_code",
        code=brought["code"][0],
        redirect_uri=REDIRECT_URI,
        client_id=CLIENT_ID,
        client_secret=CREDENTIALS["GOOGLE_CLIENT_SECRET"],
    )
    assert answer.json["scope"] == "https://www.googleapis.com/auth/userinfo.email"
    info = google.post("/oauth2.googleapis.com/tokeninfo", access_token=answer.json["access_token"]).json
    assert info["email"] == "empty@studio.example"


def test_a_user_denies(google: SandboxClient) -> None:
    brought = submit(google, ask(google), ("decision", "deny"), ("account", "studio"))
    assert brought["error"] == ["access_denied"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "another"},
        {"redirect_uri": ""},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "/relative"},
        {"redirect_uri": "http://["},
        {"redirect_uri": "https://ansel.example.com/#fragment"},
        {"code_challenge": "x", "code_challenge_method": "plain"},
        {"auto": "maybe"},
        {"auto": "approve", "account": "nobody"},
    ],
)
def test_an_invalid_request_redirects_nowhere(google: SandboxClient, wrong: dict[str, str]) -> None:
    answer = ask(google, **wrong)
    assert answer.status == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("wrong", "error"), [({"response_type": "token"}, "unsupported_response_type"), ({"scope": ""}, "invalid_scope")]
)
def test_invalid_parameters_are_reported_to_the_application(
    google: SandboxClient, wrong: dict[str, str], error: str
) -> None:
    answer = ask(google, **wrong)
    assert parse_qs(urlsplit(answer.headers["location"]).query)["error"] == [error]


def test_meta_reports_the_reason_and_adds_its_fragment_to_the_url(google: SandboxClient) -> None:
    answer = ask(google, META_PAGE, client_id=meta.APP_ID, scope="public_profile,ads_read", auto="deny")
    location = urlsplit(answer.headers["location"])
    assert location.fragment == "_=_"
    assert parse_qs(location.query)["error_reason"] == ["user_denied"]


def test_meta_lists_what_was_declined(google: SandboxClient) -> None:
    granted = meta.issue_token(scopes=["public_profile"], declined=["ads_read"])
    headers = {"Authorization": f"Bearer {granted.access_token}"}
    listed = google.send("GET", "/graph.facebook.com/v26.0/me/permissions", headers=headers).json["data"]
    assert [(each["permission"], each["status"]) for each in listed] == [
        ("public_profile", "granted"),
        ("ads_read", "declined"),
    ]


def test_meta_inspects_tokens_only_for_their_application(google: SandboxClient) -> None:
    def inspect(token: str, app: str = f"{meta.APP_ID}|{meta.APP_SECRET}") -> Answer:
        query = urlencode({"input_token": token, "access_token": app})
        return google.send("GET", f"/graph.facebook.com/v26.0/debug_token?{query}")

    alive, dead = meta.issue_token("empty", lifetime=60), meta.issue_token(lifetime=0)
    told = inspect(alive.access_token).json["data"]
    assert (told["is_valid"], told["type"], told["scopes"]) == (True, "USER", list(alive.scopes))
    assert told["expires_at"] - told["issued_at"] in (59, 60)
    assert inspect(dead.access_token).json["data"]["is_valid"] is False
    assert inspect("invented").json["data"]["error"]["code"] == 190
    assert inspect(alive.access_token, "1000|wrong").status == 400


def test_pinterest_rotations_survive_a_restart(tmp_path: Path) -> None:
    grant = pinterest.issue_token()
    with Sandbox(today=TODAY, state_dir=tmp_path) as first:
        refreshed = refresh_at_pinterest(SandboxClient(first), grant.refresh_token).json
    with Sandbox(today=TODAY, state_dir=tmp_path) as second:
        client = SandboxClient(second)
        old = refresh_at_pinterest(client, grant.refresh_token)
        assert (old.status, old.json["code"]) == (401, 283)
        assert refresh_at_pinterest(client, refreshed["refresh_token"]).status == 200


def test_pinterest_identifies_the_application_by_the_header(google: SandboxClient) -> None:
    for headers in ({}, basic(pinterest.APP_ID, "wrong"), {"Authorization": "Basic ####"}):
        answer = google.send("POST", PINTEREST_TOKEN, body="", headers=headers)
        assert (answer.status, answer.json["code"]) == (401, 2)


def test_a_users_pinterest_requests_run_out(google: SandboxClient) -> None:
    headers = {"Authorization": f"Bearer {pinterest.issue_token().access_token}"}
    path = "/api.pinterest.com/v5/user_account"
    answer = google.send("GET", path, headers=headers)
    assert (answer.json["username"], answer.headers["x-ratelimit-remaining"]) == ("lindenandlight", "999")
    google.control("POST", "/pinterest/usage", remaining=0)
    assert google.send("GET", path, headers=headers).status == 429


def test_codes_expire(google: SandboxClient) -> None:
    answer = ask(google, auto="approve")
    [code] = parse_qs(urlsplit(answer.headers["location"]).query)["code"]
    google.control("POST", "/expire-codes")
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI, "client_id": CLIENT_ID}
    refused = google.post(TOKEN, **form, client_secret=CREDENTIALS["GOOGLE_CLIENT_SECRET"])
    assert (refused.status, refused.json["error"]) == (400, "invalid_grant")


def test_the_request_log_contains_no_code_or_state(google: SandboxClient) -> None:
    ask(google, auto="approve", state="state-4711")
    path = "/graph.facebook.com/v26.0/oauth/access_token"
    google.send("GET", f"{path}?client_secret=4711&code=4711&fb_exchange_token=4711")
    assert "4711" not in str(google.sandbox.requests.list())
