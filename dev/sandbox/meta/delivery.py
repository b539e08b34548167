"""A campaign's results of a day, as of the day they are read: a past day is restated for 28 days.

Today is still incomplete; after three days invalid clicks are credited; a conversion counts for the day of the
click, however much later it happens.
"""

from dataclasses import dataclass
from datetime import date
from random import Random

from dev.sandbox.meta.campaigns import Campaign
from dev.sandbox.wire import Json

WINDOW_DAYS = 28
CREDITED_AFTER_DAYS = 3
WEEKEND = 1.25
CONVERSIONS_A_DAY = (0, 0, 0, 0, 1, 1, 1, 2, 2, 4)
# Units of a currency without decimals that are worth one unit of another.
WHOLE_MONEY = 160


@dataclass(frozen=True)
class Numbers:
    """Results of one campaign and day; `spend` is in whole money as Graph writes it."""

    impressions: int
    clicks: int
    spend: str
    leads: int = 0
    purchases: int = 0
    conversations: int = 0


def numbers(campaign: Campaign, day: date, asked_on: date, *, decimals: int) -> Numbers:
    """Deterministic: the same arguments always give the same result."""
    chance = Random(f"{campaign.id}/{day}")
    age = (asked_on - day).days
    share = 0.6 if age <= 0 else 1.0 if age < CREDITED_AFTER_DAYS else 0.99
    spend = campaign.daily_spend * chance.uniform(0.8, 1.1) * (WEEKEND if day.weekday() >= 5 else 1)
    worth = campaign.daily_spend if decimals else campaign.daily_spend / WHOLE_MONEY
    impressions = int(worth * chance.uniform(60, 110) * share) + 1
    clicks = int(impressions * chance.uniform(0.02, 0.06))
    delays = [int(WINDOW_DAYS * chance.random() ** 3) + 1 for _ in range(chance.choice(CONVERSIONS_A_DAY))]
    conversions = sum(delay <= age for delay in delays)
    objective = campaign.record["objective"]
    return Numbers(
        impressions=impressions,
        clicks=clicks,
        spend=f"{spend * share:.{decimals}f}",
        leads=conversions if objective == "OUTCOME_LEADS" else 0,
        purchases=conversions if objective == "OUTCOME_SALES" else 0,
        conversations=conversions if objective == "MESSAGES" else 0,
    )


def row(campaign: Campaign, day: date, found: Numbers, account: Json) -> Json:
    """Every number is a string, and one that is zero may be absent."""
    spend = float(found.spend)
    record = {
        "account_id": account["account_id"],
        "account_name": account["name"],
        "account_currency": account["currency"],
        "campaign_id": campaign.id,
        "campaign_name": campaign.record["name"],
        "objective": campaign.record["objective"],
        "date_start": day.isoformat(),
        "date_stop": day.isoformat(),
        "impressions": str(found.impressions),
        "reach": str(max(1, found.impressions * 4 // 5)),
        "clicks": str(found.clicks),
        "inline_link_clicks": str(found.clicks * 2 // 3),
        "spend": found.spend,
        "ctr": f"{100 * found.clicks / max(1, found.impressions):.6f}",
        "cpm": f"{1000 * spend / max(1, found.impressions):.6f}",
        "actions": _actions(found),
    }
    if found.clicks:
        record["cpc"] = f"{spend / found.clicks:.6f}"
    return {name: value for name, value in record.items() if value not in ([], "0")}


def _actions(found: Numbers) -> list[Json]:
    """Includes a total next to its parts, so that adding up everything counts twice."""
    on_site = found.leads // 2
    counted = {
        "link_click": found.clicks * 2 // 3,
        "post_engagement": found.clicks,
        "lead": found.leads,
        "onsite_conversion.lead_grouped": on_site,
        "offsite_conversion.fb_pixel_lead": found.leads - on_site,
        "purchase": found.purchases,
        "offsite_conversion.fb_pixel_purchase": found.purchases,
        "onsite_conversion.messaging_conversation_started_7d": found.conversations,
    }
    return [{"action_type": name, "value": str(count)} for name, count in counted.items() if count]
