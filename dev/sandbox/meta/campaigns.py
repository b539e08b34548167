"""The ad campaigns of the sandbox: a wedding photographer's over two years, and any number of generated ones."""

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dev.sandbox.wire import Json


@dataclass(frozen=True)
class Campaign:
    """A campaign in Graph's format, and the days it delivers on with its daily budget, in whole money."""

    record: Json
    first: date
    last: date | None
    daily_spend: float

    @property
    def id(self) -> str:
        campaign_id: str = self.record["id"]
        return campaign_id

    @property
    def is_deleted(self) -> bool:
        return bool(self.record["effective_status"] == "DELETED")

    def delivers_on(self, day: date) -> bool:
        return self.first <= day and (self.last is None or day <= self.last) and not self.is_deleted

    def changed(self, changes: Json) -> "Campaign":
        """After an edit in Graph's format; `status` also changes `effective_status`."""
        status = {"effective_status": changes["status"], "configured_status": changes["status"]}
        return replace(self, record={**self.record, **(status if "status" in changes else {}), **changes})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A campaign's definition: weeks are relative to the current one; `budget` is in whole money, daily or lifetime."""

    name: str
    objective: str
    weeks: tuple[int, int | None]
    budget: int
    status: str = "ACTIVE"
    lifetime: bool = False
    """Whether the budget is a lifetime budget; without any, the ad sets have it."""
    spends: float | None = None


STUDIO = (
    Plan(name="Spring weddings", objective="OUTCOME_LEADS", weeks=(-26, None), budget=15),
    Plan(name="Engagement sessions, Instagram", objective="OUTCOME_ENGAGEMENT", weeks=(-9, None), budget=8),
    Plan(name="Autumn family minis", objective="OUTCOME_SALES", weeks=(-10, -3), budget=420, lifetime=True),
    Plan(name="Newborn, 15 km around the studio", objective="MESSAGES", weeks=(-20, -6), budget=6, status="PAUSED"),
    Plan(name="Linden & Light, who we are", objective="OUTCOME_AWARENESS", weeks=(-40, None), budget=0, spends=4.5),
    Plan(name="Vouchers before Christmas", objective="OUTCOME_SALES", weeks=(-52, -47), budget=20, status="ARCHIVED"),
    Plan(name="Test, please ignore", objective="LINK_CLICKS", weeks=(-30, -30), budget=5, status="DELETED"),
    Plan(name="Valentine's portraits", objective="OUTCOME_STATISTICS", weeks=(4, 6), budget=10),
)
DESTINATION = (
    Plan(name="京都 elopements", objective="OUTCOME_LEADS", weeks=(-6, None), budget=1800),
    Plan(name="Cherry blossom dates", objective="OUTCOME_STATISTICS", weeks=(-12, -8), budget=1200, status="PAUSED"),
)


def campaigns(plans: tuple[Plan, ...], first_id: int, monday: date, zone: ZoneInfo, *, units: int) -> list[Campaign]:
    """`units` of the budget equal one of the currency: 100 for cents."""
    return [_campaign(str(first_id + number), plan, monday, zone, units) for number, plan in enumerate(plans)]


def in_bulk(count: int, first_id: int, monday: date, zone: ZoneInfo) -> list[Campaign]:
    """All identical, delivering every day of the last three years."""
    plan = Plan(name="Bulk", objective="OUTCOME_STATISTICS", weeks=(-156, None), budget=10)
    return [_campaign(str(first_id + number), plan, monday, zone, 100) for number in range(count)]


def _campaign(campaign_id: str, plan: Plan, monday: date, zone: ZoneInfo, units: int) -> Campaign:
    first, last = (None if week is None else monday + timedelta(weeks=week) for week in plan.weeks)
    assert first is not None  # noqa: S101 - a plan has a first week
    last = last and last + timedelta(days=6)
    days = (last - first).days + 1 if last else 1
    record = {
        "id": campaign_id,
        "name": plan.name,
        "objective": plan.objective,
        "status": plan.status,
        "effective_status": plan.status,
        "configured_status": plan.status,
        "buying_type": "AUCTION",
        "start_time": _stamp(first, zone),
        "created_time": _stamp(first - timedelta(days=3), zone),
        "updated_time": _stamp(min(first, monday), zone),
        **_budget(plan, units),
    }
    if last and plan.lifetime:
        record["stop_time"] = _stamp(last + timedelta(days=1), zone)
    spends = plan.spends if plan.spends is not None else plan.budget / (days if plan.lifetime else 1)
    return Campaign(record, first, last, spends)


def _budget(plan: Plan, units: int) -> Json:
    if not plan.budget:
        return {}
    return {"lifetime_budget" if plan.lifetime else "daily_budget": str(plan.budget * units)}


def _stamp(day: date, zone: ZoneInfo) -> str:
    """Graph writes offsets without a colon."""
    return datetime.combine(day, time(9), zone).strftime("%Y-%m-%dT%H:%M:%S%z")
