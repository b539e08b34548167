"""The authorization routes: what they accept, what they return, and what must never leak."""

import pg8000.native
import pytest

from dev.sandbox import Sandbox
from tests.browser import RETURN_TO, ask, code_of, come_back, complete, decide, query_of, walk
from tests.conftest import Api, LogLines, Studios

pytestmark = pytest.mark.usefixtures("platforms")
AUTHORIZE = "/api/oauth/google/authorize"


def test_starting_an_authorization_returns_a_url_and_its_expiry(api: Api) -> None:
    answer = api.post(AUTHORIZE)
    assert answer.status == 201
    assert set(answer.json) == {"authorizeUrl", "expiresAt"}
    assert "accounts.google.com/o/oauth2/v2/auth?" in answer.json["authorizeUrl"]
    assert answer.json["expiresAt"].endswith("Z")


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/settings",
        "//app.studio.example/settings",
        "https://app.studio.example@evil.example/settings",
        "https://app.studio.example\\@evil.example/settings",
        "https://app.studio.example:444/settings",
        "https://APP.studio.example/settings",
        "https://app.studio.example/settings#part",
        "https://app.studio.example/settings/..%2f..%2fevil",
        "https://app.studio.example/settings/../evil",
        "https://app.studio.example/",
        "javascript:alert(1)",
        "/settings",
        "http://[",
        "https://app.studio.example:port/settings",
        "https://app\u2100.studio.example/settings",
    ],
)
def test_only_allowed_return_urls_are_accepted(api: Api, superuser: pg8000.native.Connection, return_to: str) -> None:
    answer = api.post(AUTHORIZE, {"returnTo": return_to})
    assert (answer.status, answer.json["code"]) == (422, "invalid_input")
    assert [problem["field"] for problem in answer.json["errors"]] == ["returnTo"]
    assert return_to not in answer.text
    assert superuser.run("SELECT count(*) FROM oauth_state") == [[0]]


def test_every_unknown_stream_is_named(api: Api) -> None:
    answer = api.post(AUTHORIZE, {"streams": ["bookings", "likes", "pins"]})
    assert answer.status == 422
    assert [problem["field"] for problem in answer.json["errors"]] == ["streams[1]", "streams[2]"]
    assert answer.json["errors"][0]["problem"] == "must be one of bookings, inquiries"


@pytest.mark.parametrize("body", [{"streams": []}, {"streams": "bookings"}, {"redirectUri": RETURN_TO}, []])
def test_an_invalid_request_is_rejected(api: Api, body: object) -> None:
    assert api.post(AUTHORIZE, body).status == 422


def test_a_url_with_a_state_is_not_stored_for_repeats(api: Api, superuser: pg8000.native.Connection) -> None:
    answer = api.post(AUTHORIZE, {}, Idempotency_Key="once")
    assert (answer.status, answer.json["code"]) == (400, "not_repeatable")
    assert superuser.run("SELECT count(*) FROM idempotency_key") == [[0]]


def test_the_callback_needs_no_key_and_is_neither_cached_nor_sent_as_a_referrer(api: Api) -> None:
    for answer in (
        walk(api),
        walk(api, wanted={"returnTo": RETURN_TO}),
        walk(api, auto="deny"),
        come_back(api, "/api/oauth/google/callback?state=unknown&code=x"),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_redirect_returns_only_the_status_and_the_code(api: Api) -> None:
    answer = walk(api, wanted={"returnTo": f"{RETURN_TO}/google"})
    assert (answer.status, answer.text) == (303, "")
    query = f"status=pending&platform=google&completionCode={code_of(answer)}"
    assert answer.headers["Location"] == f"{RETURN_TO}/google?{query}"


def test_without_a_return_url_the_callback_shows_the_code_and_instructions(api: Api) -> None:
    answer = walk(api)
    assert answer.status == 200
    assert set(answer.json) == {"status", "platform", "accountName", "completionCode", "expiresAt", "instructions"}
    assert (answer.json["status"], answer.json["platform"]) == ("pending", "google")
    assert answer.json["accountName"] == "Linden & Light Photography"
    assert "POST /api/oauth/google/complete" in answer.json["instructions"]
    assert answer.json["expiresAt"].endswith("Z")
    assert api.get("/api/connections").json["items"] == []


@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": 5}, {"code": "x" * 129}, {"code": "x", "state": "y"}])
def test_an_invalid_completion_names_the_field(api: Api, body: dict[str, object]) -> None:
    answer = api.post("/api/oauth/google/complete", body)
    assert (answer.status, answer.json["code"]) == (422, "invalid_input")
    assert [problem["field"] for problem in answer.json["errors"]] == ["state" if "state" in body else "code"]


def test_completing_needs_the_scope_for_connecting(studios: Studios) -> None:
    asking = studios.new()
    code = code_of(walk(asking))
    assert complete(studios.with_key(asking.studio_id, "connections:read"), code).status == 403
    assert complete(studios.with_key(asking.studio_id, "connections:write"), code).status == 200


def test_a_repeated_completion_gets_the_first_response(api: Api) -> None:
    body = {"code": code_of(walk(api))}
    first = api.post("/api/oauth/google/complete", body, Idempotency_Key="once")
    again = api.post("/api/oauth/google/complete", body, Idempotency_Key="once")
    assert (first.status, again.status, again.headers["Idempotency-Replayed"]) == (200, 200, "true")
    assert again.json == first.json
    assert api.post("/api/oauth/google/complete", body).json["code"] == "completion_code_invalid"


def test_a_callback_may_have_additional_parameters(api: Api) -> None:
    path = decide(ask(api))
    assert come_back(api, f"{path}&scope=openid&authuser=0&hd=studio.example&prompt=consent&iss=x").status == 200


def test_a_duplicate_callback_parameter_is_rejected_and_keeps_the_state_valid(api: Api) -> None:
    path = decide(ask(api))
    assert come_back(api, f"{path}&code=other").status == 422
    assert come_back(api, path).status == 200


def test_an_unknown_platform_is_not_found(api: Api) -> None:
    assert api.post("/api/oauth/myspace/authorize", {}).json["code"] == "unknown_platform"
    assert come_back(api, "/api/oauth/myspace/callback?state=x&code=y").json["code"] == "unknown_platform"


def test_starting_needs_the_scope_for_connecting(studios: Studios) -> None:
    assert studios.new("connections:read").post(AUTHORIZE, {}).status == 403
    assert studios.new("connections:write").post(AUTHORIZE, {}).status == 201


def test_codes_states_and_verifiers_are_not_logged(
    api: Api, platforms: Sandbox, log_lines: LogLines, superuser: pg8000.native.Connection
) -> None:
    url = ask(api)
    callback = query_of(decide(url))
    platforms.add_fault(kind="status", status=500, path="/token", body={"error": callback["code"]}, times=1)
    come_back(api, f"/api/oauth/google/callback?state={callback['state']}&code={callback['code']}")
    again = query_of(decide(ask(api)))
    for path in ("/api/oauth/google/callback", "/api/oauth/meta/callback", "/api/oauth/google/callback"):
        come_back(api, f"{path}?state={again['state']}&code={again['code']}")
    codes = [code_of(walk(api)), code_of(walk(api, wanted={"returnTo": RETURN_TO}))]
    for platform, code in (("meta", codes[0]), ("google", codes[0]), ("google", codes[0]), ("google", codes[1])):
        complete(api, code, platform)
    assert log_lines.named("authorization.failed")
    assert len(log_lines.named("authorization.completed")) == 2
    assert {line["route"] for line in log_lines.named("request.done")} == {
        "/api/oauth/{platform}/authorize",
        "/api/oauth/{platform}/callback",
        "/api/oauth/{platform}/complete",
    }
    for secret in (
        callback["state"],
        callback["code"],
        again["state"],
        again["code"],
        query_of(url)["code_challenge"],
        *codes,
    ):
        assert secret not in log_lines.text
