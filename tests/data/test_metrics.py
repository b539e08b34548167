"""Metrics: the database's tallies in one statement, compared with the same figures counted row by row."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import pg8000.native
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.data.postgres.driver import query_statistics
from chalicelib.services.metrics import Figures, Interval, Money, get_overview, get_platform_metrics
from tests.conftest import Database
from tests.data.rows import connection_of, insert, new_studio

TOTALS = ("views", "likes", "comments", "shares", "saves", "reach")
ZONES = {
    "UTC": date(2025, 3, 27),
    "Europe/Berlin": date(2025, 3, 27),
    "America/New_York": date(2025, 10, 30),
    "Africa/Cairo": date(2025, 4, 22),
    "America/Havana": date(2025, 10, 30),
}
"""Each with a week in which its clocks change; in Cairo and in Havana at midnight."""
WEEK = 8 * 24 * 4
"""Quarter hours, with a spare day."""
RESTATED_AFTER = timedelta(hours=40)
"""Ad numbers and reviews arrive at their time; the platform restates them this much later."""


@dataclass(frozen=True)
class Row:
    """A row of any of the tables; `at` counts quarter hours from the start of the week."""

    owner: int
    at: int
    number: int
    word: str


@dataclass(frozen=True)
class Week:
    """A small studio's data around a change of clocks. Contents and campaigns 0 and 1 are google's, 2 is meta's."""

    zone: str
    measurements: list[Row]
    ads: list[Row]
    reviews: list[Row]
    inquiries: list[Row]
    bookings: list[Row]

    def moment(self, row: Row) -> datetime:
        start = datetime.combine(ZONES[self.zone], datetime.min.time(), ZoneInfo(self.zone)).astimezone(UTC)
        return start + timedelta(minutes=15 * row.at)

    def day(self, row: Row, later: timedelta = timedelta(0)) -> date:
        """The day in the studio's time zone."""
        return (self.moment(row) + later).astimezone(ZoneInfo(self.zone)).date()

    def number(self, row: Row, known: date | None) -> int:
        """An ad number or a rating as it was known at the end of a day."""
        restated = known is None or self.day(row, RESTATED_AFTER) <= known
        return row.number if restated else first_told(row)


def platform_of(owner: int) -> str:
    return "meta" if owner == 2 else "google"


def first_told(row: Row) -> int:
    """An ad number or a rating before the platform restated it: every other one was different."""
    return row.number - row.number % 2


def rows(*words: str) -> st.SearchStrategy[list[Row]]:
    row = st.builds(Row, st.integers(0, 2), st.integers(0, WEEK), st.integers(0, 1000), st.sampled_from(words))
    return st.lists(row, max_size=8)


weeks = st.builds(
    Week,
    zone=st.sampled_from(sorted(ZONES)),
    measurements=rows("").map(lambda found: list({(row.owner, row.at): row for row in found}.values())),
    ads=rows("EUR", "USD").map(lambda found: list({(row.owner, row.at // 96): row for row in found}.values())),
    reviews=rows(""),
    inquiries=rows("new", "contacted", "qualified", "converted", "lost"),
    bookings=rows("EUR", "USD", "none", "cancelled"),
)


def totals_of(row: Row) -> dict[str, int]:
    return {name: row.number * (place + 1) for place, name in enumerate(TOTALS)}


def numbers_of(number: int) -> dict[str, float]:
    return {"spend_minor": number * 3, "impressions": number * 2, "clicks": number, "conversions": number / 4}


def rating_of(number: int) -> int:
    return number % 5 + 1


def ad_day(week: Week, row: Row) -> date:
    """Ad rows are per day; no clock is involved."""
    return ZONES[week.zone] + timedelta(days=row.at // 96)


class Store:
    """Stores a week in the tables, replacing the previous one."""

    def __init__(self, superuser: pg8000.native.Connection, studio_id: UUID) -> None:
        self._superuser = superuser
        self.studio_id = studio_id

    def put(self, week: Week) -> None:
        for table in ("content", "ad_campaign", "review", "person", "booking"):
            self._superuser.run(f"DELETE FROM {table} WHERE studio_id = :id", id=self.studio_id)
        self._superuser.run("UPDATE studio SET time_zone = :z WHERE id = :id", z=week.zone, id=self.studio_id)
        self._put("content", ({**self._owner(n), "kind": "post", "status": "published"} for n in range(3)))
        self._put("ad_campaign", ({**self._owner(n), "name": "", "status": "active"} for n in range(3)))
        self._put(
            "content_metric",
            (
                {"content_id": self._id(r.owner), "measured_at": week.moment(r), **totals_of(r)}
                for r in week.measurements
            ),
        )
        self._put("ad_metric", (self._ad(week, row) for row in week.ads))
        self._put("ad_metric_restatement", (self._restated_ad(week, row) for row in week.ads if row.number % 2))
        self._put("review", (self._review(week, row, n) for n, row in enumerate(week.reviews)))
        self._put(
            "review_restatement",
            (
                {"review_id": self._key(r, n)["id"], "rating": rating_of(first_told(r)), **self._until(week, r)}
                for n, r in enumerate(week.reviews)
                if r.number % 2
            ),
        )
        people = [self._person(n) for n in range(len(week.inquiries))]
        self._put("person", ({"id": each} for each in people))
        self._put("conversation", ({"id": each, "person_id": each} for each in people))
        self._put("inquiry", (self._inquiry(week, row, n) for n, row in enumerate(week.inquiries)))
        self._put("booking", ({**self._booking(week, r), **self._key(r, n)} for n, r in enumerate(week.bookings)))

    def _put(self, table: str, made: Iterable[dict[str, Any]]) -> None:
        insert(self._superuser, table, [{"studio_id": self.studio_id, **row} for row in made])

    def _id(self, owner: int) -> UUID:
        return uuid5(self.studio_id, str(owner))

    def _owner(self, number: int) -> dict[str, Any]:
        return {"id": self._id(number), **self._source(number), "external_id": str(number)}

    def _source(self, owner: int) -> dict[str, Any]:
        platform = platform_of(owner)
        return {"platform": platform, "connection_id": connection_of(self.studio_id, platform)}

    def _key(self, row: Row, number: int) -> dict[str, Any]:
        return {
            "id": uuid5(self.studio_id, f"n{number}"),
            **self._source(row.owner),
            "external_id": str(number),
        }

    def _ad(self, week: Week, row: Row) -> dict[str, Any]:
        place = {"campaign_id": self._id(row.owner), "day": ad_day(week, row), "created_at": week.moment(row)}
        return {"id": self._ad_id(row), **numbers_of(row.number), "currency": row.word, **place}

    def _ad_id(self, row: Row) -> UUID:
        return uuid5(self.studio_id, f"{row.owner} {row.at}")

    def _restated_ad(self, week: Week, row: Row) -> dict[str, Any]:
        values = {**numbers_of(first_told(row)), "currency": row.word}
        return {"ad_metric_id": self._ad_id(row), **values, **self._until(week, row)}

    def _person(self, number: int) -> UUID:
        return uuid5(self.studio_id, f"person {number}")

    def _inquiry(self, week: Week, row: Row, number: int) -> dict[str, Any]:
        person = self._person(number)
        return {
            "person_id": person,
            "conversation_id": person,
            "channel": "email",
            "certainty": "lead",
            "reason": "form",
            "received_at": week.moment(row),
            "status": row.word,
            **self._key(row, number),
        }

    def _review(self, week: Week, row: Row, number: int) -> dict[str, Any]:
        moments = dict.fromkeys(("reviewed_at", "created_at"), week.moment(row))
        return {"rating": rating_of(row.number), **moments, **self._key(row, number)}

    def _until(self, week: Week, row: Row) -> dict[str, Any]:
        return {"valid_until": week.moment(row) + RESTATED_AFTER}

    def _booking(self, week: Week, row: Row) -> dict[str, Any]:
        valued = row.word != "none"
        return {
            "event_type": "wedding",
            "event_date": week.day(row),
            "status": "cancelled" if row.word == "cancelled" else "confirmed",
            "value_minor": row.number if valued else None,
            "currency": ("EUR" if row.word == "cancelled" else row.word) if valued else None,
            "booked_at": week.moment(row),
        }


@pytest.fixture
def store(clean_database: Database, superuser: pg8000.native.Connection) -> Store:
    """With another studio, whose rows must not count."""
    other = Store(superuser, new_studio("Other"))
    everything = [Row(owner, at, 777, "EUR") for owner in range(3) for at in range(0, WEEK, 96)]
    inquiries = [Row(row.owner, row.at, 1, "converted") for row in everything]
    other.put(Week("UTC", everything, everything, everything, inquiries, everything))
    return Store(superuser, new_studio())


def grown(week: Week, mine: list[Row], first: date, last: date) -> dict[str, int]:
    """For each content: its latest totals at the end of the last day, minus those at the start of the first."""
    growth = dict.fromkeys(TOTALS, 0)
    for owner in {row.owner for row in mine}:
        history = sorted((row for row in mine if row.owner == owner), key=lambda row: row.at)
        until_end = [row for row in history if week.day(row) <= last]
        before = [row for row in history if week.day(row) < first]
        for name in TOTALS:
            growth[name] += totals_of(until_end[-1])[name] if until_end else 0
            growth[name] -= totals_of(before[-1])[name] if before else 0
    return growth


def money(amounts: Iterable[tuple[str, int]]) -> list[Money]:
    total: dict[str, int] = {}
    for currency, amount in amounts:
        total[currency] = total.get(currency, 0) + amount
    return [Money(amount_minor=total[currency], currency=currency) for currency in sorted(total)]


def ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None


def counted(
    week: Week, first: date, last: date, platform: str | None = None, known: date | None = None
) -> dict[str, Any]:
    """The figures of a period, computed from every row; those `known` at the end of a day."""

    def of_platform(found: list[Row]) -> list[Row]:
        there = [row for row in found if known is None or week.day(row) <= known]
        return [row for row in there if platform in (None, platform_of(row.owner))]

    def within(found: list[Row]) -> list[Row]:
        return [row for row in of_platform(found) if first <= week.day(row) <= last]

    growth = grown(week, of_platform(week.measurements), first, last)
    engagement = sum(growth[name] for name in ("likes", "comments", "shares", "saves"))
    ads = [(row.word, week.number(row, known)) for row in of_platform(week.ads) if first <= ad_day(week, row) <= last]
    ratings = [rating_of(week.number(row, known)) for row in within(week.reviews)]
    inquiries = within(week.inquiries)
    bookings = [row for row in within(week.bookings) if row.word != "cancelled"]
    return {
        "period": (first, last),
        "growth": growth,
        "engagement": (engagement, ratio(engagement, growth["views"])),
        "spend": money((currency, number * 3) for currency, number in ads),
        "ads": tuple(sum(number * factor for _, number in ads) for factor in (2, 1, 0.25)),
        "reviews": (len(ratings), ratio(sum(ratings), len(ratings))),
        "inquiries": {word: sum(row.word == word for row in inquiries) for word in LEAD},
        "conversion": (len(inquiries), ratio(sum(row.word == "converted" for row in inquiries), len(inquiries))),
        "bookings": (len(bookings), money((row.word, row.number) for row in bookings if row.word != "none")),
    }


LEAD = ("new", "contacted", "qualified", "converted", "lost")


def figures_of(figures: Figures) -> dict[str, Any]:
    """The product's figures, in the shape of `counted`."""
    engagement, ads, inquiries = figures.engagement, figures.ads, figures.inquiries
    parts = {name: getattr(engagement, name) for name in ("likes", "comments", "shares", "saves")}
    return {
        "period": (figures.first_day, figures.last_day),
        "growth": {"views": figures.views, "reach": figures.reach, **parts},
        "engagement": (engagement.total, figures.engagement_rate),
        "spend": ads.spend,
        "ads": (ads.impressions, ads.clicks, ads.conversions),
        "reviews": (figures.reviews.count, figures.reviews.average_rating),
        "inquiries": {word: getattr(inquiries, word) for word in LEAD},
        "conversion": (inquiries.total, inquiries.conversion_rate),
        "bookings": (figures.bookings.count, figures.bookings.value),
    }


against_rows = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@against_rows
@given(week=weeks, start=st.integers(0, 6), length=st.integers(1, 4))
def test_the_overview_matches_the_rows(week: Week, start: int, length: int, store: Store) -> None:
    store.put(week)
    first = ZONES[week.zone] + timedelta(days=start)
    last = first + timedelta(days=length - 1)
    overview = get_overview(store.studio_id, first, last)
    assert figures_of(overview.current) == counted(week, first, last)
    before = first - timedelta(days=length), first - timedelta(days=1)
    assert figures_of(overview.previous) == counted(week, *before)


@against_rows
@given(
    week=weeks, start=st.integers(0, 3), length=st.integers(1, 7), interval=st.sampled_from(["day", "week", "month"])
)
def test_a_platforms_totals_and_buckets_match_its_rows(
    week: Week, start: int, length: int, interval: Interval, store: Store
) -> None:
    store.put(week)
    first = ZONES[week.zone] + timedelta(days=start)
    last = first + timedelta(days=length - 1)
    metrics = get_platform_metrics(store.studio_id, "google", first, last, interval)
    assert figures_of(metrics.totals) == counted(week, first, last, "google")
    assert [figures_of(bucket) for bucket in metrics.series] == [
        counted(week, bucket.first_day, bucket.last_day, "google") for bucket in metrics.series
    ]
    assert (metrics.series[0].first_day, metrics.series[-1].last_day) == (first, last)
    following = [bucket.first_day - timedelta(days=1) for bucket in metrics.series[1:]]
    assert following == [bucket.last_day for bucket in metrics.series[:-1]]


@against_rows
@given(week=weeks, start=st.integers(0, 4), length=st.integers(1, 4), known=st.integers(-1, 9))
def test_figures_as_of_a_day_match_the_rows_at_its_end(
    week: Week, start: int, length: int, known: int, store: Store
) -> None:
    store.put(week)
    first, as_of = (ZONES[week.zone] + timedelta(days=days) for days in (start, known))
    last = first + timedelta(days=length - 1)
    overview = get_overview(store.studio_id, first, last, as_of=as_of)
    before = first - timedelta(days=length), first - timedelta(days=1)
    assert figures_of(overview.current) == counted(week, first, last, known=as_of)
    assert figures_of(overview.previous) == counted(week, *before, known=as_of)
    metrics = get_platform_metrics(store.studio_id, "google", first, last, "day", as_of=as_of)
    assert figures_of(metrics.totals) == counted(week, first, last, "google", as_of)
    assert [figures_of(bucket) for bucket in metrics.series] == [
        counted(week, bucket.first_day, bucket.last_day, "google", as_of) for bucket in metrics.series
    ]


MARCH = date(2025, 3, 27)


def quiet(**found: list[Row]) -> Week:
    nothing: dict[str, list[Row]] = {name: [] for name in ("measurements", "ads", "reviews", "inquiries", "bookings")}
    return Week("UTC", **{**nothing, **found})


def day(number: int, hour: int = 0) -> int:
    return number * 96 + hour * 4


def test_growth_is_the_difference_of_lifetime_totals(store: Store) -> None:
    store.put(quiet(measurements=[Row(0, day(0), 100, ""), Row(0, day(1, 6), 130, ""), Row(0, day(1, 18), 150, "")]))
    overview = get_overview(store.studio_id, MARCH + timedelta(days=1), MARCH + timedelta(days=1))
    assert (overview.current.views, overview.previous.views) == (50, 100)


def test_growth_after_a_gap_counts_on_the_day_of_the_measurement(store: Store) -> None:
    store.put(quiet(measurements=[Row(0, day(0), 100, ""), Row(0, day(4), 175, "")]))
    metrics = get_platform_metrics(store.studio_id, "google", MARCH, MARCH + timedelta(days=5), "day")
    assert [bucket.views for bucket in metrics.series] == [100, 0, 0, 0, 75, 0]


def test_falling_totals_count_as_a_loss(store: Store) -> None:
    store.put(quiet(measurements=[Row(0, day(0), 100, ""), Row(0, day(1), 90, "")]))
    assert get_overview(store.studio_id, MARCH + timedelta(days=1), MARCH + timedelta(days=1)).current.views == -10


def test_currencies_are_never_added_together(store: Store) -> None:
    store.put(
        quiet(ads=[Row(0, 0, 100, "USD"), Row(1, 0, 200, "EUR")], bookings=[Row(0, 0, 5, "USD"), Row(0, 0, 7, "EUR")])
    )
    current = get_overview(store.studio_id, MARCH, MARCH).current
    assert current.ads.spend == [Money(amount_minor=600, currency="EUR"), Money(amount_minor=300, currency="USD")]
    assert current.bookings.value == [Money(amount_minor=7, currency="EUR"), Money(amount_minor=5, currency="USD")]


def test_a_cancelled_booking_does_not_count_and_one_without_a_value_does(store: Store) -> None:
    store.put(quiet(bookings=[Row(0, 0, 500, "cancelled"), Row(0, 0, 500, "none")]))
    bookings = get_overview(store.studio_id, MARCH, MARCH).current.bookings
    assert (bookings.count, bookings.value) == (1, [])


def test_an_empty_studio_has_zeros_and_no_rates(store: Store) -> None:
    store.put(quiet())
    current = get_overview(store.studio_id, MARCH, MARCH).current
    assert figures_of(current) == counted(quiet(), MARCH, MARCH)
    assert (current.engagement_rate, current.reviews.average_rating, current.inquiries.conversion_rate) == (None,) * 3


@pytest.mark.parametrize("busy", [False, True], ids=["empty", "busy"])
def test_the_number_of_round_trips_does_not_depend_on_the_data(busy: bool, store: Store) -> None:
    many = [Row(owner, at, at, "EUR") for owner in range(3) for at in range(0, WEEK, 96)]
    leads = [Row(row.owner, row.at, 1, "new") for row in many]
    store.put(Week("UTC", many, many, many, leads, many) if busy else quiet())
    with query_statistics() as statistics:
        get_overview(store.studio_id, MARCH, MARCH + timedelta(days=6))
    assert statistics.round_trips == 2
    with query_statistics() as statistics:
        get_platform_metrics(store.studio_id, "google", MARCH, MARCH + timedelta(days=6), "day")
    assert statistics.round_trips == 3
