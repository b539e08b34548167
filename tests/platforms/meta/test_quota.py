"""Quota usage, read from headers that contain JSON or anything else."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.platforms.core.quota import Usage
from chalicelib.platforms.meta.quota import usage

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NAMES = ("x-app-usage", "x-business-use-case-usage", "x-ad-account-usage", "x-fb-ads-insights-throttle")


def usage_of(**headers: Any) -> list[Usage]:
    return usage({name.replace("_", "-"): json.dumps(value) for name, value in headers.items()}, NOW)


def test_the_applications_usage_is_its_highest_percentage() -> None:
    assert usage_of(x_app_usage={"call_count": 28, "total_time": 75, "total_cputime": 25}) == [Usage("app", 0.75)]


def test_the_accounts_usage_is_its_tightest_business_use_case() -> None:
    tight = {"type": "ads_insights", "call_count": 10, "total_time": 25, "total_cputime": 12}
    calm = {"type": "ads_management", "call_count": 5, "total_cputime": 7, "ads_api_access_tier": "standard_access"}
    assert usage_of(x_business_use_case_usage={"1022": [tight], "1023": [calm]}) == [Usage("account", 0.25)]


def test_the_tightest_header_counts_for_each_scope() -> None:
    usages = usage_of(
        x_app_usage={"call_count": 28},
        x_fb_ads_insights_throttle={"app_id_util_pct": 30, "acc_id_util_pct": 45},
        x_ad_account_usage={"acc_id_util_pct": 45, "reset_time_duration": 60},
        x_business_use_case_usage={"1022": [{"call_count": 44}]},
    )
    assert {each.scope: each for each in usages} == {
        "app": Usage("app", 0.3),
        "account": Usage("account", 0.45, NOW + timedelta(seconds=60)),
    }


def test_a_time_to_wait_means_that_nothing_is_left() -> None:
    waiting = {"type": "instagram", "call_count": 60, "estimated_time_to_regain_access": 5}
    assert usage_of(x_business_use_case_usage={"1": [waiting]}) == [Usage("account", 1.0, NOW + timedelta(minutes=5))]


def test_an_ad_accounts_reset_is_in_seconds() -> None:
    header = {"acc_id_util_pct": 9.5, "reset_time_duration": 100, "ads_api_access_tier": "standard_access"}
    assert usage_of(x_ad_account_usage=header) == [Usage("account", 0.095, NOW + timedelta(seconds=100))]
    assert usage_of(x_ad_account_usage={"acc_id_util_pct": 0}) == [Usage("account", 0.0)]


def test_the_insights_throttle_reports_both_scopes() -> None:
    header = {"app_id_util_pct": 130, "acc_id_util_pct": 10, "ads_api_access_tier": "standard_access"}
    assert usage_of(x_fb_ads_insights_throttle=header) == [Usage("account", 0.1), Usage("app", 1.3)]


def test_without_headers_nothing_is_used() -> None:
    assert usage({}, NOW) == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "value",
    ["", "[]", "null", "7", "{", '{"call_count": "28"}', '{"call_count": -1}', '{"call_count": 1e400}', '{"1": {}}'],
)
def test_a_malformed_header_is_ignored(name: str, value: str) -> None:
    assert usage({name: value}, NOW) == []


@pytest.mark.parametrize("value", ["", "[]", "{", '{"call_count": "28"}', '{"call_count": -1}'])
def test_a_malformed_header_leaves_the_others_alone(value: str) -> None:
    good = json.dumps({"acc_id_util_pct": 50})
    assert usage({"x-app-usage": value, "x-ad-account-usage": good}, NOW) == [Usage("account", 0.5)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["call_count", "estimated_time_to_regain_access", "acc_id_util_pct", "reset_time_duration"]
            ),
            inner,
        )
    ),
    max_leaves=8,
)


@given(st.sampled_from(NAMES), JSON.map(json.dumps) | st.text(max_size=30))
def test_any_header_is_usage_or_nothing(name: str, value: str) -> None:
    for each in usage({name: value}, NOW):
        assert each.used >= 0
        assert each.resets_at is None or each.resets_at >= NOW
