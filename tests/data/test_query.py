"""Statements as written, and the structs that their one row of JSON becomes."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from chalicelib.data.postgres.database import read
from chalicelib.data.postgres.query import Query, array_of, columns, many, one, to_json
from chalicelib.data.postgres.rows import Row
from chalicelib.errors import Unreadable
from tests.conftest import Database

MOMENT = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)
KEY = UUID("0198f3a0-0000-7000-8000-000000000001")


class Sample(Row):
    row_key: UUID
    sealed: bytes
    missing: bytes | None
    happened_at: datetime
    words: list[str]
    rate: float


VALUES = f"""
    (SELECT :row_key::uuid AS row_key, :sealed::bytea AS sealed, NULL::bytea AS missing,
            :happened_at::timestamptz AS happened_at, {array_of("words")} AS words, 0.1::double precision AS rate) AS s
"""
SAMPLE = Sample(row_key=KEY, sealed=bytes(range(256)) * 4, missing=None, happened_at=MOMENT, words=["ü", '"'], rate=0.1)


def values(sample: Sample) -> dict[str, object]:
    return {name: getattr(sample, name) for name in ("row_key", "sealed", "happened_at", "words")}


def test_a_row_becomes_its_struct(database: Database) -> None:
    query: Query[Sample] = Query(one(f"SELECT {columns(Sample, 's')} FROM {VALUES}"), Sample)
    assert read(None, query, **values(SAMPLE)) == SAMPLE


def test_rows_become_a_list_in_the_selects_order(database: Database) -> None:
    numbers: Query[list[dict[str, int]]] = Query(
        many("SELECT n FROM generate_series(1, 3) AS n ORDER BY n DESC"), list[dict[str, int]]
    )
    assert read(None, numbers) == [{"n": 3}, {"n": 2}, {"n": 1}]


def test_no_row_is_none_or_an_empty_list(database: Database) -> None:
    nothing = "SELECT 1 AS n WHERE false"
    maybe: Query[dict[str, int] | None] = Query(one(nothing), dict[str, int] | None)
    some: Query[list[dict[str, int]]] = Query(many(nothing), list[dict[str, int]])
    assert read(None, maybe) is None
    assert read(None, some) == []


def test_a_row_of_another_shape_is_rejected_by_field(database: Database) -> None:
    query: Query[Sample] = Query(one("SELECT 'not a key' AS \"rowKey\""), Sample)
    with pytest.raises(Unreadable, match="rowKey"):
        read(None, query)


def test_a_column_has_its_wire_name_and_may_be_computed() -> None:
    class Named(Row):
        first_name: str
        is_new: bool

    selected = columns(Named, "t", is_new="t.seen_at IS NULL")
    assert selected == 't.first_name AS "firstName", t.seen_at IS NULL AS "isNew"'


def test_a_parameter_used_twice_is_sent_once() -> None:
    query: Query[None] = Query("SELECT :a::int + :b::int + :a::int")
    assert query.sql == "SELECT $1::int + $2::int + $1::int"
    assert list(query.values({"a": 1, "b": 2})) == [1, 2]


SPELLINGS = [
    "null",
    "NULL",
    "Null",
    '"null"',
    "'null'",
    "{null}",
    "{}",
    "\\N",
    "\\",
    "",
    " ",
    "a,b",
    '"',
    "ünïcode 日本",
]


def test_a_list_of_texts_round_trips(database: Database) -> None:
    query: Query[list[str] | None] = Query(f"SELECT to_json({array_of('words')})", list[str] | None)
    assert read(None, query, words=SPELLINGS) == SPELLINGS
    for word in SPELLINGS:
        assert read(None, query, words=[word]) == [word]
    assert read(None, query, words=[]) == []
    assert read(None, query, words=None) is None


NULS = ["\0", "a\0b", r"\u0000", "\\\0", r"\\u0000", "\\\\\0\0", '"\0"']


@pytest.mark.parametrize("text", NULS, ids=range(len(NULS)))
def test_a_nul_is_replaced(database: Database, text: str) -> None:
    words: Query[list[str]] = Query(f"SELECT to_json({array_of('words')})", list[str])
    word: Query[str] = Query("SELECT to_json(:word::text)", str)
    rows: Query[list[str]] = Query("SELECT json_agg(r) FROM json_array_elements_text(:rows::json) AS r", list[str])
    expected = text.replace("\0", "\ufffd")
    assert read(None, words, words=[text, "b"]) == [expected, "b"]
    assert read(None, word, word=text) == expected
    assert read(None, rows, rows=to_json([text])) == [expected]


@pytest.mark.parametrize(
    ("kind", "values"), [("integer", [3, -1]), ("uuid", [KEY]), ("timestamptz", [MOMENT]), ("date", [MOMENT.date()])]
)
def test_a_list_of_other_values_round_trips(database: Database, kind: str, values: list[object]) -> None:
    query: Query[list[object]] = Query(f"SELECT to_json({array_of('values', kind)})", list[type(values[0])])  # type: ignore[misc]
    assert read(None, query, values=values) == values


def test_a_list_cannot_contain_none(database: Database) -> None:
    query: Query[list[str]] = Query(f"SELECT to_json({array_of('words')})", list[str])
    with pytest.raises(TypeError):
        read(None, query, words=["a", None])
