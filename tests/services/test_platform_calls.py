"""Platform calls outside runs: each is charged to its studio, and none uses up what syncs need."""

from typing import Any
from uuid import UUID

import pytest
from pg8000.native import Connection as Superuser

from chalicelib.data import throttle as rows
from chalicelib.data.connections import FIND_STORED_CONNECTION
from chalicelib.data.postgres.database import read, write
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections.refresh import refresh_idle
from chalicelib.services.connections.revocations import revoke
from chalicelib.services.throttling.platform_calls import background_call
from chalicelib.services.throttling.throttle import FAILURES_TO_OPEN
from chalicelib.settings import get_settings
from dev.sandbox import Sandbox
from tests.api.seeding import connect_google
from tests.browser import RETURN_TO, ask, come_back, decide, query_of
from tests.conftest import Answer, Api, LogLines, Studios

CALLS = 6
YELP = "linden-and-light-photography-berlin"
TEST = "/api/connections/google/test"
OAUTH_HOST = "oauth2.googleapis.com"


@pytest.fixture(autouse=True)
def share(platforms: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six calls per minute, the default."""
    monkeypatch.setenv("STUDIO_PLATFORM_CALLS_PER_MINUTE", str(CALLS))
    get_settings.cache_clear()


@pytest.fixture
def google(api: Api) -> Api:
    """A studio connected to Google that has made no calls yet."""
    connect_google(api)
    return api


def look_up(api: Api, business: str = "nobody-knows-it") -> Answer:
    return api.post("/api/connections", {"platform": "yelp", "accountId": business})


def spend_share(api: Api, superuser: Superuser) -> None:
    """As if the studio had made all its calls just now."""
    superuser.run(
        "INSERT INTO rate_limit (studio_id, name, full_at)"
        " VALUES (:id, 'platform_calls', now() + interval '1 minute 5 seconds')"
        " ON CONFLICT (studio_id, name) DO UPDATE SET full_at = excluded.full_at",
        id=api.studio_id,
    )


def a_minute_later(superuser: Superuser) -> None:
    """Lets a minute pass; it is still the same day at the platform."""
    superuser.run("UPDATE rate_limit SET full_at = now()")
    superuser.run("UPDATE app_quota SET used_until = now() + interval '1 hour' WHERE used_until IS NOT NULL")


def use_quota(superuser: Superuser, used: float, until: str = "1 hour") -> None:
    """Uses the application's quota as reported by Yelp."""
    superuser.run(
        "INSERT INTO app_quota (platform, api, used, used_until) VALUES ('yelp', '', :used, now() + :until::interval)",
        used=used,
        until=until,
    )


def open_circuit(superuser: Superuser, platform: str = "google") -> None:
    superuser.run(
        "INSERT INTO platform_circuit (platform, api, failures_in_row, open_until)"
        " VALUES (:platform, '', :failures, now() + interval '5 minutes')",
        platform=platform,
        failures=FAILURES_TO_OPEN,
    )


def assert_wait(answer: Answer, status: int, code: str, *, least: int, most: int) -> None:
    assert (answer.status, answer.json["code"]) == (status, code), answer.text
    assert least <= int(answer.headers["Retry-After"]) <= most


def test_a_studio_may_make_six_calls_per_minute(api: Api, platforms: Sandbox) -> None:
    answers = [look_up(api) for _ in range(CALLS + 1)]
    assert [answer.status for answer in answers[:CALLS]] == [422] * CALLS
    assert_wait(answers[-1], 429, "platform_calls_exceeded", least=1, most=10)
    assert platforms.requests.counts()["businesses.get"] == CALLS


def test_calls_of_all_platforms_and_kinds_count_together(google: Api, superuser: Superuser) -> None:
    spend_share(google, superuser)
    for answer in (
        look_up(google),
        google.post(TEST),
        google.post("/api/oauth/meta/authorize", {}),
        google.delete("/api/connections/google"),
    ):
        assert_wait(answer, 429, "platform_calls_exceeded", least=1, most=20)
    assert google.get("/api/connections/google").json["status"] == "active"


def test_another_studio_is_not_affected(google: Api, studios: Studios, superuser: Superuser) -> None:
    spend_share(google, superuser)
    assert look_up(studios.new(), YELP).status == 201


def test_300_lookups_by_one_studio_leave_the_daily_quota_to_others(
    api: Api, studios: Studios, platforms: Sandbox, superuser: Superuser
) -> None:
    for _ in range(300):
        look_up(api)
        a_minute_later(superuser)
    spent = platforms.requests.counts()["businesses.get"]
    assert spent <= rows.SHARED * 300 + 1
    assert look_up(api).json["code"] == "platform_calls_exceeded"
    assert look_up(studios.new(), YELP).status == 201


def test_the_end_of_the_quota_is_reserved_for_syncs(api: Api, platforms: Sandbox, superuser: Superuser) -> None:
    use_quota(superuser, rows.RESERVE + 0.01)
    assert_wait(look_up(api), 503, "quota_spent", least=3500, most=4100)
    assert platforms.requests.counts().get("businesses.get", 0) == 0
    with background_call(api.studio_id, get_platform("yelp")):
        pass
    usage = {"app_used": rows.RESERVE + 0.02, "app_seconds": 3600, "account_used": None, "account_seconds": None}
    run = {"studio_id": api.studio_id, "connection_id": None, "platform": "yelp", "api": "", "calls": 0}
    assert write(api.studio_id, rows.SPEND_QUOTA, **run, **usage).seconds is None


def test_reported_quota_usage_holds_until_the_quota_resets(api: Api, superuser: Superuser) -> None:
    use_quota(superuser, 0.99, until="0")
    assert look_up(api, YELP).status == 201
    superuser.run("UPDATE app_quota SET used_until = NULL, used = 0.99")  # by the previous release
    assert look_up(api).status == 422


def test_rejected_requests_use_up_nothing(google: Api, superuser: Superuser) -> None:
    open_circuit(superuser)
    for _ in range(2 * CALLS):
        assert google.post(TEST).status == 503
    assert superuser.run("SELECT count(*) FROM rate_limit WHERE name = 'platform_calls'") == [[0]]


def test_a_platform_that_is_down_is_not_called_and_no_error_is_logged(
    google: Api, platforms: Sandbox, superuser: Superuser, log_lines: LogLines
) -> None:
    open_circuit(superuser)
    platforms.requests.clear()
    assert_wait(google.post(TEST), 503, "platform_down", least=290, most=345)
    assert platforms.requests.list() == []
    assert log_lines.named("request.failed") == []
    (done,) = [line for line in log_lines.named("request.done") if line["status"] == 503]
    assert done["code"] == "platform_down"


def test_a_rate_limit_is_respected_and_no_error_is_logged(google: Api, platforms: Sandbox, log_lines: LogLines) -> None:
    platforms.add_fault(kind="status", status=429, host=OAUTH_HOST, headers={"Retry-After": "120"}, times=1)
    assert_wait(google.post(TEST), 503, "platform_rate_limited", least=115, most=120)
    platforms.requests.clear()
    assert_wait(google.post(TEST), 503, "quota_spent", least=110, most=145)
    assert platforms.requests.list() == []
    assert google.get("/api/connections/google").json["status"] == "active"
    assert log_lines.named("request.failed") == []


def test_a_rate_limit_without_a_time_holds_for_a_while(api: Api, platforms: Sandbox) -> None:
    platforms.add_fault(kind="status", status=429, host="api.yelp.com", times=1)
    assert_wait(look_up(api), 503, "platform_rate_limited", least=30, most=30)


def test_failures_of_requests_count_against_the_platform_until_it_answers(
    google: Api, platforms: Sandbox, superuser: Superuser
) -> None:
    platforms.add_fault(kind="status", status=500, host=OAUTH_HOST, times=None)
    for _ in range(CALLS):
        assert google.post(TEST).json["error"]["code"] == "platform_unavailable"
    assert superuser.run("SELECT failures_in_row, open_until FROM platform_circuit") == [[CALLS, None]]
    platforms.clear_faults()
    a_minute_later(superuser)
    assert google.post(TEST).json["valid"] is True
    assert superuser.run("SELECT failures_in_row FROM platform_circuit") == [[0]]


def test_a_rejection_proves_that_the_platform_works(google: Api, platforms: Sandbox, superuser: Superuser) -> None:
    superuser.run("INSERT INTO platform_circuit (platform, api, failures_in_row) VALUES ('yelp', '', 3)")
    assert look_up(google).status == 422
    assert superuser.run("SELECT failures_in_row FROM platform_circuit") == [[0]]


def test_a_half_open_circuit_admits_one_request(google: Api, superuser: Superuser) -> None:
    open_circuit(superuser)
    superuser.run("UPDATE platform_circuit SET open_until = now()")
    assert google.post(TEST).json["valid"] is True
    assert superuser.run("SELECT failures_in_row FROM platform_circuit") == [[0]]


def test_an_authorization_is_charged_at_its_start_not_at_its_callback(api: Api, superuser: Superuser) -> None:
    path = decide(ask(api))
    spend_share(api, superuser)
    assert come_back(api, path).status == 200
    assert_wait(api.post("/api/oauth/google/authorize", {}), 429, "platform_calls_exceeded", least=1, most=20)


def test_a_callback_while_the_platform_is_down_fails_at_once(
    api: Api, platforms: Sandbox, superuser: Superuser
) -> None:
    plain, returning = decide(ask(api)), decide(ask(api, returnTo=RETURN_TO))
    open_circuit(superuser)
    platforms.requests.clear()
    assert_wait(come_back(api, plain), 503, "platform_down", least=290, most=345)
    response = come_back(api, returning)
    assert query_of(response.headers["Location"]) == {"status": "failed", "platform": "google", "code": "platform_down"}
    assert platforms.requests.list() == []


def test_a_disconnect_does_not_wait_for_a_platform_that_is_down(
    google: Api, platforms: Sandbox, superuser: Superuser
) -> None:
    open_circuit(superuser)
    platforms.requests.clear()
    assert google.delete("/api/connections/google").status == 204
    assert superuser.run("SELECT revocation FROM platform_connection") == [["failed"]]
    assert platforms.requests.list() == []


@pytest.mark.parametrize("body", [{"platform": "website"}, {"platform": "pinterest", "accessToken": "token"}])
def test_a_disconnect_without_calls_costs_nothing(api: Api, superuser: Superuser, body: dict[str, Any]) -> None:
    assert api.post("/api/connections", body).status == 201
    spend_share(api, superuser)
    assert api.delete(f"/api/connections/{body['platform']}").status == 204


def test_an_erasure_revokes_grants_whatever_the_studio_has_spent(
    google: Api, platforms: Sandbox, superuser: Superuser
) -> None:
    spend_share(google, superuser)
    open_circuit(superuser)
    stored = read(google.studio_id, FIND_STORED_CONNECTION, platform="google", connection=None)
    assert stored is not None
    assert revoke(stored, requested=False) == "revoked"


def test_an_idle_grant_is_not_refreshed_while_the_platform_is_down(
    google: Api, platforms: Sandbox, superuser: Superuser
) -> None:
    open_circuit(superuser)
    platforms.requests.clear()
    ((connection_id,),) = superuser.run("UPDATE platform_connection SET refresh_at = now() RETURNING id")
    assert refresh_idle(google.studio_id, UUID(str(connection_id))) == "failed"
    assert platforms.requests.list() == []
    assert superuser.run("SELECT status, refresh_failures FROM platform_connection") == [["active", 0]]


def test_refreshes_of_idle_grants_cost_the_studio_nothing(google: Api, superuser: Superuser) -> None:
    spend_share(google, superuser)
    ((connection_id,),) = superuser.run("UPDATE platform_connection SET refresh_at = now() RETURNING id")
    assert refresh_idle(google.studio_id, UUID(str(connection_id))) == "refreshed"
