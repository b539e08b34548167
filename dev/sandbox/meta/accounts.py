"""The Meta users of the sandbox and their ad accounts: a studio with two, an empty one, and any size for benchmarks."""

import re
import zlib
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from dev.sandbox.meta.campaigns import DESTINATION, STUDIO, Campaign, campaigns, in_bulk
from dev.sandbox.meta.delivery import Numbers, numbers, row
from dev.sandbox.wire import Json

BERLIN, TOKYO = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")


@dataclass
class AdAccount:
    """`restated` holds corrected numbers of single days by campaign. `refusal` is the error code for requests to the
    account, if any. An account that is not `shared` does not exist for the user."""

    record: Json
    zone: ZoneInfo
    decimals: int
    campaigns: dict[str, Campaign]
    restated: dict[tuple[str, date], Numbers] = field(default_factory=dict)
    refusal: int = 0
    shared: bool = True

    def numbers(self, campaign: Campaign, day: date, asked_on: date) -> Numbers:
        restated = self.restated.get((campaign.id, day))
        return restated or numbers(campaign, day, asked_on, decimals=self.decimals)

    def row(self, campaign: Campaign, day: date, asked_on: date) -> Json:
        return row(campaign, day, self.numbers(campaign, day, asked_on), self.record)

    def delivered(self, since: date, until: date) -> list[tuple[Campaign, date]]:
        """Campaigns with insights between the days, newest campaign first, each in order of days."""
        days = [since + timedelta(days=number) for number in range((until - since).days + 1)]
        newest_first = reversed(self.campaigns.values())
        return [(campaign, day) for campaign in newest_first for day in days if campaign.delivers_on(day)]


@dataclass
class User:
    name: str
    record: Json
    ad_accounts: dict[str, AdAccount]

    def ad_account(self, account_id: str) -> AdAccount:
        """Raises ValueError if there is none."""
        if account_id not in self.ad_accounts:
            raise ValueError(f"there is no ad account {account_id!r}")
        return self.ad_accounts[account_id]

    def find_campaign(self, campaign_id: str) -> tuple[AdAccount, Campaign]:
        """Raises ValueError if there is none."""
        for account in self.ad_accounts.values():
            if campaign_id in account.campaigns:
                return account, account.campaigns[campaign_id]
        raise ValueError(f"there is no campaign {campaign_id!r}")

    def restate(self, campaign_id: str, day: date, asked_on: date, changes: Json) -> Json:
        """Changes the numbers of one day; returns the new row. Raises ValueError."""
        account, campaign = self.find_campaign(campaign_id)
        if unknown := changes.keys() - Numbers.__dataclass_fields__.keys():
            raise ValueError(f"unknown numbers: {', '.join(sorted(unknown))}")
        account.restated[campaign_id, day] = replace(account.numbers(campaign, day, asked_on), **changes)
        return account.row(campaign, day, asked_on)


def open_user(name: str, today: date) -> User | None:
    """`studio`, `empty`, or `bulk-N` with N campaigns; None for any other name."""
    monday = today - timedelta(days=today.weekday())
    number = 10_000_000 + zlib.crc32(name.encode()) % 10_000_000
    record = {"id": f"1022{number}", "name": "Mara Linden" if name == "studio" else f"User {name}"}
    if name == "studio":
        own = campaigns(STUDIO, 120_210_000_000_100, monday, BERLIN, units=100)
        far = campaigns(DESTINATION, 120_210_000_000_900, monday, TOKYO, units=1)
        euro = _ad_account(number, "Linden & Light Photography", "EUR", BERLIN, own, decimals=2)
        yen = _ad_account(number + 1, "Linden & Light Kyoto", "JPY", TOKYO, far, decimals=0)
        return User(name, record, {euro.record["id"]: euro, yen.record["id"]: yen})
    size = re.fullmatch(r"empty|bulk-(\d{1,6})", name, re.ASCII)
    if size is None:
        return None
    if not size[1]:
        return User(name, record, {})
    many = in_bulk(int(size[1]), 120_310_000_000_000, monday, BERLIN)
    account = _ad_account(number, "Bulk Studio", "EUR", BERLIN, many, decimals=2)
    return User(name, record, {account.record["id"]: account})


def _ad_account(
    number: int, name: str, currency: str, zone: ZoneInfo, found: list[Campaign], *, decimals: int
) -> AdAccount:
    record = {
        "id": f"act_{number}",
        "account_id": str(number),
        "name": name,
        "account_status": 1,
        "currency": currency,
        "timezone_name": zone.key,
    }
    by_id = {campaign.id: campaign for campaign in found}
    return AdAccount(record, zone, decimals, by_id)
