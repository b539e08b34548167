"""The cursor codec: it reads what it wrote, and nothing else."""

import base64
import re
from typing import get_args
from uuid import UUID

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from chalicelib.api.paging import Cursor, decode_cursor, encode_cursor
from chalicelib.errors import InvalidInput

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
WRITTEN = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")
"""All that 16 bytes are ever written as: the last letter has two bits of theirs and four that are zero."""
quick = settings(derandomize=True, max_examples=200)


@quick
@given(st.uuids())
def test_a_cursor_leads_back_to_its_id(last_id: UUID) -> None:
    cursor = encode_cursor(last_id)
    assert decode_cursor(cursor) == last_id
    meta = get_args(Cursor)[1]
    assert re.search(meta.pattern, cursor)
    assert meta.min_length == len(cursor) == meta.max_length


@quick
@given(st.one_of(st.text(), st.text(ALPHABET, min_size=20, max_size=24), st.binary().map(repr)))
@example("")
@example("=" * 22)
@example("A" * 21 + "B")
@example("A" * 22 + "=")
@example("A" * 22 + "\n")
@example("\ud800" * 22)
@example("é" * 22)
def test_anything_else_is_refused_as_a_wrong_cursor(text: str) -> None:
    assume(not WRITTEN.fullmatch(text))
    with pytest.raises(InvalidInput) as caught:
        decode_cursor(text)
    assert [problem.field for problem in caught.value.fields] == ["cursor"]
    assert len(text) < 5 or text not in caught.value.fields[0].problem


@quick
@given(st.uuids(), st.integers(0, 21), st.sampled_from(ALPHABET))
def test_a_changed_cursor_never_leads_to_the_same_id(last_id: UUID, place: int, letter: str) -> None:
    cursor = encode_cursor(last_id)
    changed = cursor[:place] + letter + cursor[place + 1 :]
    assume(changed != cursor)
    try:
        assert decode_cursor(changed) != last_id
    except InvalidInput:
        pass  # the last letter holds four bits that are always zero


def test_another_spelling_of_the_same_id_is_refused() -> None:
    last_id = UUID(bytes=b"\xfb" * 16)
    cursor = encode_cursor(last_id)
    assert set("-_") & set(cursor)
    for spelling in (base64.b64encode(last_id.bytes).decode(), f"{cursor}==", f" {cursor}", str(last_id), last_id.hex):
        with pytest.raises(InvalidInput):
            decode_cursor(spelling)
