"""Meta's streams end to end against the sandbox: restated numbers are read again, and nothing is lost."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from chalicelib.errors import (
    ContractChanged,
    CursorExpired,
    PermissionMissing,
    PlatformError,
    RateLimited,
    TokenExpired,
    TransientFault,
)
from chalicelib.platforms.core.accounts import ConnectedAccount
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Stream, Window
from chalicelib.platforms.meta import META
from chalicelib.platforms.meta.campaigns import CAMPAIGNS
from chalicelib.platforms.meta.graph import list_ad_accounts
from chalicelib.platforms.meta.insights import AD_INSIGHTS, InsightsCursor, fetch_insights_of
from dev.sandbox import Sandbox
from dev.sandbox.meta import issue_token

Connect = Callable[..., Client]
Read = Callable[..., tuple[list[Any], str | None]]
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
WEDDINGS, TEST = "120210000000100", "120210000000106"
EVERY_STREAM = pytest.mark.parametrize("stream", META.streams, ids=lambda stream: stream.name)


def by_id(records: list[Any]) -> dict[str, Any]:
    unique = {record.external_id: record for record in records}
    assert len(unique) == len(records)
    return unique


def test_every_campaign_of_an_ad_account_is_read(connect: Connect, read: Read) -> None:
    client = connect()
    records, _ = read(CAMPAIGNS, client)
    assert {record.status for record in records} == {"active", "paused", "ended", "archived"}
    assert {record.currency for record in records} == {"EUR"}
    assert TEST not in by_id(records)
    assert client.api_calls == 1
    others, _ = read(CAMPAIGNS, connect(ad_account=1))
    assert {record.currency for record in others} == {"JPY"}


def test_the_ad_accounts_of_a_user_are_listed_with_their_currency_and_zone(connect: Connect) -> None:
    accounts = list_ad_accounts(connect())
    assert accounts.complete
    assert [(account.name, account.currency, account.time_zone, account.selected) for account in accounts.accounts] == [
        ("Linden & Light Photography", "EUR", "Europe/Berlin", True),
        ("Linden & Light Kyoto", "JPY", "Asia/Tokyo", True),
    ]
    assert list_ad_accounts(connect("empty")).accounts == []


def test_changed_campaigns_are_read_and_deleted_ones_are_missing(
    sandbox: Sandbox, connect: Connect, read: Read
) -> None:
    client = connect()
    before, cursor = read(CAMPAIGNS, client)
    assert cursor is None  # each run reads everything, so that what is gone is found out
    sandbox.meta.update_campaign(WEDDINGS, {"status": "PAUSED", "daily_budget": "2500"})
    after = by_id(read(CAMPAIGNS, client, cursor)[0])
    assert (after[WEDDINGS].status, after[WEDDINGS].budget_minor) == ("paused", 2500)
    sandbox.meta.update_campaign(WEDDINGS, {"status": "DELETED"})
    assert by_id(before).keys() - by_id(read(CAMPAIGNS, client, cursor)[0]).keys() == {WEDDINGS}


def test_a_first_read_has_90_days_and_the_numbers_of_each(connect: Connect, read: Read) -> None:
    records, _ = read(AD_INSIGHTS, connect())
    days = {record.day for record in records}
    assert (min(days), max(days)) == (date(2026, 8, 20), date(2026, 11, 18))
    assert by_id(records)[f"{WEDDINGS}/2026-11-17"].campaign_name == "Spring weddings"
    assert any(record.conversions for record in records)
    yen = [record.spend_minor for record in read(AD_INSIGHTS, connect(ad_account=1))[0]]
    assert 500 < max(yen) < 5000


def test_past_days_are_read_again_with_their_new_numbers(sandbox: Sandbox, connect: Connect, read: Read) -> None:
    before, cursor = read(AD_INSIGHTS, connect())
    sandbox.meta.advance_days(7)
    again, _ = read(AD_INSIGHTS, connect(now=NOON + timedelta(days=7)), cursor)
    first, later = by_id(before), by_id(again)
    days = {record.day for record in again}
    assert (min(days), max(days)) == (date(2026, 10, 21), date(2026, 11, 25))
    changed = {key for key in first.keys() & later.keys() if first[key] != later[key]}
    assert f"{WEDDINGS}/2026-11-18" in changed
    assert any(later[key].conversions > first[key].conversions for key in changed)
    assert all(first[key].day >= date(2026, 10, 21) for key in changed)


def test_a_restatement_within_28_days_is_read(sandbox: Sandbox, connect: Connect, read: Read) -> None:
    client = connect()
    before, cursor = read(AD_INSIGHTS, client)
    sandbox.meta.restate(WEDDINGS, "2026-10-21", {"spend": "99.99", "leads": 40})
    sandbox.meta.restate(WEDDINGS, "2026-10-20", {"spend": "11.11"})
    after = by_id(read(AD_INSIGHTS, client, cursor)[0])
    key = f"{WEDDINGS}/2026-10-21"
    assert (after[key].spend_minor, after[key].conversions) == (9999, 40.0)
    assert {key for key, record in after.items() if record != by_id(before)[key]} == {f"{WEDDINGS}/2026-10-21"}
    assert f"{WEDDINGS}/2026-10-20" not in after


def test_a_past_window_has_the_requested_days(connect: Connect, read: Read) -> None:
    window = Window(date(2025, 11, 20), date(2025, 12, 2))
    of_the_window = replace(AD_INSIGHTS, fetch=lambda client, cursor: fetch_insights_of(client, window, cursor))
    records, _ = read(of_the_window, connect())
    assert {record.day for record in records} == {date(2025, 11, 20) + timedelta(days=n) for n in range(13)}


def test_many_campaigns_come_in_pages_each_once(connect: Connect, read: Read) -> None:
    client = connect("bulk-230")
    assert len(by_id(read(CAMPAIGNS, client)[0])) == 230
    days = Window(date(2026, 11, 17), date(2026, 11, 18))
    records, _ = read(AD_INSIGHTS, client, msgspec.json.encode(InsightsCursor(days=days)).decode())
    assert len(by_id(records)) == 460


@EVERY_STREAM
def test_without_an_ad_account_nothing_is_requested(connect: Connect, stream: Stream[Any]) -> None:
    client = connect("empty")
    with pytest.raises(ContractChanged):
        stream.fetch_page(client, None)
    assert client.api_calls == 0


@EVERY_STREAM
@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "status", "status": 429}, RateLimited),
        ({"kind": "status", "status": 400, "body": {"error": {"code": 17}}}, RateLimited),
        ({"kind": "status", "status": 500}, TransientFault),
        ({"kind": "status", "status": 503}, TransientFault),
        ({"kind": "status", "status": 502, "body": "<html>Bad gateway</html>"}, TransientFault),
        ({"kind": "reset"}, TransientFault),
        ({"kind": "truncate"}, TransientFault),
        ({"kind": "shape", "body": {"data": {"now": "an object"}}}, ContractChanged),
    ],
)
def test_a_fault_is_classified_and_the_page_can_be_read_again(
    sandbox: Sandbox, connect: Connect, stream: Stream[Any], fault: dict[str, Any], kind: type[PlatformError]
) -> None:
    client = connect()
    sandbox.add_fault(path="/v26.0/act_", **fault)
    with pytest.raises(kind):
        stream.fetch_page(client, None)
    assert stream.fetch_page(client, None).records


@EVERY_STREAM
def test_an_exhausted_quota_says_when_to_resume(sandbox: Sandbox, connect: Connect, stream: Stream[Any]) -> None:
    sandbox.meta.set_usage(account=100, minutes=19)
    with pytest.raises(RateLimited) as caught:
        stream.fetch_page(connect(), None)
    assert caught.value.resume_at is not None
    assert caught.value.scope == "one_account"
    sandbox.meta.set_usage(app=100)
    with pytest.raises(RateLimited) as caught:
        stream.fetch_page(connect(), None)
    assert caught.value.scope == "app"
    sandbox.meta.set_usage()
    assert stream.fetch_page(connect(), None).records


@EVERY_STREAM
def test_quota_usage_is_recorded(sandbox: Sandbox, connect: Connect, stream: Stream[Any]) -> None:
    sandbox.meta.set_usage(app=28, account=45)
    client = connect()
    stream.fetch_page(client, None)
    assert {scope: usage.used for scope, usage in client.usage.items()} == {"app": 0.28, "account": 0.45}


@EVERY_STREAM
def test_without_the_permission_to_read_ads_there_is_nothing_to_read(connect: Connect, stream: Stream[Any]) -> None:
    with pytest.raises(PermissionMissing):
        stream.fetch_page(connect(grant=issue_token(scopes=["public_profile"])), None)


def test_a_withdrawn_ad_account_is_a_missing_permission(connect: Connect) -> None:
    client = connect()
    client.account = ConnectedAccount(external_id="act_999", currency="EUR", time_zone="Europe/Berlin")
    with pytest.raises(PermissionMissing, match="100/33"):
        CAMPAIGNS.fetch_page(client, None)


def test_cursors_within_a_run_may_expire(sandbox: Sandbox, connect: Connect) -> None:
    client = connect("bulk-150")
    first = CAMPAIGNS.fetch_page(client, None)
    assert not first.last
    sandbox.meta.expire_cursors()
    with pytest.raises(CursorExpired):
        CAMPAIGNS.fetch_page(client, msgspec.json.encode(first.cursor).decode())


@EVERY_STREAM
def test_a_dead_token_is_detected_during_a_read(sandbox: Sandbox, connect: Connect, stream: Stream[Any]) -> None:
    client = connect()
    stream.fetch_page(client, None)
    sandbox.add_fault(kind="status", status=401)
    with pytest.raises(TokenExpired):
        stream.fetch_page(client, None)
