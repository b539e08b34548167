"""Consent in the browser: which scopes are requested, what yields a grant, and what follows from one."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pg8000.native
import pytest

from chalicelib.errors import AuthorizationFailed
from chalicelib.platforms.google import GOOGLE
from chalicelib.platforms.registry import LOADED
from chalicelib.secret import Secret
from chalicelib.services.authorization import MAX_OPEN, STATE_SECONDS, handle_callback
from chalicelib.services.pending_grants import HeldGrant
from dev.sandbox import Sandbox
from tests.browser import RETURN_TO, ask, code_of, come_back, complete, consent, decide, query_of, walk
from tests.conftest import PUBLIC_URL, Api, LogLines, Queue, Studios
from tests.services.conftest import Studio

SCOPE = "https://www.googleapis.com/auth/"
IDENTITY = "openid email profile"
CALENDAR = f"{SCOPE}calendar.events.readonly"
WHOSE_CALENDAR = f"{SCOPE}calendar.calendarlist.readonly"
MAIL = f"{SCOPE}gmail.metadata"
OAUTH_HOST = "oauth2.googleapis.com"
BOTH: dict[str, Any] = {"streams": ["bookings", "inquiries"]}

pytestmark = pytest.mark.usefixtures("platforms")


def connections(superuser: pg8000.native.Connection) -> int:
    ((count,),) = superuser.run("SELECT count(*) FROM platform_connection") or [[0]]
    return int(count)


def events(api: Api, superuser: pg8000.native.Connection) -> list[tuple[str, str | None]]:
    rows = superuser.run("SELECT kind, code FROM connection_event WHERE studio_id = :id ORDER BY id", id=api.studio_id)
    return [(kind, code) for kind, code in rows or []]


def test_an_authorization_creates_a_connection_that_syncs(
    api: Api, queue: Queue, superuser: pg8000.native.Connection
) -> None:
    answer = consent(api, wanted=BOTH)
    assert answer.status == 200, answer.text
    connection = answer.json["connection"]
    assert (connection["platform"], connection["status"]) == ("google", "active")
    assert (connection["hasRefreshToken"], connection["accountName"]) == (True, "Linden & Light Photography")
    assert {CALENDAR, MAIL} <= set(connection["scopes"])
    assert (answer.json["missingScopes"], answer.json["streamsOff"], answer.json["warnings"]) == ([], [], [])
    studio = Studio(api, queue, "studio")
    assert studio.work() == ["succeeded", "succeeded"]
    assert {run["syncType"] for run in api.get("/api/sync/log").json["items"]} == {"bookings", "inquiries"}
    assert events(api, superuser) == [("connected", None)]


def test_the_minimal_scopes_of_the_streams_and_the_identity_are_requested(api: Api) -> None:
    request = query_of(ask(api, streams=["bookings"]))
    assert request["scope"].split() == [*IDENTITY.split(), CALENDAR, WHOSE_CALENDAR]
    assert request["redirect_uri"] == f"{PUBLIC_URL}/api/oauth/google/callback"
    assert (request["access_type"], request["prompt"], request["response_type"]) == ("offline", "consent", "code")
    assert request["code_challenge_method"] == "S256"
    assert len(request["state"]) == len(request["code_challenge"]) == 43
    assert query_of(ask(api, **BOTH))["scope"].split() == [*IDENTITY.split(), CALENDAR, WHOSE_CALENDAR, MAIL]


def test_restricted_scopes_are_requested_only_if_the_studio_names_the_stream(
    api: Api, superuser: pg8000.native.Connection
) -> None:
    assert query_of(ask(api))["scope"].split() == [*IDENTITY.split(), CALENDAR, WHOSE_CALENDAR]
    answer = consent(api)
    assert (answer.json["missingScopes"], answer.json["streamsOff"]) == ([], [])
    assert superuser.run("SELECT stream FROM sync_schedule") == [["bookings"]]
    assert api.post("/api/connections/google/test").json["missingScopes"] == []


def test_scopes_of_an_already_synced_restricted_stream_are_requested_again(api: Api) -> None:
    consent(api, wanted=BOTH)
    assert MAIL in query_of(ask(api))["scope"].split()
    assert MAIL not in query_of(ask(api, streams=["bookings"]))["scope"].split()
    api.delete("/api/connections/google")
    assert MAIL not in query_of(ask(api))["scope"].split()


def test_a_state_stored_by_the_previous_release_covers_every_stream(
    api: Api, superuser: pg8000.native.Connection
) -> None:
    path = decide(ask(api, **BOTH))
    superuser.run("UPDATE oauth_state SET streams = NULL")
    assert complete(api, code_of(come_back(api, path))).status == 200
    assert superuser.run("SELECT stream FROM sync_schedule ORDER BY 1") == [["bookings"], ["inquiries"]]


def test_only_the_requested_streams_are_scheduled_and_synced(api: Api, superuser: pg8000.native.Connection) -> None:
    answer = consent(api, wanted={"streams": ["bookings"]})
    assert (answer.json["missingScopes"], answer.json["streamsOff"]) == ([], [])
    assert answer.json["connection"]["statusReason"]["code"] is None
    assert superuser.run("SELECT stream FROM sync_schedule") == [["bookings"]]
    assert [run["syncType"] for run in api.get("/api/sync/log").json["items"]] == ["bookings"]


def test_each_authorization_has_its_own_state_and_verifier(api: Api) -> None:
    requests = [query_of(ask(api)) for _ in range(2)]
    assert len({each["state"] for each in requests}) == len({each["code_challenge"] for each in requests}) == 2


def test_states_are_hashed_and_verifiers_sealed_until_used(api: Api, superuser: pg8000.native.Connection) -> None:
    url = ask(api)
    ((row, hash_, verifier),) = superuser.run("SELECT s::text, state_hash, verifier FROM oauth_state AS s") or []
    state = query_of(url)["state"]
    assert state not in row
    assert state.encode().hex() not in row
    assert (len(hash_), len(verifier)) == (32, 1 + 16 + 12 + 43 + 16)
    assert come_back(api, decide(url)).status == 200
    assert superuser.run("SELECT count(*) FROM oauth_state") == [[0]]


def test_the_verifier_of_a_failed_authorization_is_erased(api: Api, superuser: pg8000.native.Connection) -> None:
    walk(api, auto="deny")
    assert superuser.run("SELECT verifier, used_at IS NOT NULL FROM oauth_state") == [[None, True]]


def test_a_platform_without_pkce_gets_no_challenge(api: Api, superuser: pg8000.native.Connection) -> None:
    assert "code_challenge" not in query_of(ask(api, "meta"))
    assert superuser.run("SELECT verifier FROM oauth_state") == [[None]]


def test_expired_states_are_deleted_by_the_next_authorization(api: Api, superuser: pg8000.native.Connection) -> None:
    ask(api)
    superuser.run("UPDATE oauth_state SET expires_at = now()")
    ask(api)
    assert superuser.run("SELECT count(*) FROM oauth_state") == [[1]]


def test_open_authorizations_per_studio_are_limited(
    api: Api, studios: Studios, superuser: pg8000.native.Connection
) -> None:
    urls = [ask(api) for _ in range(MAX_OPEN)]
    refused = api.post("/api/oauth/google/authorize", {})
    assert (refused.status, refused.json["code"]) == (429, "too_many_authorizations")
    assert 0 < int(refused.headers["Retry-After"]) <= STATE_SECONDS
    ask(studios.new())
    assert come_back(api, decide(urls[0], auto="deny")).json["code"] == "authorization_denied"
    ask(api)
    assert api.post("/api/oauth/google/authorize", {}).status == 429
    superuser.run("UPDATE oauth_state SET expires_at = now()")
    ask(api)


def test_a_repeated_callback_yields_one_grant(api: Api, superuser: pg8000.native.Connection) -> None:
    path = decide(ask(api))
    first = come_back(api, path)
    again = come_back(api, path)
    assert (first.status, again.status, again.json["code"]) == (200, 400, "authorization_invalid")
    assert superuser.run("SELECT count(*) FROM pending_grant") == [[1]]


def test_one_of_several_concurrent_callbacks_wins(api: Api) -> None:
    callback = query_of(decide(ask(api)))

    def finish(_: int) -> str:
        try:
            finished = handle_callback("google", state=callback["state"], code=Secret(callback["code"]), error="")
        except AuthorizationFailed as refused:
            return refused.code
        assert isinstance(finished, HeldGrant)
        return "pending"

    with ThreadPoolExecutor(4) as threads:
        outcomes = sorted(threads.map(finish, range(4)))
    assert outcomes == ["authorization_invalid", "authorization_invalid", "authorization_invalid", "pending"]


@pytest.mark.parametrize("state", ["", "x", "%ED%A0%80", "'; DROP TABLE studio; --", "A" * 43, "A" * 5000])
def test_an_unknown_state_does_nothing(
    api: Api, superuser: pg8000.native.Connection, platforms: Sandbox, state: str
) -> None:
    path = decide(ask(api))
    answer = come_back(api, path.replace(query_of(path)["state"], state.replace(" ", "+")))
    assert (answer.status, answer.json["code"]) == (400, "authorization_invalid")
    assert connections(superuser) == 0
    assert platforms.requests.counts().get("oauth2.token", 0) == 0
    assert come_back(api, path).status == 200, "the state itself remains valid"


def test_an_expired_authorization_is_rejected(
    api: Api, superuser: pg8000.native.Connection, platforms: Sandbox
) -> None:
    path = decide(ask(api))
    ((seconds,),) = superuser.run("SELECT extract(epoch FROM expires_at - created_at)::int FROM oauth_state") or []
    assert seconds == 600
    superuser.run("UPDATE oauth_state SET expires_at = now()")
    assert come_back(api, path).json["code"] == "authorization_invalid"
    assert platforms.requests.counts().get("oauth2.token", 0) == 0


def test_a_state_of_another_platform_is_rejected_and_stays_valid(api: Api, superuser: pg8000.native.Connection) -> None:
    path = decide(ask(api))
    answer = come_back(api, path.replace("/google/", "/meta/"))
    assert (answer.status, answer.json["code"]) == (400, "authorization_invalid")
    assert connections(superuser) == 0
    assert come_back(api, path).status == 200


def test_a_grant_goes_to_the_studio_that_started_the_authorization(studios: Studios) -> None:
    asking, other = studios.new(), studios.new()
    code = code_of(other.get(decide(ask(asking))))
    assert complete(other, code).status == 400
    assert complete(asking, code).status == 200
    assert other.get("/api/connections").json["items"] == []
    assert [each["platform"] for each in asking.get("/api/connections").json["items"]] == ["google"]


def test_a_verifier_moved_to_another_state_cannot_be_decrypted(api: Api, superuser: pg8000.native.Connection) -> None:
    first = decide(ask(api))
    ask(api)
    superuser.run(
        "UPDATE oauth_state SET verifier = (SELECT verifier FROM oauth_state ORDER BY id DESC LIMIT 1)"
        " WHERE id = (SELECT id FROM oauth_state ORDER BY id LIMIT 1)"
    )
    assert come_back(api, first).json["code"] == "decryption_failed"


def test_a_code_without_its_verifier_is_useless(api: Api, superuser: pg8000.native.Connection) -> None:
    path = decide(ask(api))
    superuser.run("UPDATE oauth_state SET verifier = NULL")
    assert come_back(api, path).json["code"] == "code_refused"
    assert connections(superuser) == 0


def test_declining_consent_is_reported(api: Api, superuser: pg8000.native.Connection) -> None:
    answer = consent(api, auto="deny")
    assert (answer.status, answer.json["code"]) == (400, "authorization_denied")
    assert connections(superuser) == 0


def test_declining_consent_returns_to_the_studios_page(api: Api) -> None:
    answer = walk(api, wanted={"returnTo": f"{RETURN_TO}?tab=2"}, auto="deny")
    assert (answer.status, answer.text) == (303, "")
    assert answer.headers["Location"] == f"{RETURN_TO}?tab=2&status=denied&platform=google&code=authorization_denied"


@pytest.mark.parametrize(
    ("platform", "error", "code", "word"),
    [
        ("google", "admin_policy_enforced", "blocked_by_administrator", "administrator"),
        ("google", "access_not_configured", "blocked_by_administrator", "administrator"),
        ("google", "org_internal", "platform_misconfigured", "contact support"),
        ("google", "deleted_client", "platform_misconfigured", "contact support"),
        ("google", "redirect_uri_mismatch", "platform_misconfigured", "contact support"),
        ("meta", "unauthorized_client", "platform_misconfigured", "contact support"),
        ("pinterest", "invalid_scope", "platform_misconfigured", "contact support"),
        ("google", "server_error", "platform_unavailable", "in a few minutes"),
        ("google", "rate_limit_exceeded", "platform_rate_limited", "in a few minutes"),
        ("meta", "temporarily_unavailable", "platform_unavailable", "in a few minutes"),
        ("meta", "admin_policy_enforced", "authorization_failed", "start again"),
        ("google", "invalid_request", "authorization_failed", "start again"),
        ("google", "anna_ruiz", "authorization_failed", "start again"),
        ("google", "<script>alert(1)</script>", "authorization_failed", "start again"),
        ("google", "e" * 99, "authorization_failed", "start again"),
    ],
)
def test_an_error_in_the_callback_ends_the_authorization_with_its_own_code(
    api: Api, log_lines: LogLines, platform: str, error: str, code: str, word: str
) -> None:
    state = query_of(ask(api, platform))["state"]
    callback = f"/api/oauth/{platform}/callback?state={state}&error={error}"
    answer = come_back(api, callback)
    assert (answer.status, answer.json["code"]) == (400, code)
    assert word in answer.json["detail"]
    assert error not in answer.text
    assert (error in log_lines.text) is (code != "authorization_failed"), "only a known error is logged"
    assert come_back(api, callback).json["code"] == "authorization_invalid"


def test_the_studios_page_learns_of_a_block_by_an_administrator(api: Api) -> None:
    state = query_of(ask(api, returnTo=RETURN_TO))["state"]
    redirect = come_back(api, f"/api/oauth/google/callback?state={state}&error=admin_policy_enforced")
    assert query_of(redirect.headers["Location"])["code"] == "blocked_by_administrator"


def test_a_block_by_an_administrator_at_the_exchange_is_reported(api: Api, platforms: Sandbox) -> None:
    path = decide(ask(api))
    platforms.add_fault(
        kind="status", status=400, host=OAUTH_HOST, path="/token", body={"error": "admin_policy_enforced"}
    )
    answer = come_back(api, path)
    assert (answer.status, answer.json["code"]) == (400, "blocked_by_administrator")
    assert "administrator" in answer.json["detail"]


def test_a_callback_without_code_or_error_ends_the_authorization(api: Api) -> None:
    answer = come_back(api, f"/api/oauth/google/callback?state={query_of(ask(api))['state']}")
    assert (answer.status, answer.json["code"]) == (400, "authorization_failed")


FAULTS: dict[str, tuple[dict[str, Any], str, int]] = {
    "a 500 at the exchange": ({"kind": "status", "status": 500, "path": "/token"}, "platform_unavailable", 502),
    "a cut connection at the exchange": ({"kind": "reset", "path": "/token"}, "platform_unavailable", 502),
    "an unknown answer at the exchange": (
        {"kind": "status", "status": 200, "path": "/token", "body": {"surprise": 1}},
        "platform_contract_changed",
        502,
    ),
    "our client refused": (
        {"kind": "status", "status": 401, "path": "/token", "body": {"error": "invalid_client"}},
        "platform_misconfigured",
        502,
    ),
    "a 500 at who it is": ({"kind": "status", "status": 500, "path": "/tokeninfo"}, "platform_unavailable", 502),
    "a token that does not work": ({"kind": "status", "status": 401, "path": "/tokeninfo"}, "token_expired", 502),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_platform_error_is_reported_and_creates_no_connection(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection, case: str
) -> None:
    fault, code, status = FAULTS[case]
    path = decide(ask(api))
    platforms.add_fault(host=OAUTH_HOST, **fault, times=None)
    answer = come_back(api, path)
    assert (answer.status, answer.json["code"]) == (status, code)
    redirect = walk(api, wanted={"returnTo": RETURN_TO})
    assert query_of(redirect.headers["Location"]) == {"status": "failed", "platform": "google", "code": code}
    assert connections(superuser) == 0
    platforms.clear_faults()
    assert come_back(api, path).json["code"] == "authorization_invalid", "a code is valid for one exchange"
    assert consent(api).status == 200


def test_an_expired_code_is_rejected(api: Api, platforms: Sandbox) -> None:
    path = decide(ask(api))
    platforms.google.oauth.codes.expire()
    answer = come_back(api, path)
    assert (answer.status, answer.json["code"]) == (400, "code_refused")


def test_a_grant_without_a_refresh_token_is_rejected(
    api: Api, superuser: pg8000.native.Connection, platforms: Sandbox
) -> None:
    answer = come_back(api, decide(ask(api).replace("prompt=consent", "prompt=none")))
    assert (answer.status, answer.json["code"]) == (400, "no_refresh_token")
    assert connections(superuser) == 0
    assert platforms.requests.counts().get("oauth2.revoke", 0) == 0


def test_a_grant_that_covers_no_stream_is_rejected(api: Api, superuser: pg8000.native.Connection) -> None:
    answer = consent(api, wanted=BOTH, scopes=IDENTITY)
    assert (answer.status, answer.json["code"]) == (400, "scopes_missing")
    assert CALENDAR in answer.json["detail"]
    assert MAIL in answer.json["detail"]
    assert connections(superuser) == 0


def test_a_partial_grant_connects_and_lists_the_streams_that_are_off(
    api: Api, superuser: pg8000.native.Connection
) -> None:
    answer = consent(api, wanted=BOTH, scopes=f"{IDENTITY} {MAIL}")
    assert answer.status == 200
    assert (answer.json["missingScopes"], answer.json["streamsOff"]) == ([CALENDAR], ["bookings"])
    assert superuser.run("SELECT stream FROM sync_schedule") == [["inquiries"]]
    assert [run["syncType"] for run in api.get("/api/sync/log").json["items"]] == ["inquiries"]
    reason = answer.json["connection"]["statusReason"]
    assert (reason["code"], reason["action"]) == ("scopes_missing", "grant_scopes")


def test_a_stream_needing_two_scopes_is_off_without_either(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    bookings = msgspec.structs.replace(GOOGLE.streams[0], scopes=(*GOOGLE.streams[0].scopes, (MAIL, "other")))
    monkeypatch.setitem(LOADED, "google", msgspec.structs.replace(GOOGLE, streams=(bookings, *GOOGLE.streams[1:])))
    requested = query_of(ask(api, streams=["bookings"]))["scope"].split()
    assert {CALENDAR, MAIL} <= set(requested)
    answer = consent(api, wanted=BOTH, scopes=f"{IDENTITY} {MAIL}")
    assert (answer.json["missingScopes"], answer.json["streamsOff"]) == ([CALENDAR], ["bookings"])
    answer = consent(api, wanted=BOTH, scopes=f"{IDENTITY} {MAIL} {CALENDAR}")
    assert (answer.json["missingScopes"], answer.json["streamsOff"]) == ([], [])


def test_the_studios_page_gets_the_code_and_completion_lists_what_is_off(api: Api) -> None:
    answer = walk(api, wanted={**BOTH, "returnTo": RETURN_TO}, scopes=f"{IDENTITY} {MAIL}")
    assert (answer.status, answer.text) == (303, "")
    assert answer.headers["Location"].startswith(f"{RETURN_TO}?")
    code = code_of(answer)
    assert query_of(answer.headers["Location"]) == {"status": "pending", "platform": "google", "completionCode": code}
    completed = complete(api, code).json
    assert (completed["missingScopes"], completed["streamsOff"]) == ([CALENDAR], ["bookings"])


def test_granting_the_missing_scope_later_turns_the_stream_on(api: Api, superuser: pg8000.native.Connection) -> None:
    consent(api, wanted=BOTH, scopes=f"{IDENTITY} {MAIL}")
    answer = consent(api)
    assert (answer.json["missingScopes"], answer.json["connection"]["statusReason"]["code"]) == ([], None)
    streams = superuser.run("SELECT stream FROM sync_schedule ORDER BY stream")
    assert streams == [["bookings"], ["inquiries"]]


def test_a_grant_in_googles_testing_mode_connects_with_a_warning(
    api: Api, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    platforms.google.set_testing_mode()
    answer = consent(api)
    assert [warning["code"] for warning in answer.json["warnings"]] == ["google_testing_mode"]
    assert events(api, superuser) == [("connected", None), ("warning", "google_testing_mode")]


def test_a_meta_grant_without_an_ad_account_is_rejected(api: Api, superuser: pg8000.native.Connection) -> None:
    answer = consent(api, "meta", account="empty")
    assert (answer.status, answer.json["code"]) == (400, "no_ad_account")
    assert connections(superuser) == 0


def test_a_meta_authorization_creates_a_long_lived_connection(
    api: Api, queue: Queue, superuser: pg8000.native.Connection
) -> None:
    answer = consent(api, "meta")
    assert answer.status == 200, answer.text
    assert (answer.json["connection"]["status"], answer.json["connection"]["hasRefreshToken"]) == ("active", False)
    assert superuser.run("SELECT token_expires_at > now() + interval '50 days' FROM platform_connection") == [[True]]
    assert Studio(api, queue, "studio").work() == ["succeeded", "succeeded"]


def test_a_pinterest_authorization_creates_a_connection(api: Api) -> None:
    answer = consent(api, "pinterest")
    assert answer.status == 200, answer.text
    assert (answer.json["connection"]["status"], answer.json["connection"]["hasRefreshToken"]) == ("active", True)
    assert api.get("/api/sync/log").json["items"] == []


def test_two_studios_may_connect_the_same_account(studios: Studios, queue: Queue) -> None:
    first, second = studios.new(), studios.new()
    before = consent(first, wanted=BOTH, account="bulk-40").json["connection"]
    assert Studio(first, queue, "studio").work() == ["succeeded", "succeeded"]
    after = consent(second, wanted=BOTH, account="bulk-40").json["connection"]
    assert after["accountId"] == before["accountId"]
    assert after["id"] != before["id"]
    assert Studio(second, queue, "studio").work() == ["succeeded", "succeeded"]
    assert first.post("/api/connections/google/test").json["valid"] is True
    assert first.get("/api/connections/google").json["status"] == "active"


def test_reconnecting_an_account_keeps_id_history_and_cursors(
    api: Api, queue: Queue, superuser: pg8000.native.Connection, platforms: Sandbox
) -> None:
    before = consent(api, account="bulk-40").json["connection"]
    studio = Studio(api, queue, "studio")
    studio.work()
    platforms.google.revoke("bulk-40")
    assert studio.sync("bookings")["status"] == "failed"
    assert superuser.run("SELECT DISTINCT paused_by FROM sync_schedule") == [["connection"]]
    after = consent(api, account="bulk-40").json["connection"]
    assert (after["id"], after["status"]) == (before["id"], "active")
    assert superuser.run("SELECT DISTINCT paused_by FROM sync_schedule") == [[None]]
    studio.work()
    run = studio.sync("bookings")
    assert (run["status"], run["fullRead"]) == ("succeeded", False)
    kinds = [kind for kind, _ in events(api, superuser)]
    assert kinds[:2] == ["connected", "failed"]
    assert len(kinds) == 3


def test_another_account_gets_its_own_connection_and_is_read_from_the_start(
    api: Api, queue: Queue, superuser: pg8000.native.Connection
) -> None:
    before = consent(api, wanted=BOTH).json["connection"]
    studio = Studio(api, queue, "studio")
    studio.work()
    other = consent(api, account="bulk-40").json["connection"]
    assert other["id"] != before["id"]
    assert other["accountId"] != before["accountId"]
    studio.work()
    runs = api.get(f"/api/sync/log?connection={other['id']}").json["items"]
    assert [(run["status"], run["fullRead"]) for run in runs] == [("succeeded", True)] * 2
    again = studio.api.post(f"/api/sync/google?connection={before['id']}", {"syncType": "bookings"}).json["runs"][0]
    studio.work()
    assert studio.run(again["id"])["fullRead"] is False


def test_a_failed_reconnect_does_not_change_the_connection(api: Api, platforms: Sandbox) -> None:
    before = consent(api).json["connection"]
    consent(api, auto="deny")
    consent(api, scopes=IDENTITY)
    come_back(api, decide(ask(api).replace("prompt=consent", "prompt=none")))
    platforms.add_fault(kind="status", status=500, host=OAUTH_HOST, path="/token")
    consent(api)
    assert api.get("/api/connections/google").json == before
    assert api.post("/api/connections/google/test").json["valid"] is True


def test_a_platform_without_client_credentials_is_reported(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.settings import get_settings

    for variable in ("PINTEREST_CLIENT_ID", "PINTEREST_CLIENT_SECRET"):
        monkeypatch.delenv(variable)
    get_settings.cache_clear()
    answer = api.post("/api/oauth/pinterest/authorize", {})
    assert (answer.status, answer.json["code"]) == (409, "platform_not_configured")


def test_a_missing_public_url_has_a_code_and_a_log_line_of_its_own(
    api: Api, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    from chalicelib.settings import get_settings

    monkeypatch.delenv("PUBLIC_URL")
    get_settings.cache_clear()
    answer = api.post("/api/oauth/google/authorize", {})
    assert (answer.status, answer.json["code"]) == (409, "public_url_missing")
    assert "PUBLIC_URL" in answer.json["detail"]
    (line,) = log_lines.named("authorization.public_url_missing")
    assert (line["level"], line["platform"]) == ("error", "google")
    for path in ("/api/health", "/api/connections", "/api/sync/status"):
        assert api.get(path).status == 200


@pytest.mark.parametrize("platform", ["yelp", "website"])
def test_a_platform_without_oauth_explains_how_to_connect(api: Api, platform: str) -> None:
    answer = api.post(f"/api/oauth/{platform}/authorize", {})
    assert (answer.status, answer.json["code"]) == (409, "authorization_not_supported")
    assert "POST /api/connections" in answer.json["detail"]
    assert come_back(api, f"/api/oauth/{platform}/callback?state=x&code=y").status == 409
