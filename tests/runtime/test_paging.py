"""Pages of a list: a cursor is valid only for the list it was written for."""

import base64
import re
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, get_args
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.errors import AppError, BadRequest, InvalidInput
from chalicelib.runtime.paging import Cursor, ListQuery, Pages

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ID = UUID("01a22ce8-8f1d-7946-a109-04b93da8779a")
NOON = datetime(2026, 11, 18, 12, 0, 0, 123456, UTC)
quick = settings(derandomize=True, max_examples=200)


class Thing(msgspec.Struct, frozen=True):
    id: UUID
    at: datetime = NOON


class Key(NamedTuple):
    at: datetime
    id: UUID


class ThingQuery(ListQuery, kw_only=True, rename="camel", forbid_unknown_fields=True):
    color: str | None = None
    sort: Literal["at", "-at"] = "at"


def cursor_of(id: UUID, query: ListQuery | None = None, *name: str) -> str:
    things = [Thing(id), Thing(UUID(int=0))]
    query = msgspec.structs.replace(query or ListQuery(), limit=1)
    cursor = Pages(query, UUID, *(name or ("things",))).page_of(things, key=lambda thing: thing.id).next_cursor
    assert cursor is not None
    return cursor


def after(cursor: str, query: ListQuery | None = None, key_type: type[Any] = UUID, *name: str) -> Any:
    query = msgspec.structs.replace(query or ListQuery(), cursor=cursor)
    return Pages(query, key_type, *(name or ("things",))).after


def test_a_page_has_the_requested_size_and_says_if_there_are_more() -> None:
    things = [Thing(UUID(int=n)) for n in range(1, 6)]
    seen: list[Thing] = []
    query = ListQuery(limit=2)
    while True:
        pages = Pages(query, UUID, "things")
        rest = [thing for thing in things if pages.after is None or thing.id > pages.after]
        page = pages.page_of(rest[: pages.fetched], key=lambda thing: thing.id)
        seen += page.items
        if page.next_cursor is None:
            break
        assert len(page.items) == 2
        query = ListQuery(limit=2, cursor=page.next_cursor)
    assert seen == things
    assert Pages(ListQuery(), UUID, "things").page_of([], key=lambda thing: thing.id).items == []


@quick
@given(st.uuids())
def test_a_cursor_round_trips_its_key(last_id: UUID) -> None:
    cursor = cursor_of(last_id)
    assert after(cursor) == last_id
    meta = get_args(Cursor)[1]
    assert re.search(meta.pattern, cursor)
    assert len(cursor) <= meta.max_length


@quick
@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_key_may_be_a_value_and_an_id(at: datetime, id: UUID) -> None:
    pages = Pages(ListQuery(limit=1), Key, "things")
    page = pages.page_of([Thing(id, at), Thing(ID)], key=lambda thing: Key(thing.at, thing.id))
    assert page.next_cursor is not None
    assert after(page.next_cursor, None, Key) == (at, id)


def test_a_cursor_remains_valid_for_another_page_size() -> None:
    cursor = cursor_of(ID, ThingQuery(color="red"))
    assert after(cursor, ThingQuery(color="red", limit=7)) == ID


@pytest.mark.parametrize(
    ("query", "key_type", "name"),
    [
        (ThingQuery(color="blue"), UUID, ("things",)),
        (ThingQuery(), UUID, ("things",)),
        (ThingQuery(color="red", sort="-at"), UUID, ("things",)),
        (ListQuery(), UUID, ("things",)),
        (ThingQuery(color="red"), UUID, ("others",)),
        (ThingQuery(color="red"), UUID, ("things", "google")),
        (ThingQuery(color="red"), Key, ("others",)),
    ],
    ids=["filter", "no filter", "order", "query", "list", "path", "key"],
)
def test_a_cursor_of_another_list_filter_or_order_is_a_400(
    query: ListQuery, key_type: type[Any], name: tuple[str, ...]
) -> None:
    cursor = cursor_of(ID, ThingQuery(color="red"))
    with pytest.raises(BadRequest) as caught:
        after(cursor, query, key_type, *name)
    assert caught.value.code == "cursor_of_another_list"
    assert "another list" in caught.value.message


@quick
@given(st.one_of(st.text(), st.text(ALPHABET, max_size=60), st.binary().map(repr)))
@example("")
@example("=" * 22)
@example("A" * 22)
@example("\ud800" * 22)
@example("é" * 22)
@example("_" * 512)
def test_an_invalid_cursor_is_rejected_and_not_quoted(text: str) -> None:
    with pytest.raises((InvalidInput, BadRequest)) as caught:
        after(text)
    told = caught.value.message + "".join(problem.problem for problem in caught.value.fields)
    assert len(text) < 5 or text not in told


@quick
@given(st.uuids(), st.integers(0, 33), st.sampled_from(ALPHABET))
def test_a_changed_cursor_never_leads_to_the_same_key(last_id: UUID, place: int, letter: str) -> None:
    cursor = cursor_of(last_id)
    changed = cursor[:place] + letter + cursor[place + 1 :]
    try:
        assert changed == cursor or after(changed) != last_id
    except AppError:
        pass  # of another list, or not of ours


def test_another_encoding_of_the_same_cursor_is_rejected() -> None:
    cursor = cursor_of(UUID(bytes=b"\xfb" * 16))
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert set("-_") & set(cursor)
    as_text = base64.urlsafe_b64encode(raw[:8] + msgspec.msgpack.encode(ID)).decode().rstrip("=")
    for spelling in (base64.b64encode(raw).decode(), f"{cursor}==", f" {cursor}", raw.hex(), f"{cursor}\n", as_text):
        with pytest.raises(InvalidInput):
            after(spelling)
