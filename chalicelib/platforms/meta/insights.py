"""The stream `ad_insights`: each campaign's daily numbers, read again until Meta stops restating them."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw
from msgspec.structs import replace

from chalicelib.errors import AnswerTooLarge
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream, Window
from chalicelib.platforms.core.decoding import describe
from chalicelib.platforms.core.items import Batch, Items, UnreadableRecord
from chalicelib.platforms.core.records import AdMetricRecord
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.core.urls import url_of
from chalicelib.platforms.core.zones import find_zone
from chalicelib.platforms.meta.graph import (
    AD_ACCOUNTS,
    ADS_SCOPES,
    BASE_URL,
    Currency,
    Edge,
    fetch_edge,
    id_of_account,
)
from chalicelib.platforms.meta.money import from_amount

FIELDS = "campaign_id,campaign_name,date_start,account_currency,impressions,clicks,spend,actions"

DAY = timedelta(days=1)
# A conversion counts for the day of the click or view that led to it, up to 28 days ago.
LOOKBACK = timedelta(days=28)
FIRST_READ = timedelta(days=90)
# Meta keeps 37 months, counted here as 30 days each.
HISTORY = timedelta(days=37 * 30)
# Days per request: Meta advises smaller ranges against timeouts.
STEP = 7

# Totals: Meta counts a `lead` or a `purchase` wherever it happened, and also lists the components.
CONVERSIONS = frozenset({"lead", "purchase", "onsite_conversion.messaging_conversation_started_7d"})

# Every number is a string.
Whole = Annotated[str, Meta(pattern="^[0-9]{1,18}$")]
Amount = Annotated[str, Meta(pattern=r"^-?[0-9]{1,15}(\.[0-9]{1,10})?$")]


class InsightsCursor(msgspec.Struct, frozen=True):
    """Between runs only `read`, the last day that was read, in the ad account's time zone.

    Within a run, `days` are the days left to read, `step` days at a time, the first ones starting at `after`.
    """

    read: date | None = None
    days: Window | None = None
    step: int = STEP
    after: str | None = None


class ActionType(msgspec.Struct, frozen=True):
    action_type: str = ""


class Action(ActionType, frozen=True):
    value: Amount = "0"


class Insights(msgspec.Struct, frozen=True):
    """One campaign on one day. Days without delivery have no row, and missing numbers are zero."""

    campaign_id: str
    date_start: date
    campaign_name: str | None = None
    account_currency: Currency | None = None
    impressions: Whole = "0"
    clicks: Whole = "0"
    spend: Amount = "0"
    actions: list[Raw] = []
    """Read one by one: only the relevant ones have to be readable."""


class InsightsContext(msgspec.Struct, frozen=True):
    """The ad account's currency, for rows that do not name their own."""

    currency: str | None


def find_insights_id(row: dict[str, Any], context: InsightsContext) -> str:
    return f"{row['campaign_id']}/{row['date_start']}"


def fetch_insights(client: Client, cursor: InsightsCursor | None) -> Page[InsightsCursor]:
    """Up to today, from LOOKBACK before the last day read."""
    cursor, today = cursor or InsightsCursor(), _today(client)
    first = min(cursor.read, today) - LOOKBACK if cursor.read else today - FIRST_READ
    return _fetch(client, cursor, Window(first, today), today)


def fetch_insights_of(client: Client, window: Window, cursor: InsightsCursor | None) -> Page[InsightsCursor]:
    """The requested days, as far as Meta has them."""
    today = _today(client)
    return _fetch(client, cursor or InsightsCursor(), Window(window.first, min(window.last, today)), today)


def _today(client: Client) -> date:
    """The current day in the ad account's time zone."""
    zone = find_zone(client.account.time_zone or "UTC", unknown="ad_account.zone_unknown")
    return client.now().astimezone(zone).date()


def _fetch(client: Client, cursor: InsightsCursor, days: Window, today: date) -> Page[InsightsCursor]:
    unread = cursor.days or replace(days, first=max(days.first, today - HISTORY))
    if unread.first > unread.last:
        return Page.of(Batch(), InsightsCursor(read=unread.last), last=True)
    edge, following = _read(client, unread, cursor)
    batch = INSIGHT_ITEMS.read(edge.data, InsightsContext(client.account.currency))
    return Page.of(batch, following, last=following.days is None)


def _read(client: Client, unread: Window, cursor: InsightsCursor) -> tuple[Edge, InsightsCursor]:
    """One page of the next days, and where to continue. A range that is too large for Meta is read day by day."""
    days = _next_days(unread, cursor.step)
    try:
        edge, after = _ask(client, days, cursor.after)
    except AnswerTooLarge:
        if cursor.after or days.first == days.last:
            raise
        cursor, days = replace(cursor, step=1), _next_days(unread, 1)
        edge, after = _ask(client, days, None)
    if after:
        return edge, replace(cursor, days=unread, after=after)
    if days.last < unread.last:
        return edge, replace(cursor, days=replace(unread, first=days.last + DAY), after=None)
    return edge, InsightsCursor(read=unread.last)


def _next_days(unread: Window, step: int) -> Window:
    return Window(unread.first, min(unread.first + (step - 1) * DAY, unread.last))


def _ask(client: Client, days: Window, after: str | None) -> tuple[Edge, str | None]:
    params = [
        ("level", "campaign"),
        ("time_increment", "1"),
        ("time_range", msgspec.json.encode({"since": days.first, "until": days.last}).decode()),
        # The ad sets' own attribution, so that the numbers match Ads Manager.
        ("use_unified_attribution_setting", "true"),
        ("fields", FIELDS),
    ]
    url = url_of(BASE_URL + "/{ad_account}/insights", ad_account=id_of_account(client))
    return fetch_edge(client, url, params, after)


def parse_insights(row: Insights, context: InsightsContext) -> AdMetricRecord:
    currency = row.account_currency or context.currency
    if currency is None:
        raise UnreadableRecord("account_currency", "is missing")
    return AdMetricRecord(
        external_id=f"{row.campaign_id}/{row.date_start}",
        campaign_external_id=row.campaign_id,
        campaign_name=clean(row.campaign_name) or row.campaign_id,
        day=row.date_start,
        spend_minor=from_amount(row.spend, currency),
        currency=currency,
        impressions=int(row.impressions),
        clicks=int(row.clicks),
        conversions=float(sum(_conversions(row))),
    )


def _conversions(row: Insights) -> Iterator[Decimal]:
    for index, raw in enumerate(row.actions):
        try:
            action = msgspec.json.decode(raw, type=ActionType | None)
            if action and action.action_type in CONVERSIONS:
                yield Decimal(msgspec.json.decode(raw, type=Action).value)
        except msgspec.ValidationError as error:
            field, reason = describe(error)
            raise UnreadableRecord(f"actions[{index}].{field}".rstrip("."), reason) from error


INSIGHT_ITEMS = Items(
    record=AdMetricRecord, shape=Insights, context=InsightsContext, parse=parse_insights, find_id=find_insights_id
)


AD_INSIGHTS = Stream(
    name="ad_insights",
    items=(INSIGHT_ITEMS,),
    cursor=InsightsCursor,
    fetch=fetch_insights,
    frequency="every 6 hours",
    scopes=(ADS_SCOPES,),
    accounts=AD_ACCOUNTS,
    fetch_window=fetch_insights_of,
    slice_days=28,
    api="ads_insights",
)
