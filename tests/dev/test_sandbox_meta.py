"""Meta in the sandbox: its tokens, pages, restated days, quotas and refusals, as any client would see them."""

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest

from dev.sandbox import Sandbox
from dev.sandbox.meta import issue_token
from tests.conftest import TODAY
from tests.dev.sandbox_client import Answer, SandboxClient

GRAPH = "/graph.facebook.com/v26.0"
WEDDINGS = "120210000000100"
DAILY = {"level": "campaign", "time_increment": "1"}
BERLIN = ZoneInfo("Europe/Berlin")
Ask = Callable[..., Answer]


@pytest.fixture
def ask(google: SandboxClient) -> Ask:
    """GET of a Graph path, by default with a new token of the account `studio`."""

    def get(path: str, params: dict[str, str] | None = None, token: str | None = None) -> Answer:
        grant = issue_token().access_token if token is None else token
        query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
        headers = {"Authorization": f"Bearer {grant}"} if grant else {}
        return google.send("GET", f"{GRAPH}/{path}?{query}", headers=headers)

    return get


def of_account(ask: Ask, currency: str = "EUR") -> str:
    accounts = ask("me/adaccounts", {"fields": "currency"}).json["data"]
    return next(str(account["id"]) for account in accounts if account["currency"] == currency)


def a_day(ask: Ask, day: str) -> dict[str, Any]:
    """The wedding campaign's row of a day."""
    range_ = json.dumps({"since": day, "until": day})
    fields = "campaign_id,impressions,clicks,spend,actions"
    rows = ask(f"{of_account(ask)}/insights", {**DAILY, "time_range": range_, "fields": fields}).json["data"]
    return next(row for row in rows if row["campaign_id"] == WEDDINGS)


def code(answer: Answer) -> tuple[int, int, int | None]:
    error = answer.json["error"]
    return answer.status, error["code"], error.get("error_subcode")


def test_a_token_works_in_a_header_of_either_scheme_and_as_a_parameter(google: SandboxClient, ask: Ask) -> None:
    token = issue_token().access_token
    for headers in ({"Authorization": f"Bearer {token}"}, {"Authorization": f"OAuth {token}"}):
        assert google.send("GET", f"{GRAPH}/me", headers=headers).json["name"] == "Mara Linden"
    assert ask("me", {"access_token": token}, token="").json["name"] == "Mara Linden"


def test_each_kind_of_invalid_token_has_its_own_error(sandbox: Sandbox, ask: Ask) -> None:
    assert code(ask("me", token="")) == (400, 2500, None)
    assert code(ask("me", token="EAAGinvented")) == (400, 190, None)
    assert code(ask("me", token=issue_token(lifetime=0).access_token)) == (400, 190, 463)
    assert code(ask("me", token=issue_token("nobody").access_token)) == (400, 190, None)
    before = issue_token().access_token
    sandbox.meta.revoke()
    assert code(ask("me", token=before)) == (400, 190, 458)
    assert ask("me").status == 200


def test_a_removed_application_stays_removed_after_a_restart(tmp_path: Path) -> None:
    token = issue_token().access_token
    with Sandbox(today=TODAY, state_dir=tmp_path) as first:
        first.meta.revoke()
    with Sandbox(today=TODAY, state_dir=tmp_path) as second:
        client = SandboxClient(second)
        answer = client.send("GET", f"{GRAPH}/me", headers={"Authorization": f"Bearer {token}"})
        client.pool.clear()
    assert code(answer) == (400, 190, 458)


def test_an_edge_returns_only_the_requested_fields(ask: Ask) -> None:
    account = of_account(ask)
    assert set(ask(f"{account}/campaigns").json["data"][0]) == {"id"}
    assert set(ask(f"{account}/campaigns", {"fields": "name"}).json["data"][0]) == {"id", "name"}
    assert code(ask(f"{account}/campaigns", {"fields": "colour"})) == (400, 100, None)
    assert set(ask(f"{account}/insights", DAILY).json["data"][0]) >= {"date_start", "date_stop", "spend"}


def test_archived_campaigns_must_be_requested_and_deleted_ones_cannot_be(ask: Ask) -> None:
    path, fields = f"{of_account(ask)}/campaigns", {"fields": "status"}
    assert {each["status"] for each in ask(path, fields).json["data"]} == {"ACTIVE", "PAUSED"}
    archived = ask(path, {**fields, "effective_status": '["ARCHIVED"]'}).json["data"]
    assert {each["status"] for each in archived} == {"ARCHIVED"}
    assert code(ask(path, {**fields, "effective_status": '["DELETED"]'})) == (400, 100, None)


def test_each_page_links_to_the_next_with_the_token_in_the_url(google: SandboxClient, ask: Ask) -> None:
    found, params = [], {"fields": "id", "limit": "2"}
    path = f"{of_account(ask)}/campaigns"
    answer = ask(path, params).json
    while "next" in answer["paging"]:
        found += answer["data"]
        parts = urlsplit(answer["paging"]["next"])
        following = dict(parse_qsl(parts.query))
        assert following["after"] == answer["paging"]["cursors"]["after"]
        assert following["access_token"].startswith("EAAG")
        answer = google.send("GET", f"{parts.path}?{parts.query}").json
    found += answer["data"]
    whole = ask(path, {"fields": "id"}).json
    assert found == whole["data"]
    assert "next" not in whole["paging"]
    assert len(found) == len({each["id"] for each in found}) == 6


def test_a_cursor_of_another_request_or_an_expired_one_is_refused(sandbox: Sandbox, ask: Ask) -> None:
    path = f"{of_account(ask)}/campaigns"
    after = ask(path, {"limit": "2"}).json["paging"]["cursors"]["after"]
    assert ask(path, {"limit": "1", "after": after}).status == 200
    assert code(ask(path, {"after": after, "effective_status": '["PAUSED"]'})) == (400, 2642, None)
    assert code(ask(path, {"after": "QVFI"})) == (400, 2642, None)
    sandbox.meta.expire_cursors()
    assert code(ask(path, {"after": after})) == (400, 2642, None)


def test_a_past_day_is_restated_for_a_while_and_then_final(sandbox: Sandbox, ask: Ask) -> None:
    seen = []
    sandbox.meta.advance_days(3)
    for _ in range(32):
        seen.append(a_day(ask, "2026-11-21"))
        sandbox.meta.advance_days()
    assert float(seen[0]["spend"]) < float(seen[3]["spend"]) < float(seen[1]["spend"])
    leads = [
        sum(int(each["value"]) for each in day.get("actions", ()) if each["action_type"] == "lead") for day in seen
    ]
    assert leads == sorted(leads)
    assert leads[0] < leads[3] < leads[-1]
    assert seen[28] == seen[29] == seen[31]


def test_a_day_can_be_restated_manually(google: SandboxClient, ask: Ask) -> None:
    before = a_day(ask, "2026-11-02")
    changes = {"spend": "0.50", "leads": 0, "clicks": 0}
    restated = {"campaign_id": WEDDINGS, "day": "2026-11-02", "changes": changes}
    assert google.control("POST", "/meta/restate", **restated).status == 200
    after = a_day(ask, "2026-11-02")
    assert (after["spend"], after["impressions"]) == ("0.50", before["impressions"])
    assert "clicks" not in after
    assert "actions" not in after
    assert google.control("POST", "/meta/restate", **{**restated, "changes": {"colour": 1}}).status == 400
    assert google.control("POST", "/meta/restate", **{**restated, "campaign_id": "1"}).status == 400


def test_insights_overlap_so_adding_up_all_actions_counts_twice(ask: Ask) -> None:
    days = ask(f"{of_account(ask)}/insights", {**DAILY, "fields": "campaign_id,actions", "limit": "500"}).json["data"]
    actions = [
        {each["action_type"]: int(each["value"]) for each in day["actions"]}
        for day in days
        if day["campaign_id"] == WEDDINGS and "actions" in day
    ]
    parts = ("onsite_conversion.lead_grouped", "offsite_conversion.fb_pixel_lead")
    assert any("lead" in day for day in actions)
    assert all(day.get("lead", 0) == sum(day.get(part, 0) for part in parts) for day in actions)


def test_days_without_delivery_and_future_days_have_no_rows(ask: Ask) -> None:
    path = f"{of_account(ask)}/insights"
    for since, until in (("2026-11-19", "2026-11-30"), ("2025-01-01", "2025-01-31")):
        range_ = json.dumps({"since": since, "until": until})
        assert ask(path, {**DAILY, "time_range": range_}).json == {"data": []}
    too_old = json.dumps({"since": "2020-01-01", "until": "2020-01-02"})
    assert code(ask(path, {**DAILY, "time_range": too_old})) == (400, 100, 3018)


@pytest.mark.parametrize(
    "params",
    [
        {"level": "ad", "time_increment": "1"},
        {"level": "campaign"},
        {**DAILY, "time_range": "yesterday"},
        {**DAILY, "time_range": '{"since":"2026-11-02"}'},
        {**DAILY, "time_range": '{"since":"2026-11-02","until":"2026-11-01"}'},
        {**DAILY, "limit": "0"},
        {**DAILY, "breakdowns": "age"},
    ],
)
def test_invalid_parameters_are_refused(ask: Ask, params: dict[str, str]) -> None:
    assert code(ask(f"{of_account(ask)}/insights", params)) == (400, 100, None)


def test_access_without_permission_is_refused(ask: Ask) -> None:
    bare = issue_token(scopes=["public_profile"]).access_token
    assert code(ask("me/adaccounts", token=bare)) == (403, 200, None)
    assert code(ask(f"{of_account(ask)}/campaigns", token=bare)) == (403, 200, None)
    assert code(ask("act_1/campaigns")) == (400, 100, 33)
    assert ask("me/permissions", token=bare).json == {"data": [{"permission": "public_profile", "status": "granted"}]}


def test_usage_is_reported_in_headers_and_requests_are_refused_from_100_on(google: SandboxClient, ask: Ask) -> None:
    account = of_account(ask)
    google.control("POST", "/meta/usage", app=28, account=45, minutes=19)
    told = ask(f"{account}/insights", DAILY).headers
    assert json.loads(told["x-app-usage"])["call_count"] == 28
    case = json.loads(told["x-business-use-case-usage"])[account][0]
    assert (case["type"], case["call_count"], case["estimated_time_to_regain_access"]) == ("ads_insights", 45, 19)
    assert json.loads(told["x-ad-account-usage"])["reset_time_duration"] == 19 * 60
    assert json.loads(told["x-fb-ads-insights-throttle"])["acc_id_util_pct"] == 45
    google.control("POST", "/meta/usage", account=100, minutes=3)
    refused = ask(f"{account}/campaigns")
    assert code(refused) == (400, 80004, 2446079)
    assert "x-business-use-case-usage" in refused.headers
    assert ask("me").status == 200
    google.control("POST", "/meta/usage", app=100)
    assert code(ask("me")) == (403, 4, None)


@pytest.mark.parametrize(("status", "expected"), [(400, 100), (401, 190), (403, 200), (429, 4), (500, 1), (503, 2)])
def test_a_status_fault_fails_in_metas_words(sandbox: Sandbox, ask: Ask, status: int, expected: int) -> None:
    sandbox.add_fault(kind="status", status=status, host="graph.facebook.com")
    assert code(ask("me"))[:2] == (status, expected)


def test_an_unknown_path_or_version_fails_in_metas_words(google: SandboxClient) -> None:
    assert google.send("GET", "/graph.facebook.com/v1.0/me").json["error"]["code"] == 2500


def test_requests_are_logged_without_tokens(sandbox: Sandbox, ask: Ask) -> None:
    token = issue_token().access_token
    ask("me", {"access_token": token}, token="")
    entry = sandbox.requests.list()[-1]
    assert (entry["name"], entry["query"]) == ("user.get", [])
    assert token not in str(entry)


def test_a_campaign_is_edited_in_graphs_format(google: SandboxClient, ask: Ask) -> None:
    google.control("PATCH", "/meta/campaigns", campaign_id=WEDDINGS, changes={"status": "ARCHIVED", "name": "Old"})
    listed = ask(f"{of_account(ask)}/campaigns", {"fields": "name", "effective_status": '["ARCHIVED"]'}).json["data"]
    assert {"id": WEDDINGS, "name": "Old"} in listed


def test_a_token_can_be_issued_over_http(google: SandboxClient, ask: Ask) -> None:
    issued = google.control("POST", "/meta/issue_token", account="empty").json
    assert ask("me/adaccounts", token=issued["access_token"]).json == {"data": []}


def test_without_a_fixed_day_the_clock_is_used() -> None:
    before = datetime.now(BERLIN).date()  # today: the subject of this test
    with Sandbox() as sandbox:  # today: the subject of this test
        client = SandboxClient(sandbox)
        headers = {"Authorization": f"Bearer {issue_token('bulk-1').access_token}"}
        account = client.send("GET", f"{GRAPH}/me/adaccounts", headers=headers).json["data"][0]["id"]
        days = json.dumps({"since": f"{before}", "until": f"{before + timedelta(days=9)}"})
        rows = client.send("GET", f"{GRAPH}/{account}/insights", fields={**DAILY, "time_range": days}, headers=headers)
        client.pool.clear()
    after = datetime.now(BERLIN).date()  # today: the subject of this test
    assert before <= date.fromisoformat(rows.json["data"][-1]["date_start"]) <= after


def test_one_ad_account_can_be_refused_or_taken_away(google: SandboxClient, ask: Ask) -> None:
    euro, yen = of_account(ask), of_account(ask, "JPY")
    google.control("POST", "/meta/refuse-ad-account", ad_account=euro, code=80004)
    assert code(ask(f"{euro}/campaigns")) == (400, 80004, None)
    assert ask(f"{yen}/campaigns").status == 200
    google.control("POST", "/meta/refuse-ad-account", ad_account=euro, code=0)
    assert ask(f"{euro}/campaigns").status == 200
    google.control("POST", "/meta/share-ad-account", ad_account=euro, shared=False)
    assert [account["id"] for account in ask("me/adaccounts").json["data"]] == [yen]
    assert code(ask(f"{euro}/campaigns")) == (400, 100, 33)
