"""Webhooks: a platform's callback about a user changes that user's connections in every studio, and no others."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from chalicelib import clock
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.platforms.core.jwks import FIRST_RETRY_SECONDS, SHORTEST_SECONDS
from chalicelib.platforms.google.webhooks import KEYS_URL
from chalicelib.services import webhooks
from chalicelib.services.webhook_signatures import key_set
from dev.sandbox import CLIENT_ID, Sandbox
from dev.sandbox.google import security_events
from dev.sandbox.meta import issue_token as mint_meta
from dev.sandbox.meta import signed_request
from tests.api.seeding import connect_google
from tests.browser import code_of, complete, walk
from tests.conftest import PUBLIC_URL, Answer, Api, Queue, Studios

FORM = "application/x-www-form-urlencoded"
SECEVENT = "application/secevent+jwt"
RISC, OAUTH = security_events.RISC, security_events.OAUTH


def ago(**time: int) -> int:
    """In epoch seconds. Days if computed at import: the test may run hours later."""
    now = datetime.now(UTC)  # today: the verifying libraries use the system clock
    return int((now - timedelta(**time)).timestamp())


@pytest.fixture(autouse=True)
def no_keys_yet() -> None:
    key_set(KEYS_URL).forget()


@dataclass
class World:
    """Two studios with the same Google and Meta accounts, and one with other accounts."""

    api: Api
    other: Api
    stranger: Api
    platforms: Sandbox
    superuser: pg8000.native.Connection

    def google(self, token: str, content_type: str = SECEVENT) -> Answer:
        nobody = {"Authorization": "", "Content_Type": content_type}
        return self.api.send("POST", "/api/webhooks/google/security-events", token.encode(), nobody)

    def meta(self, callback: str, request: str, field: str = "signed_request") -> Answer:
        nobody = {"Authorization": "", "Content_Type": FORM}
        return self.api.send("POST", f"/api/webhooks/meta/{callback}", f"{field}={request}".encode(), nobody)

    def event(self, kind: str, account: str = "studio", **details: str) -> str:
        return self.platforms.google.security_event(kind, account, **details)

    def request(self, **more: Any) -> str:
        return signed_request(self.connection("meta")["accountId"], **more)

    def connection(self, platform: str, api: Api | None = None) -> Any:
        return (api or self.api).get(f"/api/connections/{platform}").json

    def states(self, platform: str) -> list[str]:
        return [self.connection(platform, api).get("status") for api in (self.api, self.other, self.stranger)]

    def events(self, api: Api | None = None, platform: str = "google") -> list[tuple[str, str | None]]:
        rows = self.superuser.run(
            "SELECT e.kind, e.code FROM connection_event AS e JOIN platform_connection AS c ON c.id = e.connection_id"
            " WHERE c.studio_id = :studio AND c.platform = :platform ORDER BY e.id",
            studio=(api or self.api).studio_id,
            platform=platform,
        )
        return [(kind, code) for kind, code in rows or () if kind != "connected"]

    def grow_older(self) -> None:
        self.superuser.run("UPDATE platform_connection SET status_since = now() - interval '1 hour'")

    def key_requests(self) -> int:
        return self.platforms.requests.counts().get("oauth2.certs", 0)


def connect(api: Api, account: str) -> None:
    connect_google(api, account)
    meta = {"platform": "meta", "accessToken": mint_meta(account).access_token, "expiresIn": 3600}
    assert api.post("/api/connections", meta).status == 201
    for platform in ("google", "meta"):  # the account is known after the first call to the platform
        assert api.post(f"/api/connections/{platform}/test").json["valid"] is True


@pytest.fixture
def world(studios: Studios, platforms: Sandbox, superuser: pg8000.native.Connection) -> World:
    world = World(studios.new(), studios.new(), studios.new(), platforms, superuser)
    for api, account in ((world.api, "studio"), (world.other, "studio"), (world.stranger, "empty")):
        connect(api, account)
    return world


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (RISC + "sessions-revoked", "sessions_revoked"),
        (OAUTH + "tokens-revoked", "tokens_revoked"),
        (RISC + "account-disabled", "account_disabled"),
        (RISC + "account-purged", "account_purged"),
    ],
)
def test_events_that_end_a_google_grant_break_the_users_connections(world: World, kind: str, code: str) -> None:
    answer = world.google(world.event(kind))
    assert (answer.status, answer.text) == (202, "")
    assert world.states("google") == ["revoked", "revoked", "active"]
    assert world.states("meta") == ["active"] * 3
    reason = world.connection("google")["statusReason"]
    assert (reason["code"], reason["action"]) == (code, "reconnect")
    assert world.events() == [("failed", code)]


def test_the_reason_for_disabling_a_google_account_is_shown(world: World) -> None:
    world.google(world.event(RISC + "account-disabled", reason="hijacking"))
    assert "hijacked" in world.connection("google")["statusReason"]["message"]


@pytest.mark.parametrize("kind", [RISC + "account-enabled", RISC + "account-credential-change-required"])
def test_other_google_events_are_recorded_once_and_change_nothing(world: World, kind: str) -> None:
    token = world.event(kind)
    assert [world.google(token).status for _ in range(2)] == [202, 202]
    assert world.states("google") == ["active"] * 3
    ((event, code),) = world.events()
    assert event == "warning"
    assert code


def test_a_re_enabled_account_stays_broken_until_reconnected(
    world: World,
) -> None:
    world.google(world.event(RISC + "account-disabled"))
    world.google(world.event(RISC + "account-enabled"))
    assert world.states("google") == ["revoked", "revoked", "active"]
    assert world.events() == [("failed", "account_disabled"), ("warning", "account_enabled")]


@pytest.mark.parametrize("kind", [RISC + "verification", RISC + "identifier-changed", "urn:of:tomorrow"])
def test_unknown_events_and_subjects_are_accepted_and_change_nothing(world: World, kind: str) -> None:
    claims = {**security_events.claims(kind, {}, CLIENT_ID), "events": {kind: {"state": "a test"}}}
    assert world.google(security_events.sign(claims)).status == 202
    assert world.states("google") == ["active"] * 3
    assert world.events() == []


def test_an_event_about_one_token_changes_nothing_until_the_next_refresh(world: World) -> None:
    subject = {"subject_type": "oauth_token", "token_type": "refresh_token", "token_identifier_alg": "prefix"}
    token = security_events.sign(
        security_events.claims(OAUTH + "token-revoked", {**subject, "token": "1//0"}, CLIENT_ID)
    )
    assert world.google(token).status == 202
    assert world.states("google") == ["active"] * 3


def test_a_repeated_event_does_not_break_a_reconnected_connection(world: World) -> None:
    token = security_events.sign(
        {
            **security_events.claims(OAUTH + "tokens-revoked", {}, CLIENT_ID),
            "iat": ago(hours=1),
            "events": {OAUTH + "tokens-revoked": {"subject": {"sub": world.connection("google")["accountId"]}}},
        }
    )
    world.superuser.run("UPDATE platform_connection SET status_since = now() - interval '2 hours'")
    assert world.google(token).status == 202
    assert world.states("google")[0] == "revoked"
    for api in (world.api, world.other):
        grant = {"accessToken": "another", "refreshToken": "other", "expiresIn": 3600}
        assert api.put("/api/connections/google", grant).status == 200
    assert world.google(token).status == 202
    assert world.states("google") == ["active"] * 3


def changed(**claims: Any) -> str:
    """A token about an unknown user with changed claims."""
    return security_events.sign({**security_events.claims(RISC + "verification", {}, CLIENT_ID), **claims})


BAD_TOKENS = {
    changed(aud="another client"): "invalid_audience",
    changed(iss="https://accounts.google.com"): "invalid_issuer",
    changed(iat=ago(days=-1)): "invalid_request",
    changed(events=[]): "invalid_request",
    changed(events={RISC + "account-purged": {"subject": {"sub": 1}}}): "invalid_request",
    changed()[:-8] + "AAAAAAAA": "authentication_failed",
    security_events.sign({}, algorithm="none"): "authentication_failed",
    security_events.sign({}, key_id="unknown"): "invalid_key",
    "not a token": "invalid_request",
    "": "invalid_request",
}


def test_an_invalid_token_is_rejected_as_rfc_8935_defines(world: World) -> None:
    for token, err in BAD_TOKENS.items():
        answer = world.google(token)
        assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
        assert set(answer.json) == {"err", "description"}
        assert answer.json["err"] == err
    assert world.states("google") == ["active"] * 3


def test_another_media_type_is_rejected_in_the_same_format(world: World) -> None:
    answer = world.google(world.event(RISC + "verification"), "application/json")
    assert (answer.status, answer.json["err"]) == (415, "invalid_request")


def test_googles_keys_are_fetched_once_and_rarely_for_unknown_key_ids(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        assert world.google(changed()).status == 202
    unknown = security_events.sign({}, key_id="unknown")
    for _ in range(3):
        assert world.google(unknown).status == 400
    assert world.key_requests() == 1
    later = clock.monotonic() + SHORTEST_SECONDS
    monkeypatch.setattr("chalicelib.clock.monotonic", lambda: later)
    for _ in range(3):
        assert world.google(unknown).status == 400
    assert world.key_requests() == 2


def test_without_googles_keys_google_is_asked_to_send_the_event_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.platforms.add_fault(kind="status", status=503, path=security_events.KEYS_PATH)
    token = world.event(OAUTH + "tokens-revoked")
    for _ in range(3):
        answer = world.google(token)
        assert (answer.status, set(answer.json)) == (503, {"err", "description"})
        assert 1 <= int(answer.headers["Retry-After"]) <= FIRST_RETRY_SECONDS
    assert world.key_requests() == 1
    assert world.states("google") == ["active"] * 3
    later = clock.monotonic() + FIRST_RETRY_SECONDS
    monkeypatch.setattr("chalicelib.clock.monotonic", lambda: later)
    assert world.google(token).status == 202
    assert world.states("google") == ["revoked", "revoked", "active"]


def test_without_client_credentials_webhooks_are_rejected(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.settings import get_settings

    token, request = world.event(OAUTH + "tokens-revoked"), world.request()
    for platform in ("GOOGLE", "META"):
        for variable in ("CLIENT_ID", "CLIENT_SECRET"):
            monkeypatch.delenv(f"{platform}_{variable}")
    get_settings.cache_clear()
    assert world.google(token).status == 400
    assert world.meta("deauthorize", request).status == 400
    get_settings.cache_clear()
    assert world.states("google") == world.states("meta") == ["active"] * 3


def test_deauthorizing_at_meta_breaks_the_users_connections_in_every_studio(world: World) -> None:
    answer = world.meta("deauthorize", world.platforms.meta.signed_request("studio"))
    assert answer.status == 204
    assert world.states("meta") == ["revoked", "revoked", "active"]
    assert world.states("google") == ["active"] * 3
    reason = world.connection("meta")["statusReason"]
    assert (reason["code"], reason["action"]) == ("deauthorized", "reconnect")
    assert world.events(platform="meta") == [("failed", "deauthorized")]


def test_a_repeated_callback_changes_nothing(world: World) -> None:
    request = world.request()
    assert [world.meta("deauthorize", request).status for _ in range(2)] == [204, 204]
    assert world.events(platform="meta") == [("failed", "deauthorized")]


def test_a_broken_connection_is_sent_to_webhook_endpoints(world: World, queue: Queue) -> None:
    from chalicelib.services.webhook_endpoints import create_webhook_endpoint

    create_webhook_endpoint(world.api.studio_id, "https://studio.example/hook")
    queue.receive()
    world.meta("deauthorize", world.request())
    (message,) = queue.receive()
    assert UUID(message["studioId"]) == world.api.studio_id
    assert message["id"]


def test_during_a_rollover_both_secrets_verify(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.settings import get_settings

    monkeypatch.setenv("META_CLIENT_SECRET", "the new one,the old one")
    get_settings.cache_clear()
    for secret, status in (("the old one", 204), ("the new one", 204), ("none of them", 400)):
        assert world.meta("deauthorize", world.request(secret=secret)).status == status
    get_settings.cache_clear()


BAD_REQUESTS: list[dict[str, Any]] = [
    {"secret": "somebody else's"},
    {"algorithm": "none"},
    {"issued_at": ago(days=2)},
    {"issued_at": ago(days=-1)},
    {"expires": ago(days=1)},
    {"issued_at": "now"},
    {"issued_at": 10**30},
    {"user_id": 17},
    {"user_id": ""},
]


@pytest.mark.parametrize("callback", ["deauthorize", "data-deletion"])
def test_a_forged_malformed_or_old_request_changes_nothing(world: World, callback: str) -> None:
    user_id = world.connection("meta")["accountId"]
    for more in BAD_REQUESTS:
        answer = world.meta(callback, signed_request(**{"user_id": user_id, **more}))
        assert (answer.status, answer.json["code"]) == (400, "invalid_signed_request"), more
    assert world.states("meta") == ["active"] * 3


BAD_FORMS = {
    b"": 422,
    b"other=1": 422,
    b"signed_request=a&signed_request=b": 422,
    b"signed_request=": 400,
    b"signed_request=%ff.%ff": 400,
    b"\xff": 400,
    b"&".join(b"x%d=1" % number for number in range(30)): 400,
}


def test_only_metas_callbacks_accept_a_form(api: Api, platforms: Sandbox) -> None:
    headers = {"Authorization": "", "Content_Type": f"{FORM}; charset=utf-8"}
    for form, status in BAD_FORMS.items():
        assert api.send("POST", "/api/webhooks/meta/deauthorize", form, headers).status == status, form
    assert api.post("/api/webhooks/meta/deauthorize", {"signed_request": "a.b"}).status == 415
    form = b"platform=yelp&accessToken=x"
    assert api.send("POST", "/api/connections", form, {"Content_Type": FORM}).status == 415


def rows_of(world: World, api: Api) -> str:
    """The studio's stored connection to Meta."""
    rows = world.superuser.run(
        "SELECT c::text FROM platform_connection AS c WHERE c.studio_id = :id AND c.platform = 'meta'",
        id=api.studio_id,
    )
    assert rows
    return str(rows[0][0])


def test_a_data_deletion_disconnects_erases_and_returns_a_status_url(world: World) -> None:
    connection = world.connection("meta")
    answer = world.meta("data-deletion", world.request())
    assert answer.status == 200
    assert set(answer.json) == {"url", "confirmation_code"}
    code = answer.json["confirmation_code"]
    assert code.isalnum()
    assert answer.json["url"] == f"{PUBLIC_URL}/api/webhooks/meta/data-deletion/{code}"
    assert world.states("meta")[2] == "active"
    for api in (world.api, world.other):
        assert api.get("/api/connections/meta").status == 404
        row = rows_of(world, api)
        assert connection["accountId"] not in row
        assert connection["accountName"] not in row
        assert "\\x" not in row, "a token is left"
    assert ("failed", "deauthorized") in world.events(platform="meta")

    status = world.api.get(f"/api/webhooks/meta/data-deletion/{code}", Authorization="")
    assert (status.status, status.json["state"]) == (200, "done")
    assert "2 connections" in status.json["message"]
    assert status.json["doneAt"] >= status.json["requestedAt"]


def test_a_data_deletion_includes_connections_disconnected_before(world: World) -> None:
    request = world.request()
    assert world.api.delete("/api/connections/meta").status == 204
    account = world.connection("meta", world.other)["accountId"]
    assert account in rows_of(world, world.api)
    world.meta("data-deletion", request)
    assert account not in rows_of(world, world.api)


def test_an_interrupted_deletion_is_completed_by_the_next_request(world: World) -> None:
    """The first request broke the connections and then stopped, some time ago."""
    request = world.request(issued_at=ago(minutes=10))
    world.grow_older()
    world.meta("deauthorize", request)
    assert world.states("meta") == ["revoked", "revoked", "active"]
    answer = world.meta("data-deletion", request)
    status = world.api.get(answer.json["url"].removeprefix(PUBLIC_URL))
    assert "2 connections" in status.json["message"]


def test_a_deletion_of_an_unknown_account_is_done_at_once(world: World) -> None:
    answer = world.meta("data-deletion", signed_request("1234567890"))
    status = world.api.get(answer.json["url"].removeprefix(PUBLIC_URL))
    assert (status.json["state"], status.json["message"]) == ("done", webhooks.NOTHING_KNOWN)
    assert world.states("meta") == ["active"] * 3


def test_an_event_about_one_account_does_not_affect_a_studios_other_one(world: World) -> None:
    mine = world.connection("google")["id"]
    other = connect_google(world.api, "bulk-3").json["id"]
    assert world.google(world.event(security_events.OAUTH + "tokens-revoked", "bulk-3")).status == 202
    states = {each["id"]: each["status"] for each in world.api.get("/api/connections").json["items"]}
    assert (states[mine], states[other]) == ("active", "revoked")
    assert world.states("google")[1:] == ["active", "active"]


def test_a_deletion_works_next_to_an_unidentified_connection(world: World) -> None:
    """At most one live connection per platform may have no known account."""
    unknown = "INSERT INTO platform_connection (studio_id, platform, access_token) VALUES (:studio, 'meta', 'sealed')"
    request = world.request()
    world.superuser.run(unknown, studio=world.api.studio_id)
    assert world.meta("data-deletion", request).status == 200
    rows = world.superuser.run(
        "SELECT status, external_account_id FROM platform_connection WHERE studio_id = :studio AND platform = 'meta'"
        " ORDER BY id",
        studio=world.api.studio_id,
    )
    assert rows == [["disabled", None], ["active", None]]


def test_a_confirmation_code_cannot_be_guessed_and_is_not_stored(world: World) -> None:
    codes = {world.meta("data-deletion", signed_request("1")).json["confirmation_code"] for _ in range(2)}
    assert len(codes) == 2
    assert all(len(code) == 32 for code in codes)
    for wrong in ("0" * 32, "x", next(iter(codes))[:-1]):
        answer = world.api.get(f"/api/webhooks/meta/data-deletion/{wrong}")
        assert (answer.status, answer.json["code"]) == (404, "deletion_not_found")
    stored = str(world.superuser.run("SELECT d::text FROM data_deletion AS d"))
    assert not [code for code in codes if code in stored]


def pending_of(world: World, platform: str, account: str) -> str:
    """The code of an authorization that is not completed, in a studio without a connection to the account."""
    return code_of(walk(world.stranger, platform, account=account))


def test_events_that_end_a_google_grant_end_pending_grants_too(world: World) -> None:
    ended, other = pending_of(world, "google", "studio"), pending_of(world, "google", "bulk-40")
    assert world.google(world.event(OAUTH + "tokens-revoked")).status == 202
    assert complete(world.stranger, ended).json["code"] == "completion_code_invalid"
    assert complete(world.stranger, other).status == 200


def test_a_warning_ends_no_pending_grant(world: World) -> None:
    code = pending_of(world, "google", "studio")
    world.google(world.event(RISC + "account-credential-change-required"))
    assert complete(world.stranger, code).status == 200


@pytest.mark.parametrize("callback", ["deauthorize", "data-deletion"])
def test_deauthorizing_at_meta_ends_pending_grants(world: World, callback: str) -> None:
    code = pending_of(world, "meta", "studio")
    assert world.meta(callback, world.request()).status in (200, 204)
    assert complete(world.stranger, code, "meta").json["code"] == "completion_code_invalid"
    assert world.superuser.run("SELECT count(*) FROM pending_grant") == [[0]]


def test_an_event_older_than_the_consent_does_not_end_it(world: World) -> None:
    request = world.request()
    code = pending_of(world, "meta", "studio")
    world.superuser.run("UPDATE pending_grant SET created_at = now() + interval '5 minutes'")
    assert world.meta("deauthorize", request).status == 204
    assert complete(world.stranger, code, "meta").status == 200


def test_an_event_takes_a_fixed_number_of_statements(world: World) -> None:
    def cost(answer: Callable[[], Answer]) -> tuple[int, int]:
        with query_statistics() as statistics:
            assert answer().status in (200, 202, 204, 404)
        return len(statistics.statements), statistics.round_trips

    deletion = world.request()
    assert cost(lambda: world.google(changed())) == (0, 0)
    assert cost(lambda: world.google(world.event(OAUTH + "tokens-revoked", "empty"))) == (15, 5)
    assert cost(lambda: world.meta("deauthorize", signed_request("1"))) == (6, 2)
    assert cost(lambda: world.meta("data-deletion", deletion)) == (38, 16)
    assert cost(lambda: world.api.get(f"/api/webhooks/meta/data-deletion/{'0' * 32}")) == (3, 1)
