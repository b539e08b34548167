"""The sandbox compared with what Meta publishes: its Business SDK's field lists, and that SDK as a client."""

from datetime import datetime
from typing import Any

import pytest
from facebook_business.adobjects.adaccount import AdAccount
from facebook_business.adobjects.adsinsights import AdsInsights
from facebook_business.adobjects.campaign import Campaign
from facebook_business.adobjects.user import User
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession

from dev.sandbox import Sandbox
from dev.sandbox.meta import edges, issue_token

NODES = pytest.mark.parametrize(
    ("node", "fields"),
    [
        (AdAccount, edges.AD_ACCOUNT_FIELDS),
        (Campaign, edges.CAMPAIGN_FIELDS),
        (AdsInsights, edges.INSIGHTS_FIELDS),
        (User, edges.USER_FIELDS),
    ],
)
DAILY = {"level": "campaign", "time_increment": 1, "limit": 40}


@pytest.fixture
def api(sandbox: Sandbox) -> FacebookAdsApi:
    return vendors_client(sandbox, issue_token().access_token)


def vendors_client(sandbox: Sandbox, token: str) -> FacebookAdsApi:
    session = FacebookSession(access_token=token, timeout=5)
    session.GRAPH = f"{sandbox.url}/graph.facebook.com"
    return FacebookAdsApi(session)


def euro_account(api: FacebookAdsApi) -> Any:
    accounts = User("me", api=api).get_ad_accounts(fields=list(edges.AD_ACCOUNT_FIELDS))
    return next(account for account in accounts if account["currency"] == "EUR")


def values(enum: Any) -> set[str]:
    return {value for name, value in vars(enum).items() if not name.startswith("_")}


def fits(value: Any, kind: str, node: Any) -> bool:
    """Whether a value has the type that the SDK declares."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "unsigned int":
            return isinstance(value, int) and value >= 0
        case "datetime":
            return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z").tzinfo is not None
        case "list<AdsActionStats>":
            return all(each.keys() <= {"action_type", "value"} and isinstance(each["value"], str) for each in value)
    return value in values(getattr(node, kind))


@NODES
def test_every_supported_field_exists_in_the_sdk(node: Any, fields: tuple[str, ...]) -> None:
    assert set(fields) <= node._field_types.keys()


def test_the_listable_statuses_are_the_sdks_except_deleted() -> None:
    assert values(Campaign.EffectiveStatus) - set(edges.LISTED) == {"DELETED"}


def test_every_value_has_the_sdks_type(api: FacebookAdsApi) -> None:
    account = euro_account(api)
    shown = [
        *((AdAccount, node) for node in [account]),
        *((Campaign, node) for node in account.get_campaigns(fields=list(edges.CAMPAIGN_FIELDS))),
        *((AdsInsights, node) for node in account.get_insights(list(edges.INSIGHTS_FIELDS), DAILY)),
    ]
    assert len(shown) > 100
    for kind, node in shown:
        for name, value in node.export_all_data().items():
            assert fits(value, kind._field_types[name], kind), (kind.__name__, name, value)


def test_the_vendors_client_pages_through_campaigns(api: FacebookAdsApi) -> None:
    account = euro_account(api)
    statuses = {"effective_status": ["ACTIVE", "PAUSED", "ARCHIVED"], "limit": 3}
    names = [campaign["name"] for campaign in account.get_campaigns(["name", "status"], statuses)]
    assert len(names) == len(set(names)) == 7
    assert "Spring weddings" in names


def test_the_vendors_client_reads_a_campaigns_days(api: FacebookAdsApi) -> None:
    days = {"since": "2026-11-01", "until": "2026-11-10"}
    rows = list(euro_account(api).get_insights(["campaign_name", "spend"], {**DAILY, "limit": 7, "time_range": days}))
    weddings = [row for row in rows if row["campaign_name"] == "Spring weddings"]
    assert [row["date_start"] for row in weddings] == [f"2026-11-{day:02}" for day in range(1, 11)]
    assert all(float(row["spend"]) > 0 for row in weddings)


def test_the_vendors_client_reads_the_errors(sandbox: Sandbox) -> None:
    api = vendors_client(sandbox, issue_token(lifetime=0).access_token)
    with pytest.raises(FacebookRequestError) as expired:
        User("me", api=api).api_get(fields=["name"])
    assert (expired.value.api_error_code(), expired.value.api_error_subcode()) == (190, 463)
    sandbox.add_fault(kind="status", status=503, host="graph.facebook.com")
    with pytest.raises(FacebookRequestError) as passing:
        User("me", api=vendors_client(sandbox, issue_token().access_token)).api_get(fields=["name"])
    assert passing.value.api_transient_error() is True


def test_the_vendors_client_reads_the_user_and_the_granted_permissions(api: FacebookAdsApi) -> None:
    assert User("me", api=api).api_get(fields=["name"])["name"] == "Mara Linden"
    granted = {each["permission"]: each["status"] for each in User("me", api=api).get_permissions()}
    assert granted["ads_read"] == "granted"
