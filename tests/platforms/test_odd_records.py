"""Whatever a platform puts into a field of one record, the other records are unaffected."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from chalicelib.data.postgres.database import transaction
from chalicelib.data.sync import store
from chalicelib.platforms.core.items import LONGEST_ID, Items, SetAside, Skipped
from chalicelib.platforms.core.records import ThreadRecord
from chalicelib.platforms.registry import NAMES, get_platform
from chalicelib.services.leads.rows import Source
from chalicelib.services.leads.storing import store_threads
from chalicelib.services.streams import TABLES
from tests.conftest import Database
from tests.data.rows import connection_of, new_studio

PAYLOADS = Path(__file__).parent / "payloads"


class Reader(NamedTuple):
    """How a stream reads one of its record types."""

    stream: str
    items: Items[Any, Any]


READERS = [
    Reader(stream.name, items) for name in NAMES for stream in get_platform(name).streams for items in stream.items
]
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 12, 1.5, -0.0, 1e308, 2**31, 2**63, -(2**64), 10**30),
    *(
        "",
        " ",
        "null",
        "NULL",
        "0",
        "-1",
        "1.0E7",
        "NaN",
        "1e999",
        "\0",
        "a\0b",
        "\ud800",
        "é" * 40_000,
        "{}",
        "9" * 400,
    ),
    *("2026-11-30", "2026-02-30", "0000-00-00", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00", "today"),
    *([], [None], [[]], [0], ["a"], [{}], {}, {"a": None}, {"id": []}, [{"id": {}}]),
)
"""Every JSON type, absence (in `variants`), and the extremes of each."""


def example(reader: Reader) -> tuple[dict[str, Any], Any]:
    """A record with every field that platforms send, and the context it is read with."""
    match reader.stream:
        case "bookings":
            events = msgspec.json.decode((PAYLOADS / "google/events.json").read_bytes())["items"]
            return events[0], context_of(reader)
        case "inquiries":
            return msgspec.json.decode((PAYLOADS / "google/thread.json").read_bytes()), context_of(reader)
        case "campaigns":
            return msgspec.json.decode((PAYLOADS / "meta/campaigns.json").read_bytes())["data"][0], context_of(reader)
        case "ad_insights":
            return msgspec.json.decode((PAYLOADS / "meta/insights.json").read_bytes())["data"][0], context_of(reader)
    raise AssertionError(f"{reader.stream} has no example here")


KNOWN = {"currency": "EUR", "now": datetime(2026, 11, 30, tzinfo=UTC), "time_zone": "Europe/Berlin"}


def context_of(reader: Reader) -> Any:
    """The required fields of a context, filled."""
    required = [field for field in msgspec.structs.fields(reader.items.context) if field.required]
    return reader.items.context(**{field.name: KNOWN.get(field.name, "lena@example.com") for field in required})


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every position in a JSON value: each member and element, at every depth."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def put(item: dict[str, Any], path: tuple[Any, ...], odd: Any) -> dict[str, Any]:
    changed = deepcopy(item)
    parent: Any = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = odd
    return changed


def drop(item: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    changed = deepcopy(item)
    parent: Any = changed
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return changed


def variants(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in places(item):
        yield drop(item, path)
        yield from (put(item, path, odd) for odd in ODD)


def raw(item: Any) -> Raw:
    """As received: including escapes of lone surrogates, which our encoders would never write."""
    return Raw(json.dumps(item).encode())


def named(reader: Reader, item: dict[str, Any], name: str) -> dict[str, Any]:
    key = "campaign_id" if reader.stream == "ad_insights" else "id"
    return {**item, key: name}


def neighbours(reader: Reader, item: dict[str, Any]) -> list[Raw]:
    return [raw(named(reader, item, "before")), raw(named(reader, item, "after"))]


def number_stored(studio_id: UUID, reader: Reader, records: Sequence[Any]) -> int:
    connection_id = connection_of(studio_id)
    with transaction(studio_id) as tx:
        if reader.items.record is ThreadRecord:
            outcome = store_threads(tx, studio_id, Source(connection_id, "google"), records, {})
            return outcome.created + outcome.updated + outcome.unchanged
        source: dict[str, Any] = {"connection_id": connection_id, "account_id": studio_id}
        stored = store.upsert(tx, TABLES[reader.items.record], studio_id, "google", records, **source)
    return stored.created + stored.unchanged + stored.updated


@pytest.fixture
def studio_id(clean_database: Database) -> UUID:
    return new_studio()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: f"{reader.stream}-{reader.items.record.__name__}")
def test_every_odd_value_in_every_field_leaves_other_records_alone(reader: Reader, studio_id: UUID) -> None:
    item, context = example(reader)
    before, after = neighbours(reader, item)
    odd = [raw(variant) for variant in variants(item)]
    batch = reader.items.read([before, *odd, after], context)
    alone = reader.items.read([before, after], context)
    assert len(alone.records) == 2
    assert [record for record in batch.records if record in alone.records] == alone.records
    assert number_stored(studio_id, reader, batch.records) >= 2
    assert batch.set_aside
    for each in batch.set_aside:
        assert each.reason
        assert 0 < len(each.external_id) <= LONGEST_ID


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: f"{reader.stream}-{reader.items.record.__name__}")
@given(data=st.data())
def test_any_value_in_any_field_leaves_other_records_alone(reader: Reader, data: st.DataObject) -> None:
    item, context = example(reader)
    path = data.draw(st.sampled_from(list(places(item))))
    odd = raw(put(item, path, data.draw(ANY_JSON)))
    before, after = neighbours(reader, item)
    batch = reader.items.read([before, odd, after], context)
    outcomes = [*batch.records, *batch.skipped, *batch.set_aside, *batch.gone]
    assert len(batch.records) >= 2
    assert 2 <= len(outcomes) <= 3


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: f"{reader.stream}-{reader.items.record.__name__}")
@pytest.mark.parametrize("whole", [None, True, 5, "text", [], [[]], {}])
def test_an_item_that_is_not_a_record_is_set_aside_or_skipped(reader: Reader, whole: Any) -> None:
    _, context = example(reader)
    outcome = reader.items.read_one(raw(whole), context)
    assert isinstance(outcome, SetAside | Skipped)
    assert outcome.external_id


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: f"{reader.stream}-{reader.items.record.__name__}")
def test_a_set_aside_record_can_be_read_again_from_its_stored_content(reader: Reader) -> None:
    item, context = example(reader)
    outcome = reader.items.read_one(raw({**item, "id": [], "campaign_id": []}), context)
    assert isinstance(outcome, SetAside)
    assert reader.items.read_again(outcome.content) == outcome
    assert "content" not in repr(outcome)
