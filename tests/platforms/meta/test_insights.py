"""Insights: one campaign on one day becomes a record, and which days are requested."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from chalicelib.errors import AnswerTooLarge
from chalicelib.platforms.core.accounts import ConnectedAccount
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Window
from chalicelib.platforms.core.items import SetAside
from chalicelib.platforms.core.records import AdMetricRecord
from chalicelib.platforms.meta import META
from chalicelib.platforms.meta.graph import Edge
from chalicelib.platforms.meta.insights import (
    AD_INSIGHTS,
    InsightsContext,
    InsightsCursor,
    fetch_insights_of,
)
from chalicelib.secret import Secret
from tests.http_fake import Fake, Reply

PAYLOADS = Path(__file__).parents[1] / "payloads" / "meta"
GRAPH = "/graph.facebook.com/v26.0"
INSIGHTS = f"{GRAPH}/act_1/insights"
BERLIN = ConnectedAccount(external_id="act_1", currency="EUR", time_zone="Europe/Berlin")
TODAY = date(2026, 11, 18)
DOLLARS = InsightsContext("USD")


def client_of(
    fake: Fake, now: datetime = datetime(2026, 11, 18, 12, tzinfo=UTC), account: ConnectedAccount = BERLIN
) -> Client:
    client = Client(META, Secret("EAAGcanary"), sandbox_url=fake.url, now=lambda: now)
    client.account = account
    return client


def answering(fake: Fake) -> None:
    """An ad account that never delivered anything."""
    fake.on(INSIGHTS, Reply({"data": []}))


def requested_days(fake: Fake) -> list[tuple[str, str, str]]:
    """The ad account and the days of each insights request."""
    requests = []
    for request in fake.requests:
        if request.path.endswith("/insights"):
            days = json.loads(dict(request.query)["time_range"])
            requests.append((request.path.split("/")[-2], days["since"], days["until"]))
    return requests


def read_all(fetch: Callable[[InsightsCursor | None], Any], cursor: InsightsCursor | None = None) -> InsightsCursor:
    for _ in range(300):
        page = fetch(cursor)
        cursor = msgspec.json.decode(msgspec.json.encode(page.cursor), type=InsightsCursor)
        if page.last:
            return cursor
    raise AssertionError("the stream never ends")


def test_a_day_of_a_campaign_becomes_a_record() -> None:
    first, second = msgspec.json.decode((PAYLOADS / "insights.json").read_bytes(), type=Edge).data
    assert AD_INSIGHTS.items[0].read_one(first, DOLLARS) == AdMetricRecord(
        external_id="2385001/2026-11-02",
        campaign_external_id="2385001",
        campaign_name="Spring weddings",
        day=date(2026, 11, 2),
        spend_minor=1284,
        currency="EUR",
        impressions=1450,
        clicks=63,
        conversions=9.0,
    )
    empty = AD_INSIGHTS.items[0].read_one(second, DOLLARS)
    assert isinstance(empty, AdMetricRecord)
    assert (empty.spend_minor, empty.impressions, empty.clicks, empty.conversions) == (0, 0, 0, 0.0)
    assert empty.currency == "USD"


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({"impressions": 1450}, "impressions"),
        ({"spend": 12}, "spend"),
        ({"spend": "1e9"}, "spend"),
        ({"spend": "NaN"}, "spend"),
        ({"date_start": "today"}, "date_start"),
        ({"actions": [{"action_type": "lead", "value": "1.0E7"}]}, "actions[0].value"),
        ({"actions": ["lead"]}, "actions[0]"),
    ],
)
def test_a_day_with_an_odd_number_is_set_aside_alone(fake: Fake, odd: dict[str, Any], field: str) -> None:
    day = {"campaign_id": "1", "date_start": "2026-11-02"}
    fake.on(INSIGHTS, Reply({"data": [{**day, **odd}, {**day, "campaign_id": "2"}]}))
    page = AD_INSIGHTS.fetch(client_of(fake), None)
    assert [record.external_id for record in page.records] == ["2/2026-11-02"]
    (record,) = page.set_aside
    assert (record.external_id, record.field) == (f"1/{odd.get('date_start', '2026-11-02')}", field)


def test_irrelevant_actions_may_be_anything(fake: Fake) -> None:
    actions = [{"action_type": "link_click", "value": "1.0E7"}, None, {}, {"action_type": "lead", "value": "3"}]
    fake.on(INSIGHTS, Reply({"data": [{"campaign_id": "1", "date_start": "2026-11-02", "actions": actions}]}))
    (record,) = AD_INSIGHTS.fetch(client_of(fake), None).records
    assert isinstance(record, AdMetricRecord)
    assert record.conversions == 3


def test_a_day_without_a_currency_is_set_aside() -> None:
    outcome = AD_INSIGHTS.items[0].read_one(
        Raw(b'{"campaign_id": "1", "date_start": "2026-11-02"}'), InsightsContext(None)
    )
    assert isinstance(outcome, SetAside)
    assert (outcome.field, outcome.reason) == ("account_currency", "is missing")


def test_a_first_read_goes_back_90_days_a_week_at_a_time(fake: Fake) -> None:
    answering(fake)
    cursor = read_all(lambda cursor: AD_INSIGHTS.fetch(client_of(fake), cursor))
    weeks = requested_days(fake)
    assert weeks[:2] == [("act_1", "2026-08-20", "2026-08-26"), ("act_1", "2026-08-27", "2026-09-02")]
    assert weeks[-1] == ("act_1", "2026-11-12", "2026-11-18")
    assert len(weeks) == 13
    assert cursor == InsightsCursor(read=TODAY)


@pytest.mark.parametrize(
    ("last_read", "since"),
    [
        ("2026-11-18", "2026-10-21"),
        ("2026-11-17", "2026-10-20"),
        ("2026-10-01", "2026-09-03"),
        ("2026-12-31", "2026-10-21"),
    ],
)
def test_a_later_read_begins_28_days_before_the_last_day_read(fake: Fake, last_read: str, since: str) -> None:
    answering(fake)
    begun = InsightsCursor(read=date.fromisoformat(last_read))
    read_all(lambda cursor: AD_INSIGHTS.fetch(client_of(fake), cursor), begun)
    days = requested_days(fake)
    assert (days[0][1], days[-1][2]) == (since, "2026-11-18")


@pytest.mark.parametrize(
    ("zone", "today"),
    [
        ("Europe/Berlin", TODAY),
        ("Asia/Tokyo", TODAY + timedelta(days=1)),
        ("Mars/Olympus", TODAY),
        (None, TODAY),
    ],
)
def test_today_is_in_the_ad_accounts_zone(fake: Fake, zone: str | None, today: date) -> None:
    answering(fake)
    late = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)
    account = ConnectedAccount(external_id="act_1", time_zone=zone)
    cursor = read_all(lambda cursor: AD_INSIGHTS.fetch(client_of(fake, late, account), cursor))
    assert cursor.read == today


def test_a_read_is_finished_even_past_midnight(fake: Fake) -> None:
    answering(fake)
    begun = InsightsCursor(days=Window(date(2026, 11, 15), TODAY), after="MQ")
    page = AD_INSIGHTS.fetch(client_of(fake, datetime(2026, 11, 19, 1, tzinfo=UTC)), begun)
    assert (requested_days(fake), dict(fake.requests[0].query)["after"]) == (
        [("act_1", "2026-11-15", "2026-11-18")],
        "MQ",
    )
    assert page.cursor is not None
    assert (page.last, page.cursor.read) == (True, TODAY)


def test_a_window_is_read_as_requested(fake: Fake) -> None:
    answering(fake)
    window = Window(date(2025, 1, 1), date(2025, 1, 10))
    read_all(lambda cursor: fetch_insights_of(client_of(fake), window, cursor))
    assert requested_days(fake) == [("act_1", "2025-01-01", "2025-01-07"), ("act_1", "2025-01-08", "2025-01-10")]


def test_a_window_is_cut_to_what_meta_has(fake: Fake) -> None:
    answering(fake)
    window = Window(date(2001, 1, 1), date(2030, 1, 1))
    read_all(lambda cursor: fetch_insights_of(client_of(fake), window, cursor))
    assert (requested_days(fake)[0][1], requested_days(fake)[-1][2]) == ("2023-11-04", "2026-11-18")


@pytest.mark.parametrize("year", [2001, 2030])
def test_a_window_before_metas_history_costs_no_request(fake: Fake, year: int) -> None:
    answering(fake)
    window = Window(date(year, 1, 1), date(year, 2, 1))
    read_all(lambda cursor: fetch_insights_of(client_of(fake), window, cursor))
    assert requested_days(fake) == []


TIMEOUT = Reply({"error": {"code": 100, "error_subcode": 1504018, "message": "Your request timed out."}}, status=400)


def test_days_too_large_for_meta_are_read_one_by_one(fake: Fake) -> None:
    fake.on(INSIGHTS, TIMEOUT, TIMEOUT, Reply({"data": []}))
    begun = InsightsCursor(days=Window(date(2026, 11, 16), TODAY))
    read_all(lambda cursor: AD_INSIGHTS.fetch(client_of(fake), cursor), begun)
    assert [days[1:] for days in requested_days(fake)] == [
        ("2026-11-16", "2026-11-18"),
        ("2026-11-16", "2026-11-18"),
        ("2026-11-16", "2026-11-16"),
        ("2026-11-17", "2026-11-17"),
        ("2026-11-18", "2026-11-18"),
    ]


def test_a_cursor_is_never_used_with_other_days(fake: Fake) -> None:
    """A cursor is valid only for the days of the response it came with."""
    fake.on(INSIGHTS, TIMEOUT)
    begun = InsightsCursor(days=Window(date(2026, 11, 16), TODAY), after="MQ")
    with pytest.raises(AnswerTooLarge):
        AD_INSIGHTS.fetch(client_of(fake), begun)
    assert {days[1:] for days in requested_days(fake)} == {("2026-11-16", "2026-11-18")}


def test_one_day_that_is_too_large_is_retried_later(fake: Fake) -> None:
    fake.on(INSIGHTS, TIMEOUT)
    with pytest.raises(AnswerTooLarge):
        AD_INSIGHTS.fetch(client_of(fake), InsightsCursor(days=Window(TODAY, TODAY)))
