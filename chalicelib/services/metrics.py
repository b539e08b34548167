"""Metrics: what the tables add up to, over a period and the one before it, or bucket by bucket."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from chalicelib import clock
from chalicelib.data.metrics import TALLY, TALLY_AS_OF, Tallies, periods
from chalicelib.data.postgres.database import read
from chalicelib.data.postgres.rows import PlatformText, Row
from chalicelib.data.studios import GET_STUDIO
from chalicelib.errors import FieldProblem, InvalidInput, NotFound
from chalicelib.services.time_zones import zone_of

Interval = Literal["day", "week", "month"]
"""The length of an entry of a series: `day`, `week` (from Monday) or `month`."""
DEFAULT_DAYS = 30
MAX_DAYS = 731
MAX_BUCKETS = 400
EARLIEST = date(2000, 1, 1)
LATEST = date(2100, 1, 1)


class Money(Row):
    """An amount in one currency."""

    amount_minor: int
    """The amount in the currency's minor unit: cents for `USD`, yen for `JPY`."""
    currency: str
    """The ISO 4217 currency code, such as `EUR`."""


class Engagement(Row):
    """The reactions that content gained in the period."""

    likes: int = 0
    """Likes gained."""
    comments: int = 0
    """Comments gained."""
    shares: int = 0
    """Shares gained."""
    saves: int = 0
    """Saves gained."""
    total: int = 0
    """The sum of likes, comments, shares and saves."""


class Ads(Row):
    """What ads cost and brought, by the days of the ad accounts."""

    spend: list[Money] = []
    """The money spent, once per currency; currencies are never added together."""
    impressions: int = 0
    """How often ads were shown."""
    clicks: int = 0
    """Clicks on ads."""
    conversions: float = 0
    """Conversions the platform attributes to ads; may be fractional."""


class Reviews(Row):
    """The reviews written in the period."""

    count: int = 0
    """How many reviews were written."""
    average_rating: float | None = None
    """Their average rating in stars, to four decimals; null when there are none."""


class Inquiries(Row):
    """The inquiries received in the period, by the status they have now. Only leads count: not what is perhaps one, nor
    what the studio has marked as spam or as no lead."""

    total: int = 0
    """All inquiries received."""
    new: int = 0
    """Those that are new."""
    contacted: int = 0
    """Those that the studio has answered."""
    qualified: int = 0
    """Those that may become a booking."""
    converted: int = 0
    """Those that became a booking."""
    lost: int = 0
    """Those that came to nothing."""
    conversion_rate: float | None = None
    """`converted` / `total`, from 0 to 1, to four decimals; null when there are no inquiries."""


class Bookings(Row):
    """The bookings made in the period and not cancelled. Consultations are not bookings."""

    count: int = 0
    """How many bookings were made; a series counts once."""
    value: list[Money] = []
    """Their value, once per currency; bookings without a known value add nothing."""


class Figures(Row):
    """The figures of a period, in the studio's time zone."""

    first_day: date = msgspec.field(name="from")
    """The first day of the period."""
    last_day: date = msgspec.field(name="to")
    """The last day of the period, included."""
    views: int
    """Views that content gained."""
    reach: int
    """Reach that content gained: the platforms' counts of unique viewers, added up per item."""
    engagement: Engagement
    """Reactions that content gained."""
    engagement_rate: float | None
    """`engagement.total` / `views`, to four decimals; null when there were no views."""
    ads: Ads
    """What ads cost and brought."""
    reviews: Reviews
    """Reviews written."""
    inquiries: Inquiries
    """Inquiries received."""
    bookings: Bookings
    """Bookings made."""


class Overview(Row):
    """The studio's figures of a period, compared with the previous period."""

    current: Figures
    """The period asked for."""
    previous: Figures
    """The period of the same length right before it."""


class PlatformMetrics(Row):
    """One platform's figures of a period, in total and as a series."""

    platform: PlatformText
    interval: Interval
    """The length of an entry of the series."""
    totals: Figures
    """The figures of the whole period."""
    series: list[Figures]
    """The figures per interval, oldest first. Weeks begin on Monday; the first and last are cut to the period."""


def get_overview(
    studio_id: UUID,
    first: date | None,
    last: date | None,
    *,
    connection: UUID | None = None,
    as_of: date | None = None,
) -> Overview:
    """Of all connections, or of one. `first` and `last` are days, both included; by default the last 30, up to `as_of`
    if that is given.

    `as_of` shows what was known at the end of that day: a row that came later is not there, an ad number or a rating
    that was restated later is what it was. Statuses are those of now.
    """
    zone = _zone(studio_id)
    first, last = _period(first, last, zone, as_of)
    length = last - first + timedelta(days=1)
    days = [first - length, first, last + timedelta(days=1)]
    source = {"platform": None, "connection": connection}
    previous, current = _figures(studio_id, days, zone, source, as_of=as_of)
    return Overview(current=current, previous=previous)


def get_platform_metrics(
    studio_id: UUID,
    platform: str,
    first: date | None,
    last: date | None,
    interval: Interval,
    *,
    connection: UUID | None = None,
    as_of: date | None = None,
) -> PlatformMetrics:
    """Weeks begin on Monday; the first and the last bucket are cut to the period. `as_of` as in the overview."""
    zone = _zone(studio_id)
    first, last = _period(first, last, zone, as_of)
    end = last + timedelta(days=1)
    buckets = _edges(first, end, interval)
    source = {"platform": platform, "connection": connection}
    series = _figures(studio_id, buckets, zone, source, as_of=as_of)
    (totals,) = _figures(studio_id, [first, end], zone, source, as_of=as_of)
    return PlatformMetrics(platform=platform, interval=interval, totals=totals, series=series)


def _zone(studio_id: UUID) -> ZoneInfo:
    studio = read(studio_id, GET_STUDIO)
    if studio is None:
        raise NotFound("Studio not found")
    return zone_of(studio.time_zone)


def _period(first: date | None, last: date | None, zone: ZoneInfo, as_of: date | None) -> tuple[date, date]:
    today = clock.now().astimezone(zone).date()
    for name, day in (("from", first), ("to", last), ("asOf", as_of)):
        if day is not None and not EARLIEST <= day <= LATEST:
            raise InvalidInput(fields=[FieldProblem(name, f"must be between {EARLIEST} and {LATEST}")])
    if as_of is not None and as_of > today:
        raise InvalidInput(fields=[FieldProblem("asOf", "must not be in the future")])
    last = last or max(first or EARLIEST, as_of or today)
    first = first or max(EARLIEST, last - timedelta(days=DEFAULT_DAYS - 1))
    if first > last:
        raise InvalidInput(fields=[FieldProblem("from", "must not be later than `to`")])
    if (last - first).days >= MAX_DAYS:
        raise InvalidInput(fields=[FieldProblem("from", f"a period has at most {MAX_DAYS} days")])
    return first, last


def _edges(first: date, end: date, interval: Interval) -> list[date]:
    """The first day of each bucket, and the day after the last."""
    edges, edge = [], first
    while edge < end:
        edges.append(edge)
        edge = _next_edge(edge, interval)
    if len(edges) > MAX_BUCKETS:
        raise InvalidInput(
            fields=[FieldProblem("interval", f"makes {len(edges)} buckets of this period; {MAX_BUCKETS} are allowed")]
        )
    return [*edges, end]


def _next_edge(edge: date, interval: Interval) -> date:
    if interval == "day":
        return edge + timedelta(days=1)
    if interval == "week":
        return edge + timedelta(days=7 - edge.weekday())
    return (edge.replace(day=1) + timedelta(days=32)).replace(day=1)


def _figures(
    studio_id: UUID, edges: list[date], zone: ZoneInfo, source: Mapping[str, str | UUID | None], *, as_of: date | None
) -> list[Figures]:
    """One Figures for each bucket between two edges."""
    given = {**periods([_start(day, zone) for day in edges], edges), **source}
    if as_of is None:
        tallies = read(studio_id, TALLY, **given)
    else:
        tallies = read(studio_id, TALLY_AS_OF, **given, as_of=_start(as_of + timedelta(days=1), zone))
    return [
        _bucket(tallies, number, first, after - timedelta(days=1))
        for number, (first, after) in enumerate(pairwise(edges), start=1)
    ]


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)


def _bucket(tallies: Tallies, number: int, first: date, last: date) -> Figures:
    grown = next((growth for growth in tallies.growth if growth.bucket == number), None)
    engagement = Engagement()
    if grown is not None:
        total = grown.likes + grown.comments + grown.shares + grown.saves
        engagement = Engagement(
            likes=grown.likes, comments=grown.comments, shares=grown.shares, saves=grown.saves, total=total
        )
    views = grown.views if grown else 0
    return Figures(
        first_day=first,
        last_day=last,
        views=views,
        reach=grown.reach if grown else 0,
        engagement=engagement,
        engagement_rate=_ratio(engagement.total, views),
        ads=_ads(tallies, number),
        reviews=_reviews(tallies, number),
        inquiries=_inquiries(tallies, number),
        bookings=_bookings(tallies, number),
    )


def _ads(tallies: Tallies, number: int) -> Ads:
    ads = [ad for ad in tallies.ads if ad.bucket == number]
    return Ads(
        spend=_money((ad.currency, ad.spend_minor) for ad in ads),
        impressions=sum(ad.impressions for ad in ads),
        clicks=sum(ad.clicks for ad in ads),
        conversions=sum(ad.conversions for ad in ads),
    )


def _reviews(tallies: Tallies, number: int) -> Reviews:
    found = next((reviews for reviews in tallies.reviews if reviews.bucket == number), None)
    return Reviews(count=found.count, average_rating=_ratio(found.rating_sum, found.count)) if found else Reviews()


def _inquiries(tallies: Tallies, number: int) -> Inquiries:
    counts = {tally.status: tally.count for tally in tallies.inquiries if tally.bucket == number}
    total = sum(counts.values())
    return Inquiries(total=total, conversion_rate=_ratio(counts.get("converted", 0), total), **counts)


def _bookings(tallies: Tallies, number: int) -> Bookings:
    bookings = [booking for booking in tallies.bookings if booking.bucket == number]
    return Bookings(
        count=sum(booking.count for booking in bookings),
        value=_money((booking.currency, booking.value_minor) for booking in bookings if booking.currency),
    )


def _money(amounts: Iterable[tuple[str | None, int]]) -> list[Money]:
    """Currencies are never added together."""
    return [Money(amount_minor=amount, currency=currency) for currency, amount in sorted(amounts) if currency]


def _ratio(part: float, whole: float) -> float | None:
    return round(part / whole, 4) if whole else None
