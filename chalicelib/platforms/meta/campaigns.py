"""The stream `campaigns`: every campaign of an ad account (Marketing API)."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Page, Stream
from chalicelib.platforms.core.items import Items
from chalicelib.platforms.core.records import AdCampaignRecord
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.core.urls import url_of
from chalicelib.platforms.meta.graph import AD_ACCOUNTS, ADS_SCOPES, BASE_URL, fetch_edge, id_of_account
from chalicelib.platforms.meta.money import from_units

FIELDS = "id,name,objective,status,effective_status,daily_budget,lifetime_budget,start_time,stop_time"
# Archived campaigns are listed only on request, deleted ones not at all:
# developers.facebook.com/docs/marketing-api/best-practices/manage-your-ad-object-status
LISTED = '["ACTIVE","PAUSED","ARCHIVED","IN_PROCESS","WITH_ISSUES"]'

# By `effective_status`. For one in process or with issues, only `status`, which the studio set, says whether it runs.
STATUSES = {"ACTIVE": "active", "PAUSED": "paused", "ARCHIVED": "archived", "DELETED": "archived"}

# Meta gives campaigns without an end, or never started, a date around 1970.
FIRST_MOMENT = datetime(1971, 1, 1, tzinfo=UTC)

Units = Annotated[str, Meta(pattern="^[0-9]{1,15}$")]


class CampaignsCursor(msgspec.Struct, frozen=True):
    """A page of the list. It is never kept across runs: Meta does not report changes, so each run reads everything, and
    a campaign that is not listed is gone."""

    after: str


class Campaign(msgspec.Struct, frozen=True):
    """A campaign without a budget leaves it to its ad sets."""

    id: str
    name: str | None = None
    objective: str | None = None
    status: str = ""
    effective_status: str = ""
    daily_budget: Units = "0"
    lifetime_budget: Units = "0"
    start_time: datetime | None = None
    stop_time: datetime | None = None


class CampaignContext(msgspec.Struct, frozen=True):
    """The ad account's currency, and the time that decides whether a campaign has ended."""

    currency: str | None
    now: datetime


def fetch_campaigns(client: Client, cursor: CampaignsCursor | None) -> Page[CampaignsCursor]:
    params = [("fields", FIELDS), ("effective_status", LISTED)]
    url = url_of(BASE_URL + "/{ad_account}/campaigns", ad_account=id_of_account(client))
    edge, after = fetch_edge(client, url, params, cursor.after if cursor else None)
    batch = CAMPAIGN_ITEMS.read(edge.data, CampaignContext(client.account.currency, client.now()))
    return Page.of(batch, CampaignsCursor(after) if after else None, last=after is None)


def parse_campaign(campaign: Campaign, context: CampaignContext) -> AdCampaignRecord:
    """If the account has no currency, the budget is unknown."""
    budget = next((units for units in (campaign.daily_budget, campaign.lifetime_budget) if int(units)), None)
    ends_at = _moment(campaign.stop_time)
    return AdCampaignRecord(
        external_id=campaign.id,
        name=clean(campaign.name) or campaign.id,
        status=_status(campaign, ends_at, context.now),
        objective=clean(campaign.objective),
        budget_minor=from_units(budget, context.currency) if budget and context.currency else None,
        currency=context.currency,
        starts_at=_moment(campaign.start_time),
        ends_at=ends_at,
    )


CAMPAIGN_ITEMS = Items(record=AdCampaignRecord, shape=Campaign, context=CampaignContext, parse=parse_campaign)


def _status(campaign: Campaign, ends_at: datetime | None, now: datetime) -> str:
    """A status unknown to us counts as a draft: there is no evidence that such a campaign runs."""
    status = STATUSES.get(campaign.effective_status) or STATUSES.get(campaign.status) or "draft"
    return "ended" if status in ("active", "paused") and ends_at and ends_at <= now else status


def _moment(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC) if moment > FIRST_MOMENT else None


CAMPAIGNS = Stream(
    name="campaigns",
    items=(CAMPAIGN_ITEMS,),
    cursor=CampaignsCursor,
    fetch=fetch_campaigns,
    frequency="every 6 hours",
    scopes=(ADS_SCOPES,),
    complete=True,
    accounts=AD_ACCOUNTS,
    api="ads_management",
)
