"""The nodes and edges of Graph v26.0 that the sandbox serves, as its Marketing API documents them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from dev.sandbox.meta.accounts import AdAccount, User
from dev.sandbox.meta.errors import invalid_parameter, no_object, refusal
from dev.sandbox.meta.params import Params
from dev.sandbox.wire import Json

ADS_SCOPES = frozenset({"ads_read", "ads_management"})
# About 37 months; earlier days are refused.
HISTORY = timedelta(days=37 * 31)

USER_FIELDS = ("id", "name")
AD_ACCOUNT_FIELDS = ("id", "account_id", "name", "account_status", "currency", "timezone_name")
CAMPAIGN_FIELDS = (
    "id",
    "name",
    "objective",
    "status",
    "effective_status",
    "configured_status",
    "buying_type",
    "daily_budget",
    "lifetime_budget",
    "start_time",
    "stop_time",
    "created_time",
    "updated_time",
)
INSIGHTS_FIELDS = (
    "account_id",
    "account_name",
    "account_currency",
    "campaign_id",
    "campaign_name",
    "objective",
    "date_start",
    "date_stop",
    "impressions",
    "reach",
    "clicks",
    "inline_link_clicks",
    "spend",
    "ctr",
    "cpc",
    "cpm",
    "actions",
)
# Deleted ones are never listed, whatever is requested.
LISTED = ("ACTIVE", "ARCHIVED", "IN_PROCESS", "PAUSED", "WITH_ISSUES")
ADS_INSIGHTS, ADS_MANAGEMENT = "ads_insights", "ads_management"


@dataclass(frozen=True)
class Call:
    """An authorised request; `today` is the day of an ad account."""

    user: User
    scopes: Sequence[str]
    declined: Sequence[str]
    account_id: str
    params: Params
    today: Callable[[AdAccount], date]


@dataclass(frozen=True)
class Shown:
    """The items of an edge, the format of one item, and the fields it may have."""

    items: Sequence[Any]
    look: Callable[[Any], Json]
    fields: Sequence[str]
    default: Sequence[str] = ("id",)
    always: Sequence[str] = ("id",)


def me(call: Call) -> Json:
    names = call.params.fields(USER_FIELDS, USER_FIELDS, ("id",))
    return {name: call.user.record[name] for name in names}


def permissions(call: Call) -> Json:
    granted = [{"permission": scope, "status": "granted"} for scope in call.scopes]
    return {"data": [*granted, *({"permission": scope, "status": "declined"} for scope in call.declined)]}


def ad_accounts(call: Call) -> Shown:
    _check_scopes(call)
    records = [account.record for account in call.user.ad_accounts.values() if account.shared]
    return Shown(records, lambda record: record, AD_ACCOUNT_FIELDS, default=("id", "account_id"))


def campaigns(call: Call) -> Shown:
    account = _ad_account(call)
    wanted = call.params.json("effective_status", list)
    for status in wanted or ():
        if status not in LISTED:
            raise invalid_parameter(f"Campaigns with the status {status} cannot be listed")
    wanted = wanted or [status for status in LISTED if status != "ARCHIVED"]
    found = [each.record for each in account.campaigns.values() if each.record["effective_status"] in wanted]
    return Shown(found[::-1], lambda record: record, CAMPAIGN_FIELDS)


def insights(call: Call) -> Shown:
    """One row per campaign and day; other levels, breakdowns and longer increments are not supported."""
    account = _ad_account(call)
    today = call.today(account)
    call.params.choice("use_unified_attribution_setting", ("true", "false"))
    if (call.params.choice("level", ("campaign",)), call.params.choice("time_increment", ("1",))) != ("campaign", "1"):
        raise invalid_parameter("The sandbox only supports level=campaign with time_increment=1")
    since, until = call.params.days("time_range") or (today - timedelta(days=30), today - timedelta(days=1))
    if since < today - HISTORY:
        message = "The start date of the time range cannot be beyond 37 months from the current date"
        raise invalid_parameter(message, subcode=3018)
    return Shown(
        account.delivered(since, min(until, today)),
        lambda delivered: account.row(delivered[0], delivered[1], today),
        INSIGHTS_FIELDS,
        default=("account_id", "impressions", "spend"),
        always=("date_start", "date_stop"),
    )


def _check_scopes(call: Call) -> None:
    if not ADS_SCOPES & set(call.scopes):
        raise refusal(200, "(#200) Ad account owner has NOT grant ads_management or ads_read permission", status=403)


def _ad_account(call: Call) -> AdAccount:
    account = call.user.ad_accounts.get(call.account_id)
    if account is None or not account.shared:
        raise no_object(call.account_id)
    _check_scopes(call)
    if account.refusal:
        raise refusal(account.refusal, f"(#{account.refusal}) The request for this ad account is refused")
    return account


@dataclass(frozen=True, eq=False)
class Edge:
    """`name` is the SDK's method name; `use_case` the quota it counts against, if any."""

    name: str
    path: str
    answer: Callable[[Call], Shown | Json]
    params: tuple[str, ...] = ()
    use_case: str = ""


EDGES = (
    Edge("user.get", "/v26.0/me", me),
    Edge("user.get", "/v26.0/me/", me),  # as the SDK requests a node
    Edge("user.permissions", "/v26.0/me/permissions", permissions),
    Edge("user.adaccounts", "/v26.0/me/adaccounts", ad_accounts),
    Edge(
        "adaccount.campaigns",
        "/v26.0/{accountId}/campaigns",
        campaigns,
        ("effective_status",),
        ADS_MANAGEMENT,
    ),
    Edge(
        "adaccount.insights",
        "/v26.0/{accountId}/insights",
        insights,
        ("level", "time_increment", "time_range", "use_unified_attribution_setting"),
        ADS_INSIGHTS,
    ),
)
