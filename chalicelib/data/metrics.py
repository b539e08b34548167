"""Figures from the tables, aggregated by time bucket in one statement."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from chalicelib.data.counted_accounts import counts
from chalicelib.data.postgres.query import Query, array_of
from chalicelib.data.postgres.rows import Row
from chalicelib.data.sync.tables import SYNCED


class Growth(Row):
    """The growth of content in a bucket: the difference between the lifetime totals at its end and at its start."""

    bucket: int
    views: int
    likes: int
    comments: int
    shares: int
    saves: int
    reach: int


class AdTally(Row):
    """Ad numbers of a bucket in one currency."""

    bucket: int
    currency: str
    spend_minor: int
    impressions: int
    clicks: int
    conversions: float


class ReviewTally(Row):
    bucket: int
    count: int
    rating_sum: int


class InquiryTally(Row):
    """Inquiries received in a bucket, by their current status."""

    bucket: int
    status: str
    count: int


class BookingTally(Row):
    """Bookings made in a bucket and not cancelled, by the currency of their value; None for those without one. A series
    counts once, when it was made, and the values of its dates are added up."""

    bucket: int
    currency: str | None
    count: int
    value_minor: int


class Tallies(Row):
    growth: list[Growth]
    ads: list[AdTally]
    reviews: list[ReviewTally]
    inquiries: list[InquiryTally]
    bookings: list[BookingTally]


def _sum(column: str) -> str:
    """Capped at the largest bigint: no studio has larger figures."""
    return f"least(greatest(coalesce(sum({column}), 0), {-(2**63)}), {2**63 - 1})::bigint"


TOTALS = ("views", "likes", "comments", "shares", "saves", "reach")
GAINED = ", ".join(f"coalesce(m.{name}, 0)::numeric - coalesce(lag(m.{name}) OVER w, 0) AS {name}" for name in TOTALS)
"""Of a content between two edges: the last totals before each are enough, however often they were measured."""
SUMMED = ", ".join(f"{_sum(name)} AS {name}" for name in TOTALS)
CONVERSIONS = "coalesce(sum(least(greatest(m.conversions, -1e15), 1e15)), 0)"
"""Neither infinite nor NaN, which JSON cannot express."""
OF_SOURCE = (
    "(:platform::text IS NULL OR {0}.platform = :platform)"
    " AND (:connection::uuid IS NULL OR {0}.connection_id = :connection)"
)
BOOKED = f"b.status <> 'cancelled' AND b.skip_reason IS NULL AND b.event_type <> 'consultation' AND {counts('b')}"
"""What counts as a booking: a consultation does not."""
IS_LEAD = "i.certainty = 'lead' AND i.skip_reason IS NULL AND i.status NOT IN ('spam', 'not_a_lead')"
"""What counts as an inquiry: one that is perhaps a lead does not."""
COPIED = f"""
    b.ical_uid IS NOT NULL AND EXISTS (
        SELECT FROM {{booking}} AS o
        WHERE o.studio_id = b.studio_id AND o.ical_uid = b.ical_uid AND o.starts_at = b.starts_at
          AND (coalesce(o.series_id, ''), o.id) < (coalesce(b.series_id, ''), b.id) AND {BOOKED.replace("b.", "o.")}
    )
"""
"""Whether another booking is a copy of the same event from another calendar, and is the one that counts."""


def periods(edges: Sequence[datetime], days: Sequence[date]) -> dict[str, Any]:
    """The parameters of a tally: bucket n runs from edge n to edge n + 1, and `days` are the dates of the edges.

    The first and the last are also passed separately, so that the planner can estimate how much it will read.
    """
    return {
        "edges": list(edges),
        "start": edges[0],
        "end": edges[-1],
        "days": list(days),
        "first_day": days[0],
        "end_day": days[-1],
    }


def _bucket(moment: str) -> str:
    return f"width_bucket({moment}, {array_of('edges', 'timestamptz')}) AS bucket"


def _within(moment: str) -> str:
    return f"{moment} >= :start::timestamptz AND {moment} < :end::timestamptz"


def _before(table: str, moment: str) -> str:
    return f"(SELECT * FROM {table} WHERE {moment} < :as_of)"


def _as_known(table: str, unchanged: Sequence[str], restated: Sequence[str]) -> str:
    """The rows that existed before `as_of`, with the values they had then: the first of their replaced values since, if
    any.

    None of the `restated` columns may be null.
    """
    columns = [f"t.{name}" for name in unchanged] + [f"coalesce(was.{name}, t.{name}) AS {name}" for name in restated]
    return f"""(
            SELECT {", ".join(columns)}
            FROM {table} AS t
            LEFT JOIN LATERAL (
                SELECT * FROM {table}_restatement AS x
                WHERE x.studio_id = t.studio_id AND x.{table}_id = t.id AND x.valid_until >= :as_of
                ORDER BY x.valid_until LIMIT 1
            ) AS was ON true
            WHERE t.created_at < :as_of
        )"""


TALLIED = f"""
    WITH edges AS (
        SELECT e.at, e.number FROM unnest({array_of("edges", "timestamptz")}) WITH ORDINALITY AS e (at, number)
    ), gained AS (
        SELECT e.number - 1 AS bucket, {GAINED}
        FROM content AS c CROSS JOIN edges AS e
        LEFT JOIN LATERAL (
            SELECT * FROM {{content_metric}} AS x
            WHERE x.studio_id = c.studio_id AND x.content_id = c.id AND x.measured_at < e.at
            ORDER BY x.measured_at DESC LIMIT 1
        ) AS m ON true
        WHERE {OF_SOURCE.format("c")}
        WINDOW w AS (PARTITION BY c.id ORDER BY e.number)
    ), growth AS (
        SELECT bucket, {SUMMED} FROM gained WHERE bucket > 0 GROUP BY bucket
    ), ads AS (
        SELECT width_bucket(m.day, {array_of("days", "date")}) AS bucket, m.currency,
               {_sum("m.spend_minor")} AS "spendMinor",
               {_sum("m.impressions")} AS impressions, {_sum("m.clicks")} AS clicks, {CONVERSIONS} AS conversions
        FROM {{ad_metric}} AS m
        WHERE m.day >= :first_day::date AND m.day < :end_day::date AND m.campaign_id <> ALL (ARRAY(
            SELECT c.id FROM ad_campaign AS c WHERE ({OF_SOURCE.format("c")} AND {counts("c")}) IS NOT TRUE
        ))
        GROUP BY bucket, m.currency
    ), reviews AS (
        SELECT {_bucket("v.reviewed_at")}, count(*) AS count, sum(v.rating) AS "ratingSum"
        FROM {{review}} AS v
        WHERE {_within("v.reviewed_at")} AND {OF_SOURCE.format("v")}
        GROUP BY bucket
    ), inquiries AS (
        SELECT {_bucket("i.received_at")}, i.status, count(*) AS count
        FROM {{inquiry}} AS i
        WHERE {_within("i.received_at")} AND {IS_LEAD} AND {OF_SOURCE.format("i")}
        GROUP BY bucket, i.status
    ), first_of_series AS (
        SELECT DISTINCT ON (b.connection_id, b.series_id) b.id
        FROM {{booking}} AS b
        WHERE b.series_id IS NOT NULL AND {BOOKED} AND NOT ({COPIED}) AND {OF_SOURCE.format("b")}
        ORDER BY b.connection_id, b.series_id, b.booked_at, b.id
    ), bookings AS (
        SELECT {_bucket("b.booked_at")}, b.currency,
               count(*) FILTER (WHERE b.series_id IS NULL OR b.id IN (SELECT id FROM first_of_series)) AS count,
               {_sum("b.value_minor")} AS "valueMinor"
        FROM {{booking}} AS b
        WHERE {_within("b.booked_at")} AND {BOOKED} AND NOT ({COPIED}) AND {OF_SOURCE.format("b")}
        GROUP BY bucket, b.currency
    )
    SELECT json_build_object(
        'growth', (SELECT coalesce(json_agg(t), '[]') FROM growth AS t),
        'ads', (SELECT coalesce(json_agg(t), '[]') FROM ads AS t),
        'reviews', (SELECT coalesce(json_agg(t), '[]') FROM reviews AS t),
        'inquiries', (SELECT coalesce(json_agg(t), '[]') FROM inquiries AS t),
        'bookings', (SELECT coalesce(json_agg(t), '[]') FROM bookings AS t)
    )
"""

TALLY: Query[Tallies] = Query(TALLIED.format_map({table: table for table in SYNCED}), Tallies)
"""With the parameters of `periods`. Buckets are numbered from 1."""

TALLY_AS_OF: Query[Tallies] = Query(
    TALLIED.format(
        content_metric=_before("content_metric", "measured_at"),
        ad_metric=_as_known("ad_metric", SYNCED["ad_metric"].key, SYNCED["ad_metric"].restated),
        review=_as_known("review", ("connection_id", "platform", "reviewed_at"), ("rating",)),
        inquiry=_before("inquiry", "received_at"),
        booking=_before("booking", "booked_at"),
    ),
    Tallies,
)
"""The same as it was known just before the moment `as_of`. Statuses have no history: they are the current ones."""
