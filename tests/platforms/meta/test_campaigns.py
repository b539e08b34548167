"""Campaigns: Graph's description becomes a record, and an ad account is read to its end."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chalicelib.errors import AnswerTooLarge, ContractChanged, CursorExpired, TransientFault
from chalicelib.platforms.core.accounts import ConnectedAccount
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.records import AdCampaignRecord
from chalicelib.platforms.meta import META
from chalicelib.platforms.meta.campaigns import CAMPAIGNS, Campaign, CampaignContext, CampaignsCursor, parse_campaign
from chalicelib.platforms.meta.graph import Edge, list_ad_accounts
from tests.http_fake import Fake, Reply

ClientOf = Callable[[Platform], Client]
GRAPH = "/graph.facebook.com/v26.0"
PAYLOADS = Path(__file__).parents[1] / "payloads" / "meta"
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
EURO = ConnectedAccount(external_id="act_1", currency="EUR", time_zone="Europe/Berlin")
CONTEXT = CampaignContext("EUR", NOW)


@pytest.fixture
def client(client_of: ClientOf) -> Client:
    """A client with the ad account to read."""
    client = client_of(META)
    client.account = EURO
    return client


def campaign(**changes: Any) -> AdCampaignRecord:
    return parse_campaign(Campaign(**{"id": "1", "name": "Minis", "status": "ACTIVE", **changes}), CONTEXT)


def test_a_campaign_becomes_a_record() -> None:
    (campaign,) = msgspec.json.decode((PAYLOADS / "campaigns.json").read_bytes(), type=Edge).data
    assert CAMPAIGNS.items[0].read_one(campaign, CONTEXT) == AdCampaignRecord(
        external_id="2385001",
        name="Spring weddings",
        status="active",
        objective="OUTCOME_LEADS",
        budget_minor=1500,
        currency="EUR",
        starts_at=datetime(2026, 9, 30, 22, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("effective", "own", "expected"),
    [
        ("ACTIVE", "ACTIVE", "active"),
        ("PAUSED", "PAUSED", "paused"),
        ("ARCHIVED", "ARCHIVED", "archived"),
        ("DELETED", "DELETED", "archived"),
        ("IN_PROCESS", "PAUSED", "paused"),
        ("WITH_ISSUES", "ACTIVE", "active"),
        ("SOMETHING_NEW", "ALSO_NEW", "draft"),
    ],
)
def test_a_status_becomes_one_of_ours(effective: str, own: str, expected: str) -> None:
    assert campaign(effective_status=effective, status=own).status == expected


def test_a_campaign_past_its_end_has_ended_unless_it_is_archived() -> None:
    past, future = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    assert campaign(effective_status="ACTIVE", stop_time=past).status == "ended"
    assert campaign(effective_status="PAUSED", stop_time=past).status == "ended"
    assert campaign(effective_status="ACTIVE", stop_time=future).status == "active"
    assert campaign(effective_status="ARCHIVED", stop_time=past).status == "archived"


def test_an_end_around_1970_is_ignored() -> None:
    epoch = datetime.fromisoformat("1969-12-31T15:59:59-0800")
    assert campaign(effective_status="ACTIVE", stop_time=epoch).status == "active"
    assert campaign(stop_time=epoch, start_time=epoch).ends_at is None
    assert campaign(start_time=epoch).starts_at is None


def test_a_budget_is_the_daily_one_or_the_lifetime_one() -> None:
    assert campaign(daily_budget="700", lifetime_budget="0").budget_minor == 700
    assert campaign(daily_budget="0", lifetime_budget="42000").budget_minor == 42_000
    assert campaign().budget_minor is None


def test_next_page_urls_are_never_followed(fake: Fake, client: Client) -> None:
    """`paging.next` contains a token and another host; only the cursor next to it is used."""
    more = {"cursors": {"after": "QVG"}, "next": "https://graph.facebook.com/v26.0/act_1/campaigns?access_token=x"}
    fake.on(
        f"{GRAPH}/act_1/campaigns",
        Reply({"data": [{"id": "1"}], "paging": more}),
        Reply({"data": [], "paging": {**more, "cursors": {"after": "QVH"}}}),
        Reply({"data": [{"id": "2"}], "paging": {"cursors": {"after": "QVI"}}}),
    )
    cursor, names = None, []
    for last in (False, False, True):
        page = CAMPAIGNS.fetch_page(client, cursor)
        cursor = msgspec.json.encode(page.cursor).decode()
        names += [record.name for record in page.records]  # type: ignore[attr-defined]  # records of this stream
        assert page.last is last
    assert names == ["1", "2"]
    queries = [dict(request.query) for request in fake.requests]
    assert [query.get("after") for query in queries] == [None, "QVG", "QVH"]
    assert all("access_token" not in query for query in queries)
    assert json.loads(queries[0]["effective_status"]) == ["ACTIVE", "PAUSED", "ARCHIVED", "IN_PROCESS", "WITH_ISSUES"]
    assert (queries[0]["limit"], page.cursor) == ("100", None)


def test_ad_accounts_come_in_pages_as_well(fake: Fake, client_of: ClientOf) -> None:
    def accounts(number: int, **paging: Any) -> Reply:
        return Reply({"data": [{"id": f"act_{number}", "currency": "EUR"}], "paging": paging})

    fake.on(f"{GRAPH}/me/adaccounts", accounts(1, cursors={"after": "A"}, next="more"), accounts(2))
    found = list_ad_accounts(client_of(META))
    assert ([account.external_id for account in found.accounts], found.complete) == (["act_1", "act_2"], True)
    assert dict(fake.requests[1].query)["after"] == "A"


@pytest.mark.parametrize("cursors", [{}, {"after": "QVG"}])
def test_a_page_without_a_next_cursor_is_not_the_end(fake: Fake, client: Client, cursors: dict[str, str]) -> None:
    fake.on(f"{GRAPH}/act_1/campaigns", Reply({"data": [], "paging": {"cursors": cursors, "next": "more"}}))
    with pytest.raises(TransientFault):
        CAMPAIGNS.fetch(client, CampaignsCursor("QVG"))


def test_a_response_without_data_is_not_an_empty_one(fake: Fake, client: Client) -> None:
    fake.on(f"{GRAPH}/act_1/campaigns", Reply({"success": True}))
    with pytest.raises(ContractChanged, match="data"):
        CAMPAIGNS.fetch(client, None)


def test_a_cursor_of_another_shape_counts_as_expired(client: Client) -> None:
    with pytest.raises(CursorExpired):
        CAMPAIGNS.fetch_page(client, '{"left": [{"id": "act_1"}]}')


def test_a_page_too_large_for_graph_is_requested_with_fewer_items(fake: Fake, client: Client) -> None:
    too_much = Reply(
        {"error": {"code": 1, "message": "Please reduce the amount of data you're asking for"}}, status=500
    )
    fake.on(f"{GRAPH}/act_1/campaigns", too_much, Reply({"data": [{"id": "1"}]}))
    assert len(CAMPAIGNS.fetch(client, CampaignsCursor("QVG")).records) == 1
    queries = [dict(request.query) for request in fake.requests]
    assert [(query["limit"], query["after"]) for query in queries] == [("100", "QVG"), ("25", "QVG")]
    fake.on(f"{GRAPH}/act_1/campaigns", too_much)
    with pytest.raises(AnswerTooLarge):
        CAMPAIGNS.fetch(client, None)


def test_a_budget_without_a_currency_is_unknown() -> None:
    record = parse_campaign(Campaign(id="1", daily_budget="700"), CampaignContext(None, NOW))
    assert (record.budget_minor, record.currency) == (None, None)


@pytest.mark.parametrize("odd", [{"currency": None}, {"currency": 12}, {"currency": "EUR", "timezone_name": []}])
def test_an_ad_account_is_listed_whatever_its_other_fields(
    fake: Fake, client_of: ClientOf, odd: dict[str, Any]
) -> None:
    fake.on(f"{GRAPH}/me/adaccounts", Reply({"data": [{"id": "act_1", **odd}, {"id": "act_2", "currency": "USD"}]}))
    accounts = list_ad_accounts(client_of(META))
    assert [account.external_id for account in accounts.accounts] == ["act_1", "act_2"]
    assert accounts.complete


@pytest.mark.parametrize("odd", [7, "act_1/../me", None])
def test_an_unreadable_id_makes_the_list_incomplete(fake: Fake, client_of: ClientOf, odd: Any) -> None:
    fake.on(f"{GRAPH}/me/adaccounts", Reply({"data": [{"id": odd}, {"id": "act_2", "currency": "USD"}]}))
    accounts = list_ad_accounts(client_of(META))
    assert ([account.external_id for account in accounts.accounts], accounts.complete) == (["act_2"], False)
