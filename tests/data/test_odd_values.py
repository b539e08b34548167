"""Values that PostgreSQL has and Python does not, read as the nearest possible value."""

from datetime import UTC, date, datetime

import pytest

from chalicelib.data.postgres.database import read
from chalicelib.data.postgres.query import Query, columns, one
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.errors import Unreadable
from tests.conftest import Database

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Part(Row):
    name: str
    at: Moment


class Odd(Row):
    """Each odd value with a normal one next to it."""

    name: str | None
    at: datetime | None
    day: date
    rate: float | None
    parts: list[Part]
    best: Part | None


def find(*, at: str, day: str, rate: str) -> Odd:
    part = "json_build_object('name', 'infinity', 'at', :at::timestamptz)"
    rows = "(SELECT 'NaN' AS name, :at::timestamptz AS at, :day::date AS day, :rate::float8 AS rate) AS o"
    shape = columns(Odd, "o", parts=f"json_build_array({part})", best=part)
    query: Query[Odd] = Query(one(f"SELECT {shape} FROM {rows}"), Odd)
    return read(None, query, at=at, day=day, rate=rate)


@pytest.mark.parametrize(
    ("at", "nearest"),
    [
        ("infinity", LAST),
        ("294276-12-31 23:59:59+00", LAST),
        ("10000-01-01 00:00:00+00", LAST),
        ("-infinity", FIRST),
        ("4713-01-01 00:00:00+00 BC", FIRST),
        ("0001-12-31 00:00:00+00 BC", FIRST),
    ],
)
def test_a_time_beyond_pythons_range_is_clamped(database: Database, at: str, nearest: datetime) -> None:
    found = find(at=at, day="2026-05-04", rate="0.5")
    assert found.at == nearest
    assert (found.parts, found.best) == ([Part(name="infinity", at=nearest)], Part(name="infinity", at=nearest))
    assert (found.name, found.day, found.rate) == ("NaN", date(2026, 5, 4), 0.5)


@pytest.mark.parametrize(
    ("day", "nearest"),
    [
        ("infinity", date.max),
        ("5874897-12-31", date.max),
        ("10000-01-01", date.max),
        ("-infinity", date.min),
        ("4713-01-01 BC", date.min),
    ],
)
def test_a_day_beyond_pythons_range_is_clamped(database: Database, day: str, nearest: date) -> None:
    assert find(at="2026-05-04 12:00:00+00", day=day, rate="0.5").day == nearest


@pytest.mark.parametrize(("rate", "nearest"), [("Infinity", 1e12), ("-Infinity", -1e12), ("NaN", 0.0)])
def test_a_number_that_json_lacks_becomes_finite(database: Database, rate: str, nearest: float) -> None:
    assert find(at="2026-05-04 12:00:00+00", day="2026-05-04", rate=rate).rate == nearest


def test_invalid_values_are_unreadable_and_not_quoted(database: Database) -> None:
    query: Query[Part] = Query("SELECT json_build_object('name', 1, 'at', 'private')", Part)
    with pytest.raises(Unreadable, match="name") as caught:
        read(None, query)
    assert "private" not in str(caught.value)


def test_a_row_that_fails_a_computation_is_unreadable(database: Database) -> None:
    query: Query[int] = Query("SELECT to_json(('private')::integer)", int)
    with pytest.raises(Unreadable, match="22P02") as caught:
        read(None, query)
    assert "private" not in str(caught.value)
    assert read(None, Query("SELECT '1'::json", int)) == 1
