"""Meta's ad accounts under one connection: each is read independently of the others."""

from typing import Any

import pg8000.native
import pytest

from dev.sandbox import Sandbox
from dev.sandbox.meta import issue_token
from tests.conftest import Api, Queue
from tests.services.conftest import Studio, execute, make_due, scalar

PATH = "/api/connections/meta/accounts"
STREAMS = ("campaigns", "ad_insights")


class Advertiser(Studio):
    """A studio connected to Meta."""

    def start(self, stream: str) -> dict[str, Any]:
        answer = self.api.post("/api/sync/meta", {"syncType": stream})
        assert answer.status == 202, answer.text
        return answer.json["runs"][0]  # type: ignore[no-any-return]

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Ad accounts by currency."""
        return {account["currency"]: account for account in self.api.get(PATH).json["items"]}

    def connection(self) -> dict[str, Any]:
        return self.api.get("/api/connections/meta").json  # type: ignore[no-any-return]

    def status(self, stream: str) -> dict[str, Any]:
        items = self.api.get("/api/sync/status").json["items"]
        return next(item for item in items if item["platform"] == "meta" and item["syncType"] == stream)


@pytest.fixture
def studio(api: Api, queue: Queue, platforms: Sandbox) -> Advertiser:
    grant = issue_token("studio")
    body = {"platform": "meta", "accessToken": grant.access_token, "scopes": list(grant.scopes)}
    assert api.post("/api/connections", body).status == 201
    return Advertiser(api, queue, "studio")


def euro(platforms: Sandbox) -> str:
    return next(iter(platforms.meta.user("studio").ad_accounts))


def currencies(superuser: pg8000.native.Connection) -> set[str]:
    return {row[0] for row in superuser.run("SELECT DISTINCT currency FROM ad_campaign") or ()}


def test_all_ad_accounts_are_read_with_their_currency_and_zone(
    studio: Advertiser, superuser: pg8000.native.Connection
) -> None:
    run = studio.sync("campaigns")
    assert (run["status"], run["apiCalls"], len(run["accounts"])) == ("succeeded", 3, 2)
    assert {currency: account["timeZone"] for currency, account in studio.accounts().items()} == {
        "EUR": "Europe/Berlin",
        "JPY": "Asia/Tokyo",
    }
    assert all(account["selected"] and account["kind"] == "ad_account" for account in studio.accounts().values())
    assert currencies(superuser) == {"EUR", "JPY"}
    assert studio.sync("campaigns")["apiCalls"] == 2
    assert studio.sync("ad_insights")["status"] == "succeeded"
    states = {stream["syncType"]: stream["state"] for stream in studio.accounts()["JPY"]["streams"]}
    assert states == dict.fromkeys(sorted(STREAMS), "idle")


@pytest.mark.parametrize("stream", STREAMS)
def test_a_rejected_ad_account_does_not_stop_the_others(
    studio: Advertiser, platforms: Sandbox, superuser: pg8000.native.Connection, stream: str
) -> None:
    platforms.meta.refuse_ad_account(euro(platforms))
    for _ in range(2):
        run = studio.sync(stream)
        assert (run["status"], run["error"]) == ("succeeded", None)
        assert sorted(outcome["status"] for outcome in run["accounts"]) == ["failed", "succeeded"]
    table = {"campaigns": "ad_campaign", "ad_insights": "ad_metric"}[stream]
    assert superuser.run(f"SELECT DISTINCT currency FROM {table}") == [["JPY"]]
    (state,) = studio.accounts()["EUR"]["streams"]
    assert (state["state"], state["failuresInRow"]) == ("failing", 2)
    assert (state["reason"]["code"], state["reason"]["action"]) == ("permission_missing", "grant_scopes")
    assert studio.status(stream)["state"] == "failing"
    connection = studio.connection()
    assert (connection["health"], connection["statusReason"]["action"]) == ("degraded", "grant_scopes")
    platforms.meta.refuse_ad_account(euro(platforms), code=0)
    assert studio.sync(stream)["records"]["created"] > 0
    assert studio.connection()["health"] == "healthy"


def test_a_rate_limited_ad_account_does_not_delay_the_others(
    studio: Advertiser, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio.sync("campaigns")
    platforms.meta.refuse_ad_account(euro(platforms), code=80004)
    run = studio.sync("campaigns")
    assert {outcome["status"] for outcome in run["accounts"]} <= {"succeeded", "deferred"}
    assert scalar(superuser, "SELECT count(*) FROM account_quota WHERE blocked_until > now()") == 0
    (waiting,) = studio.accounts()["EUR"]["streams"]
    assert (waiting["state"], waiting["reason"]["action"]) == ("waiting", "wait")
    assert studio.sync("ad_insights")["status"] in ("succeeded", "deferred")
    platforms.meta.refuse_ad_account(euro(platforms), code=0)
    superuser.run("UPDATE account_position SET resume_at = now() WHERE resume_at IS NOT NULL")
    if run["status"] == "deferred":
        make_due(superuser, run["id"])
        assert execute(studio, run["id"]) == "succeeded"
    else:
        studio.sync("campaigns")
    states = {stream["syncType"]: stream["state"] for stream in studio.accounts()["EUR"]["streams"]}
    assert states["campaigns"] == "idle"


def test_a_removed_ad_account_keeps_its_campaigns(
    studio: Advertiser, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio.sync("campaigns")
    before = superuser.run("SELECT external_id, status FROM ad_campaign ORDER BY external_id")
    platforms.meta.share_ad_account(euro(platforms), shared=False)
    superuser.run("UPDATE sync_schedule SET accounts_listed_at = NULL")
    run = studio.sync("campaigns")
    assert (run["status"], len(run["accounts"]), run["records"]["deleted"]) == ("succeeded", 1, 0)
    assert studio.accounts()["EUR"]["goneAt"]
    assert superuser.run("SELECT external_id, status FROM ad_campaign ORDER BY external_id") == before


def test_only_the_campaign_missing_from_its_ad_account_is_archived(
    studio: Advertiser, platforms: Sandbox, superuser: pg8000.native.Connection
) -> None:
    studio.sync("campaigns")
    alive = "SELECT count(*) FROM ad_campaign WHERE status <> 'archived'"
    before = scalar(superuser, alive)
    platforms.meta.update_campaign("120210000000100", {"status": "DELETED"})
    run = studio.sync("campaigns")
    assert (run["records"]["deleted"], scalar(superuser, alive)) == (1, before - 1)


def test_a_deselected_ad_account_is_excluded_from_the_metrics(
    studio: Advertiser, superuser: pg8000.native.Connection
) -> None:
    studio.sync("ad_insights")
    days = superuser.run("SELECT min(day)::text, max(day)::text FROM ad_metric") or []

    def spent() -> set[str]:
        metrics = studio.api.get(f"/api/metrics/meta?from={days[0][0]}&to={days[0][1]}").json
        return {money["currency"] for money in metrics["totals"]["ads"]["spend"]}

    assert spent() == {"EUR", "JPY"}
    account = studio.accounts()["JPY"]
    assert studio.api.put(f"{PATH}/{account['id']}", {"selected": False}).status == 200
    assert spent() == {"EUR"}
    assert scalar(superuser, "SELECT count(*) FROM ad_metric WHERE currency = 'JPY'") > 0
    assert studio.api.put(f"{PATH}/{account['id']}", {"selected": True}).status == 200
    assert spent() == {"EUR", "JPY"}
    assert set(studio.work()) == {"succeeded"}


def test_a_user_without_ad_accounts_has_nothing_to_read(api: Api, queue: Queue, platforms: Sandbox) -> None:
    grant = issue_token("empty")
    body = {"platform": "meta", "accessToken": grant.access_token, "scopes": list(grant.scopes)}
    assert api.post("/api/connections", body).status == 201
    run = Advertiser(api, queue, "empty").sync("campaigns")
    assert (run["status"], run["apiCalls"], run["pages"], run["accounts"]) == ("succeeded", 1, 0, [])
