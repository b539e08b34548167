"""API keys: one spelling, a hash that reveals nothing, scopes checked by name."""

import re
import string
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.security.api_keys import SCOPES, UNKNOWN_HASH, allows, matches, new_api_key, parse

KEY_ID = UUID("0198c0de-0000-7000-8000-000000000001")
HEX_ID, HEX_SECRET = KEY_ID.hex, "0123456789abcdef" * 4


def test_a_new_key_is_found_by_its_id_and_matches_its_hash() -> None:
    made = new_api_key(KEY_ID)
    parsed = parse(made.token.reveal())

    assert parsed is not None
    assert parsed.id == made.id == KEY_ID
    assert matches(parsed, made.secret_hash)


def test_a_key_without_a_given_id_gets_a_new_one() -> None:
    assert new_api_key().id != new_api_key().id


def test_the_token_has_the_documented_format_and_256_random_bits() -> None:
    tokens = [new_api_key(KEY_ID).token.reveal() for _ in range(2)]

    assert all(re.fullmatch(rf"ansel_{HEX_ID}_[0-9a-f]{{64}}", token) for token in tokens)
    assert tokens[0] != tokens[1]


def test_neither_the_key_nor_its_parsed_form_shows_the_secret() -> None:
    made = new_api_key(KEY_ID)
    secret = made.token.reveal().rsplit("_", 1)[1]

    assert secret not in repr(made)
    assert secret not in made.secret_hash.hex()
    assert "secret_hash" not in repr(parse(made.token.reveal()))


def test_a_different_secret_does_not_match() -> None:
    made, other = new_api_key(KEY_ID), new_api_key(KEY_ID)
    parsed = parse(other.token.reveal())

    assert parsed is not None
    assert not matches(parsed, made.secret_hash)


def test_a_hash_copied_to_another_keys_row_does_not_match() -> None:
    made = new_api_key(KEY_ID)
    moved = parse(made.token.reveal().replace(HEX_ID, uuid4().hex))

    assert moved is not None
    assert not matches(moved, made.secret_hash)


def test_no_key_matches_the_hash_of_an_unknown_one() -> None:
    parsed = parse(new_api_key().token.reveal())

    assert parsed is not None
    assert len(UNKNOWN_HASH) == len(parsed.secret_hash)
    assert not matches(parsed, UNKNOWN_HASH)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ansel__",
        f"ansel_{HEX_ID}",
        f"ansel_{HEX_ID}_",
        f"ansel_{HEX_ID}_{HEX_SECRET[:-1]}",
        f"ansel_{HEX_ID}_{HEX_SECRET}0",
        f"ansel_{HEX_ID}_{HEX_SECRET}\n",
        f" ansel_{HEX_ID}_{HEX_SECRET}",
        f"Ansel_{HEX_ID}_{HEX_SECRET}",
        f"ansel_{HEX_ID.upper()}_{HEX_SECRET}",
        f"ansel_{HEX_ID}_{HEX_SECRET.upper()}",
        f"ansel_{KEY_ID}_{HEX_SECRET}",
        f"ansel_{HEX_ID[:-1]}g_{HEX_SECRET}",
        f"ansel_{HEX_ID[:-1]}\u0661_{HEX_SECRET}",
        f"Bearer ansel_{HEX_ID}_{HEX_SECRET}",
        f"ansel_{HEX_ID}_{HEX_SECRET}\0",
        "ansel_" + "0" * 1_000_000,
    ],
)
def test_malformed_keys_are_rejected(text: str) -> None:
    assert parse(f"ansel_{HEX_ID}_{HEX_SECRET}") is not None
    assert parse(text) is None


@given(st.one_of(st.text(st.characters(exclude_categories=())), st.text("ansel_" + string.hexdigits, max_size=110)))
def test_parsing_never_raises(text: str) -> None:
    parse(text)


@pytest.mark.parametrize("needed", SCOPES)
def test_a_scope_allows_itself_and_nothing_else(needed: str) -> None:
    assert allows([needed], needed)
    assert not allows([scope for scope in SCOPES if scope not in (needed, "admin")], needed)
    assert not allows([], needed)


@pytest.mark.parametrize("needed", SCOPES)
def test_admin_allows_every_scope(needed: str) -> None:
    assert allows(frozenset({"admin"}), needed)


@pytest.mark.parametrize("needed", ["", "connections", "connections:*", "metrics:write", "Admin"])
def test_no_key_has_a_scope_that_does_not_exist(needed: str) -> None:
    assert not allows(["admin", needed], needed)
