"""The product's requests compared with what Meta publishes: the objects and enums of its Business SDK."""

import json
from typing import Any

import pytest
from facebook_business.adobjects.adaccount import AdAccount
from facebook_business.adobjects.adsinsights import AdsInsights
from facebook_business.adobjects.campaign import Campaign
from facebook_business.api import FacebookAdsApi
from facebook_business.apiconfig import ads_api_config

from chalicelib.platforms.meta import campaigns, insights, money
from chalicelib.platforms.meta.graph import VERSION


def values(enum: Any) -> set[str]:
    return {value for name, value in vars(enum).items() if not name.startswith("_")}


def test_the_version_matches_the_sdk() -> None:
    assert ads_api_config["API_VERSION"] == VERSION


@pytest.mark.parametrize(
    ("node", "fields"),
    [(Campaign, campaigns.FIELDS), (AdsInsights, insights.FIELDS), (AdAccount, "id,currency,timezone_name")],
)
def test_every_requested_field_is_in_the_sdk(node: Any, fields: str) -> None:
    assert set(fields.split(",")) <= node._field_types.keys()


def test_every_final_status_is_known() -> None:
    assert values(Campaign.EffectiveStatus) - campaigns.STATUSES.keys() == {"IN_PROCESS", "WITH_ISSUES"}
    assert values(Campaign.Status) == campaigns.STATUSES.keys()
    assert values(Campaign.EffectiveStatus) - set(json.loads(campaigns.LISTED)) == {"DELETED"}


def test_every_currency_without_cents_is_in_the_sdk() -> None:
    assert values(AdAccount.Currency) >= money.WHOLE_UNITS


def test_the_sdk_accepts_our_parameters_without_a_warning() -> None:
    """It warns about unknown parameters and fields."""
    account = AdAccount("act_1", api=FacebookAdsApi(None))
    params = {
        "level": "campaign",
        "time_increment": "1",
        "time_range": {"since": "2026-11-01", "until": "2026-11-07"},
        "use_unified_attribution_setting": True,
        "limit": 100,
    }
    account.get_insights(insights.FIELDS.split(","), params, pending=True)
    listed = {"effective_status": json.loads(campaigns.LISTED), "limit": 100}
    account.get_campaigns(campaigns.FIELDS.split(","), listed, pending=True)
    with pytest.warns(UserWarning, match="does not allow field colour"):
        account.get_campaigns(["colour"], pending=True)
