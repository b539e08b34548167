"""The metrics routes: figures calculated manually from rows inserted directly into the database."""

from datetime import UTC, date, datetime
from typing import Any

import pg8000.native
import pytest

from chalicelib import clock
from tests.api.seeding import Rows, insert, moment
from tests.conftest import Api, Studios
from tests.data.rows import connection_of

PERIOD = "from=2026-03-01&to=2026-03-10"
NOTHING: dict[str, Any] = {
    "views": 0,
    "reach": 0,
    "engagement": {"likes": 0, "comments": 0, "shares": 0, "saves": 0, "total": 0},
    "engagementRate": None,
    "ads": {"spend": [], "impressions": 0, "clicks": 0, "conversions": 0.0},
    "reviews": {"count": 0, "averageRating": None},
    "inquiries": {
        **dict.fromkeys(("total", "new", "contacted", "qualified", "converted", "lost"), 0),
        "conversionRate": None,
    },
    "bookings": {"count": 0, "value": []},
}


@pytest.fixture
def rows(api: Api, superuser: pg8000.native.Connection) -> Rows:
    return Rows(superuser, api.studio_id)


def overview(api: Api, query: str = PERIOD) -> Any:
    answer = api.get(f"/api/metrics/overview?{query}")
    assert answer.status == 200, answer.text
    return answer.json


def platform(api: Api, query: str = PERIOD, name: str = "google") -> Any:
    answer = api.get(f"/api/metrics/{name}?{query}")
    assert answer.status == 200, answer.text
    return answer.json


def test_an_empty_studio_has_zeros_and_nulls(api: Api) -> None:
    assert overview(api) == {
        "current": {"from": "2026-03-01", "to": "2026-03-10", **NOTHING},
        "previous": {"from": "2026-02-19", "to": "2026-02-28", **NOTHING},
    }
    assert platform(api, "from=2026-03-01&to=2026-03-02") == {
        "platform": "google",
        "interval": "day",
        "totals": {"from": "2026-03-01", "to": "2026-03-02", **NOTHING},
        "series": [
            {"from": "2026-03-01", "to": "2026-03-01", **NOTHING},
            {"from": "2026-03-02", "to": "2026-03-02", **NOTHING},
        ],
    }


def test_growth_is_the_difference_of_lifetime_totals(api: Api, rows: Rows) -> None:
    old = rows.content()
    rows.measure(old, "2026-02-10T00:00:00Z", 100, likes=10, reach=50)
    rows.measure(old, "2026-02-27T00:00:00Z", 160, likes=16, reach=70)
    rows.measure(old, 5, 200, likes=20, comments=3, reach=90)
    rows.measure(old, 9, 260, likes=22, comments=4, shares=1, saves=2, reach=100)
    new = rows.content()
    rows.measure(new, 8, 40, likes=4)
    both = overview(api)
    assert both["previous"]["views"] == 60
    assert both["previous"]["engagement"] == {"likes": 6, "comments": 0, "shares": 0, "saves": 0, "total": 6}
    current = both["current"]
    assert current["views"] == (260 - 160) + 40
    assert current["reach"] == 100 - 70
    assert current["engagement"] == {"likes": 10, "comments": 4, "shares": 1, "saves": 2, "total": 17}
    assert current["engagementRate"] == round(17 / 140, 4)


def test_growth_per_bucket_adds_up_to_that_of_the_period(api: Api, rows: Rows) -> None:
    content = rows.content()
    rows.measure(content, "2026-02-20T00:00:00Z", 5)
    for day, views in ((1.2, 10), (1.9, 30), (4.5, 75), (10.9, 100)):
        rows.measure(content, day, views)
    metrics = platform(api)
    assert [bucket["views"] for bucket in metrics["series"]] == [25, 0, 0, 45, 0, 0, 0, 0, 0, 25]
    assert metrics["totals"]["views"] == 95


def test_ad_spend_is_summed_per_currency(api: Api, rows: Rows) -> None:
    spring, summer = rows.campaign(), rows.campaign()
    rows.spend(spring, 1, 1000, impressions=100, clicks=10, conversions=1.5)
    rows.spend(spring, 10, 500, impressions=50, clicks=5, conversions=1)
    rows.spend(spring, 11, 9999, impressions=9999)
    rows.spend(summer, 2, 700, "USD", impressions=7)
    assert overview(api)["current"]["ads"] == {
        "spend": [{"amountMinor": 1500, "currency": "EUR"}, {"amountMinor": 700, "currency": "USD"}],
        "impressions": 157,
        "clicks": 15,
        "conversions": 2.5,
    }


def test_reviews_are_counted_and_averaged(api: Api, rows: Rows) -> None:
    for day, rating in ((1, 5), (3.5, 4), (10.99, 4), (11, 1)):
        rows.review(day, rating)
    assert overview(api)["current"]["reviews"] == {"count": 3, "averageRating": round(13 / 3, 4)}


def test_only_leads_are_counted_as_inquiries(api: Api, rows: Rows) -> None:
    rows.inquiry(4)
    rows.inquiry(4, certainty="perhaps")
    for status in ("spam", "not_a_lead"):
        rows.inquiry(4, status)
    counted = overview(api)["current"]["inquiries"]
    assert (counted["total"], counted["new"]) == (1, 1)


def test_inquiries_are_counted_by_status(api: Api, rows: Rows) -> None:
    for status in ("new", "new", "contacted", "qualified", "converted", "lost", "lost", "lost"):
        rows.inquiry(4, status)
    rows.inquiry("2026-02-28T23:59:59Z", "converted")
    both = overview(api)
    assert both["current"]["inquiries"] == {
        "total": 8,
        "new": 2,
        "contacted": 1,
        "qualified": 1,
        "converted": 1,
        "lost": 3,
        "conversionRate": 0.125,
    }
    assert both["previous"]["inquiries"]["conversionRate"] == 1.0


def test_cancelled_bookings_are_not_counted_and_values_are_summed(api: Api, rows: Rows) -> None:
    rows.booking(1, 250_000)
    rows.booking(2, 100_000)
    rows.booking(3, 80_000, currency="USD")
    rows.booking(4)
    rows.booking(5, 999_999, status="cancelled")
    rows.booking(11, 1)
    assert overview(api)["current"]["bookings"] == {
        "count": 4,
        "value": [{"amountMinor": 350_000, "currency": "EUR"}, {"amountMinor": 80_000, "currency": "USD"}],
    }


def test_a_series_counts_once_on_its_first_booking_day_and_its_values_add_up(api: Api, rows: Rows) -> None:
    rows.booking("2026-02-27T12:00:00Z", 100, series_id="early")
    rows.booking(2, 200, series_id="early")
    for currency in ("EUR", "EUR", "USD"):
        rows.booking(3, 1000, series_id="late", currency=currency)
    rows.booking(2, 5, series_id="late", status="cancelled")
    rows.booking(4, 10, series_id="late", platform="meta")
    both = overview(api)
    assert both["previous"]["bookings"] == {"count": 1, "value": [{"amountMinor": 100, "currency": "EUR"}]}
    assert both["current"]["bookings"] == {
        "count": 2,
        "value": [{"amountMinor": 2210, "currency": "EUR"}, {"amountMinor": 1000, "currency": "USD"}],
    }


def test_skipped_events_and_consultations_are_not_bookings(api: Api, rows: Rows) -> None:
    rows.booking(1, 100, skip_reason="no_match")
    rows.booking(1, 100, event_type="consultation")
    assert overview(api)["current"]["bookings"] == {"count": 0, "value": []}


def test_the_previous_period_has_the_same_length_and_ends_the_day_before(api: Api, rows: Rows) -> None:
    for day in ("2026-02-18T23:59:59Z", "2026-02-19T00:00:00Z", "2026-02-28T23:59:59Z", "2026-03-01T00:00:00Z"):
        rows.review(day, 5)
    both = overview(api)
    assert (both["previous"]["from"], both["previous"]["to"]) == ("2026-02-19", "2026-02-28")
    assert (both["previous"]["reviews"]["count"], both["current"]["reviews"]["count"]) == (2, 1)


def test_a_period_may_be_one_day(api: Api, rows: Rows) -> None:
    rows.review(5.5, 3)
    both = overview(api, "from=2026-03-05&to=2026-03-05")
    assert both["current"]["reviews"]["count"] == 1
    assert (both["previous"]["from"], both["previous"]["to"]) == ("2026-03-04", "2026-03-04")


def test_the_default_period_is_the_last_thirty_days(api: Api, rows: Rows) -> None:
    rows.review("2026-03-30T23:59:59Z", 5)
    with clock.at(datetime(2026, 3, 30, 23, 59, 59, tzinfo=UTC)):
        current = overview(api, "")["current"]
    assert (current["from"], current["to"]) == ("2026-03-01", "2026-03-30")
    assert current["reviews"]["count"] == 1


@pytest.mark.parametrize(
    ("moment", "first", "last"),
    [
        ("2027-03-28T00:30:00Z", "2027-02-26", "2027-03-27"),
        ("2027-03-14T06:30:00Z", "2027-02-13", "2027-03-14"),
        ("2027-03-14T07:30:00Z", "2027-02-13", "2027-03-14"),
        ("2027-11-07T04:30:00Z", "2027-10-09", "2027-11-07"),
        ("2027-12-31T23:50:00Z", "2027-12-02", "2027-12-31"),
        ("2028-01-01T04:59:00Z", "2027-12-02", "2027-12-31"),
        ("2028-02-29T11:00:00Z", "2028-01-31", "2028-02-29"),
    ],
)
def test_the_last_thirty_days_follow_the_studios_time_zone(
    studios: Studios, moment: str, first: str, last: str
) -> None:
    api = studios.new(time_zone="America/New_York")
    with clock.at(datetime.fromisoformat(moment)):
        current = overview(api, "")["current"]
    assert (current["from"], current["to"]) == (first, last)


def test_a_missing_date_gets_its_default(api: Api) -> None:
    assert overview(api, "to=2026-03-30")["current"]["from"] == "2026-03-01"
    with clock.at(datetime(2026, 3, 30, 12, tzinfo=UTC)):
        assert overview(api, "from=2026-03-29")["current"]["to"] == "2026-03-30"
    assert overview(api, "to=2000-01-05")["current"]["from"] == "2000-01-01"
    assert overview(api, "from=2099-01-01")["current"]["to"] == "2099-01-01"


def test_weeks_begin_on_monday_and_the_outer_ones_are_clipped(api: Api, rows: Rows) -> None:
    for day in (3, 4, 8, 9, 15, 16, 17):
        rows.inquiry(day)
    metrics = platform(api, "from=2026-03-04&to=2026-03-16&interval=week")
    assert [(bucket["from"], bucket["to"], bucket["inquiries"]["total"]) for bucket in metrics["series"]] == [
        ("2026-03-04", "2026-03-08", 2),
        ("2026-03-09", "2026-03-15", 2),
        ("2026-03-16", "2026-03-16", 1),
    ]
    assert metrics["totals"]["inquiries"]["total"] == 5


def test_months_are_calendar_months(api: Api, rows: Rows) -> None:
    for day in ("2026-01-30T12:00:00Z", "2026-01-31T12:00:00Z", "2026-02-28T23:00:00Z", "2026-03-01T00:00:00Z"):
        rows.inquiry(day)
    metrics = platform(api, "from=2026-01-31&to=2026-03-01&interval=month")
    assert [(bucket["from"], bucket["to"], bucket["inquiries"]["total"]) for bucket in metrics["series"]] == [
        ("2026-01-31", "2026-01-31", 1),
        ("2026-02-01", "2026-02-28", 1),
        ("2026-03-01", "2026-03-01", 1),
    ]


def test_days_follow_the_studios_time_zone(studios: Studios, superuser: pg8000.native.Connection) -> None:
    api = studios.new(time_zone="Pacific/Auckland")  # 13 hours ahead in March
    rows = Rows(superuser, api.studio_id)
    for at in ("2026-02-28T10:59:59Z", "2026-02-28T11:00:00Z", "2026-03-10T10:59:59Z", "2026-03-10T11:00:00Z"):
        rows.review(at, 5)
        rows.booking(at)
    assert overview(api)["current"]["reviews"]["count"] == 2
    series = platform(api)["series"]
    assert [bucket["bookings"]["count"] for bucket in series] == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_a_day_has_23_or_25_hours_when_clocks_change(studios: Studios, superuser: pg8000.native.Connection) -> None:
    api = studios.new(time_zone="Europe/Berlin")
    rows = Rows(superuser, api.studio_id)
    for at in ("2026-03-28T23:00:00Z", "2026-03-29T21:59:59Z", "2026-03-29T22:00:00Z"):
        rows.review(at, 5)
    series = platform(api, "from=2026-03-28&to=2026-03-30")["series"]
    assert [bucket["reviews"]["count"] for bucket in series] == [0, 2, 1]


def test_ad_days_are_those_of_the_ad_account_and_are_not_shifted(
    studios: Studios, superuser: pg8000.native.Connection
) -> None:
    api = studios.new(time_zone="Pacific/Auckland")
    rows = Rows(superuser, api.studio_id)
    rows.spend(rows.campaign(), 1, 100)
    assert [bucket["ads"]["spend"] != [] for bucket in platform(api)["series"]] == [True] + [False] * 9


def test_figures_are_separated_by_platform(api: Api, rows: Rows) -> None:
    for name, times in (("google", 1), ("meta", 2)):
        content, campaign = rows.content(name), rows.campaign(name)
        for day in range(1, times + 1):
            rows.measure(content, day, 10 * day)
            rows.spend(campaign, day, 100)
            rows.review(day, 5, name)
            rows.inquiry(day, platform=name)
            rows.booking(day, platform=name)

    def counts(figures: Any) -> list[int]:
        spent = sum(money["amountMinor"] for money in figures["ads"]["spend"])
        kinds = (figures["reviews"]["count"], figures["inquiries"]["total"], figures["bookings"]["count"])
        return [figures["views"], spent, *kinds]

    assert counts(platform(api, name="google")["totals"]) == [10, 100, 1, 1, 1]
    assert counts(platform(api, name="meta")["totals"]) == [20, 200, 2, 2, 2]
    assert counts(platform(api, name="yelp")["totals"]) == [0] * 5
    assert counts(overview(api)["current"]) == [30, 300, 3, 3, 3]


@pytest.mark.parametrize(
    ("query", "field", "problem"),
    [
        ("from=2026-03-11&to=2026-03-10", "from", "must not be later than `to`"),
        ("from=1999-12-31&to=2026-03-10", "from", "must be between 2000-01-01 and 2100-01-01"),
        ("to=2100-01-02", "to", "must be between 2000-01-01 and 2100-01-01"),
        ("from=2024-01-01&to=2026-01-01", "from", "a period has at most 731 days"),
        ("from=2026-3-1", "from", "RFC3339"),
        ("asOf=1999-12-31", "asOf", "must be between 2000-01-01 and 2100-01-01"),
        ("asOf=9999-12-31", "asOf", "must be between 2000-01-01 and 2100-01-01"),
        ("asOf=2099-12-31", "asOf", "must not be in the future"),
        ("asOf=2026-03-11T00:00:00Z", "asOf", "RFC3339"),
        ("interval=hour", "interval", "must be one of day, week, month"),
        ("from=2025-01-01&to=2026-03-01&interval=day", "interval", "400 are allowed"),
    ],
)
def test_an_invalid_period_is_rejected_and_the_field_named(api: Api, query: str, field: str, problem: str) -> None:
    answer = api.get(f"/api/metrics/google?{query}")
    assert answer.status == 422
    (error,) = answer.json["errors"]
    assert error["field"] == field
    assert problem in error["problem"]


def restated_spend(superuser: pg8000.native.Connection, api: Api, created: str, until: str) -> None:
    """Spend of March 1 that was 1000 USD until a point in time, and is 900 EUR since."""
    own = {"studio_id": api.studio_id}
    campaign = Rows(superuser, api.studio_id).campaign()
    counts = {"impressions": 10, "clicks": 1, "conversions": 0}
    on = {"day": date(2026, 3, 1), "created_at": moment(created)}
    now = {"spend_minor": 900, "currency": "EUR", **counts}
    metric = insert(superuser, "ad_metric", **own, campaign_id=campaign, **on, **now)
    superuser.run(
        """
        INSERT INTO ad_metric_restatement
        SELECT studio_id, id, CAST(:until AS timestamptz), 1000, 'USD', impressions, clicks, conversions
        FROM ad_metric WHERE id = :id
        """,
        until=until,
        id=metric,
    )


def test_ad_figures_as_of_a_day_are_those_at_its_end(studios: Studios, superuser: pg8000.native.Connection) -> None:
    api = studios.new(time_zone="Pacific/Auckland")  # 13 hours ahead in March
    restated_spend(superuser, api, created="2026-03-02T10:59:59Z", until="2026-03-04T11:00:00Z")
    before = [{"amountMinor": 1000, "currency": "USD"}]
    after = [{"amountMinor": 900, "currency": "EUR"}]
    spend_by_day = {
        "2026-03-01": [],
        "2026-03-02": before,
        "2026-03-04": before,
        "2026-03-05": after,
        "2026-03-31": after,
    }
    for day, spend in spend_by_day.items():
        assert overview(api, f"{PERIOD}&asOf={day}")["current"]["ads"]["spend"] == spend, day
        metrics = platform(api, f"{PERIOD}&asOf={day}")
        assert (metrics["totals"]["ads"]["spend"], metrics["series"][0]["ads"]["spend"]) == (spend, spend), day
    assert overview(api)["current"]["ads"]["spend"] == after


def test_figures_as_of_a_day_exclude_later_rows(api: Api, rows: Rows) -> None:
    content = rows.content()
    for day in (3, 5):
        rows.measure(content, day, 10 * day)
        rows.inquiry(day, "lost")
        rows.booking(day, 100)
    current = overview(api, f"{PERIOD}&asOf=2026-03-04")["current"]
    assert (current["views"], current["inquiries"]["lost"], current["bookings"]["count"]) == (30, 1, 1)
    assert overview(api)["current"]["views"] == 50


def test_a_review_counts_from_the_day_it_was_first_seen(api: Api, superuser: pg8000.native.Connection) -> None:
    own = {"studio_id": api.studio_id, "connection_id": connection_of(api.studio_id)}
    moments = {"reviewed_at": moment(1), "created_at": moment(3)}
    insert(superuser, "review", **own, platform="google", external_id="r", rating=5, **moments)
    counts = [overview(api, f"{PERIOD}&asOf=2026-03-0{day}")["current"]["reviews"]["count"] for day in (1, 2, 3)]
    assert counts == [0, 0, 1]


def test_the_default_period_ends_on_the_as_of_day(api: Api) -> None:
    current = overview(api, "asOf=2026-03-30")["current"]
    assert (current["from"], current["to"]) == ("2026-03-01", "2026-03-30")
    assert overview(api, "asOf=2000-01-01")["current"]["from"] == "2000-01-01"
    assert overview(api, "from=2026-04-05&asOf=2026-03-30")["current"]["to"] == "2026-04-05"


def test_figures_as_of_today_are_the_current_ones(api: Api, rows: Rows, superuser: pg8000.native.Connection) -> None:
    rows.review("2026-03-10T11:59:00Z", 5)
    rows.spend(rows.campaign(), 1, 100)
    superuser.run("UPDATE review SET created_at = reviewed_at; UPDATE ad_metric SET created_at = day")
    with clock.at(datetime(2026, 3, 10, 12, tzinfo=UTC)):
        assert overview(api, "asOf=2026-03-10")["current"]["reviews"]["count"] == 1
        current = overview(api, f"{PERIOD}&asOf=2026-03-10")
    assert current == overview(api)
    assert current["current"]["ads"]["spend"]


def test_the_longest_period_is_accepted(api: Api) -> None:
    assert len(platform(api, "from=2024-01-01&to=2025-12-31&interval=week")["series"]) == 105
    assert len(platform(api, "from=2024-01-01&to=2025-12-31&interval=month")["series"]) == 24
    assert overview(api, "from=2024-01-01&to=2025-12-31")["previous"]["from"] == "2021-12-31"
    assert overview(api, "from=2000-01-01&to=2000-01-31")["previous"]["from"] == "1999-12-01"
