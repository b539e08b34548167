"""What the vault seals can be opened in its own place, and nowhere else."""

import itertools
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import DecryptionFailed, InvalidInput, SettingsError
from chalicelib.secret import Secret
from chalicelib.security.key_providers import RawKeyProvider
from chalicelib.security.vault import MAX_SECRET_BYTES, AssociatedData, Vault, WrappedKey
from tests.security.keyring import CANARY, PLACE, STUDIO, Keyring, new_key

OTHER_STUDIO = UUID(int=2)
ROOT = Path(__file__).parents[2]
PROVIDER = RawKeyProvider(Secret(os.urandom(32).hex()))
VAULT = Vault(PROVIDER)
KEY = new_key(VAULT)

tokens = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: len(text.encode()) <= 16384)
names = st.text(max_size=20)
places = st.builds(AssociatedData, st.uuids(), names, names, st.uuids(), st.integers(0, 2**63 - 1))


@given(tokens)
def test_a_sealed_token_is_opened_unchanged(token: str) -> None:
    sealed = VAULT.seal(Secret(token), [KEY], PLACE)

    assert VAULT.open(sealed, [KEY], PLACE).reveal() == token
    assert len(sealed) == 45 + len(token.encode())


@given(st.uuids(), names, names, st.uuids(), st.integers(0, 2**63 - 1))
def test_a_token_can_be_sealed_for_every_place(
    studio_id: UUID, table: str, column: str, row_id: UUID, generation: int
) -> None:
    keyring = Keyring()
    vault = Vault(keyring)
    key = new_key(vault, studio_id)
    place = AssociatedData(studio_id, table, column, row_id, generation)

    assert vault.open(vault.seal(Secret(CANARY), [key], place), [key], place).reveal() == CANARY


@given(places, places)
def test_two_places_never_have_the_same_associated_data(one: AssociatedData, other: AssociatedData) -> None:
    assert (one.encoded() == other.encoded()) == (one == other)


@given(st.text(min_size=2, max_size=12), st.data())
def test_shifting_characters_from_table_to_column_is_another_place(text: str, data: st.DataObject) -> None:
    cuts = st.integers(0, len(text))
    one, other = data.draw(cuts), data.draw(cuts)
    encoded = [AssociatedData(STUDIO, text[:cut], text[cut:], UUID(int=3), 0).encoded() for cut in (one, other)]

    assert (encoded[0] == encoded[1]) == (one == other)


def test_sealing_a_token_twice_gives_different_ciphertexts() -> None:
    assert VAULT.seal(Secret(CANARY), [KEY], PLACE) != VAULT.seal(Secret(CANARY), [KEY], PLACE)


def test_a_sealed_token_names_its_data_key_and_contains_no_plaintext() -> None:
    sealed = VAULT.seal(Secret(CANARY), [KEY], PLACE)

    assert VAULT.data_key_id(sealed) == KEY.id
    assert sealed[0] == 1
    assert sealed[1:17] == KEY.id.bytes
    assert CANARY.encode() not in sealed


def test_a_sealed_value_with_any_flipped_bit_cannot_be_opened() -> None:
    sealed = VAULT.seal(Secret(CANARY), [KEY], PLACE)
    for position, bit in itertools.product(range(len(sealed)), range(8)):
        damaged = bytearray(sealed)
        damaged[position] ^= 1 << bit
        with pytest.raises(DecryptionFailed):
            VAULT.open(bytes(damaged), [KEY], PLACE)


@given(st.data())
def test_a_shortened_or_lengthened_sealed_value_cannot_be_opened(data: st.DataObject) -> None:
    sealed = VAULT.seal(Secret(CANARY), [KEY], PLACE)
    changed = data.draw(
        st.one_of(
            st.integers(0, len(sealed) - 1).map(lambda end: sealed[:end]),
            st.binary(min_size=1, max_size=40).map(lambda tail: sealed + tail),
        )
    )
    with pytest.raises(DecryptionFailed):
        VAULT.open(changed, [KEY], PLACE)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_only_decryption_failed(junk: bytes) -> None:
    for attempt in (junk, b"\x01" + KEY.id.bytes + junk):
        with pytest.raises(DecryptionFailed):
            VAULT.open(attempt, [KEY], PLACE)


@pytest.mark.parametrize(
    "moved",
    [
        PLACE._replace(table="oauth_state"),
        PLACE._replace(column="refresh_token"),
        PLACE._replace(row_id=UUID(int=4)),
        PLACE._replace(generation=8),
        PLACE._replace(studio_id=OTHER_STUDIO),
    ],
    ids=["table", "column", "row", "generation", "studio"],
)
def test_a_ciphertext_moved_to_another_place_cannot_be_opened(moved: AssociatedData) -> None:
    sealed = VAULT.seal(Secret(CANARY), [KEY], PLACE)

    with pytest.raises(DecryptionFailed):
        VAULT.open(sealed, [KEY], moved)


def test_a_ciphertext_moved_to_another_studio_cannot_be_opened_with_either_key() -> None:
    sealed = VAULT.seal(Secret(CANARY), [KEY], PLACE)
    theirs = new_key(VAULT, OTHER_STUDIO)
    relabelled = bytes([1]) + theirs.id.bytes + sealed[17:]
    moved = PLACE._replace(studio_id=OTHER_STUDIO)

    for attempt, key in ((sealed, theirs), (sealed, KEY), (relabelled, theirs)):
        with pytest.raises(DecryptionFailed):
            VAULT.open(attempt, [key], moved)


def test_the_place_alone_separates_studios_that_share_a_data_key() -> None:
    keyring = Keyring()
    vault = Vault(keyring)
    ours, data_key = new_key(vault), os.urandom(32)
    theirs = WrappedKey(ours.id, OTHER_STUDIO, b"theirs")
    keyring.keys |= {ours.wrapped: (data_key, STUDIO), theirs.wrapped: (data_key, OTHER_STUDIO)}
    sealed = vault.seal(Secret(CANARY), [ours], PLACE)

    for place in (PLACE, PLACE._replace(studio_id=OTHER_STUDIO)):
        with pytest.raises(DecryptionFailed):
            vault.open(sealed, [theirs], place)


def test_a_data_key_stored_for_another_studio_cannot_open_even_while_cached() -> None:
    sealed = VAULT.seal(Secret(CANARY), [KEY], PLACE)
    theirs = PLACE._replace(studio_id=OTHER_STUDIO)

    with pytest.raises(DecryptionFailed):
        VAULT.open(sealed, [KEY], theirs)
    with pytest.raises(DecryptionFailed):
        VAULT.seal(Secret(CANARY), [KEY], theirs)


def test_sealing_with_another_studios_data_key_is_refused() -> None:
    with pytest.raises(DecryptionFailed):
        VAULT.seal(Secret(CANARY), [new_key(VAULT, OTHER_STUDIO)], PLACE)


def test_another_data_key_of_the_same_studio_cannot_open() -> None:
    sealed = VAULT.seal(Secret(CANARY), [KEY], PLACE)
    other = new_key(VAULT)

    for key in (other, WrappedKey(KEY.id, STUDIO, other.wrapped), WrappedKey(other.id, STUDIO, KEY.wrapped)):
        with pytest.raises(DecryptionFailed):
            VAULT.open(sealed, [key], PLACE)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_an_unknown_version_is_refused_first(version: int) -> None:
    sealed = bytes([version]) + VAULT.seal(Secret(CANARY), [KEY], PLACE)[1:]

    with pytest.raises(DecryptionFailed, match=f"unknown version {version}"):
        VAULT.data_key_id(sealed)
    with pytest.raises(DecryptionFailed, match=f"unknown version {version}"):
        VAULT.open(sealed, [KEY], PLACE)


@pytest.mark.parametrize("size", [1, MAX_SECRET_BYTES])
def test_a_token_up_to_the_limit_is_sealed(size: int) -> None:
    assert VAULT.open(VAULT.seal(Secret("x" * size), [KEY], PLACE), [KEY], PLACE).reveal() == "x" * size


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("", "must not be empty"),
        ("x" * (MAX_SECRET_BYTES + 1), "at most 16384 bytes"),
        ("\u00e9" * (MAX_SECRET_BYTES // 2 + 1), "at most 16384 bytes"),
        ("canary\udc00", "valid text"),
    ],
)
def test_invalid_tokens_are_refused(token: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem) as refused:
        VAULT.seal(Secret(token), [KEY], PLACE)

    assert refused.value.__context__ is None
    assert "canary" not in refused.value.message


def test_no_error_contains_the_token_or_the_key() -> None:
    keyring = Keyring()
    vault = Vault(keyring)
    key = new_key(vault)
    sealed = vault.seal(Secret(CANARY), [key], PLACE)
    with pytest.raises(DecryptionFailed) as broken:
        vault.open(sealed, [key], PLACE._replace(generation=0))
    error: BaseException | None = broken.value
    told = ""
    while error is not None:
        told += f"{error!r} {error} {error.args} {getattr(error, 'message', '')}"
        error = error.__cause__ or error.__context__

    data_key = keyring.keys[key.wrapped][0]
    assert CANARY not in told
    assert data_key.hex() not in told
    assert repr(data_key) not in told


def test_no_repr_of_the_vault_or_a_wrapped_key_shows_key_material() -> None:
    vault = Vault(PROVIDER)
    vault.seal(Secret(CANARY), [KEY], PLACE)

    assert repr(vault) == str(vault) == "Vault(raw)"
    assert repr(KEY.wrapped) not in repr(KEY)
    assert "wrapped=" not in repr(KEY)


@pytest.mark.parametrize("dump", [pickle.dumps, Vault.__reduce__])
def test_a_vault_cannot_be_pickled(dump: Callable[[Vault], object]) -> None:
    with pytest.raises(TypeError, match="must not leave the process"):
        dump(VAULT)


def test_new_keys_differ_and_are_wrapped() -> None:
    keyring = Keyring()
    vault = Vault(keyring)
    plaintexts = [keyring.keys[vault.new_key(STUDIO)][0] for _ in range(3)]

    assert len(set(plaintexts)) == 3
    assert {len(key) for key in plaintexts} == {32}
    assert keyring.unwrapped == []


def test_a_data_key_of_another_length_is_refused() -> None:
    keyring = Keyring()
    keyring.keys[b"short"] = os.urandom(16), STUDIO

    with pytest.raises(DecryptionFailed, match="not 256 bits"):
        Vault(keyring).seal(Secret(CANARY), [WrappedKey(uuid4(), STUDIO, b"short")], PLACE)


def test_a_rewrapped_key_opens_what_it_sealed_before() -> None:
    sealed = VAULT.seal(Secret(CANARY), [KEY], PLACE)
    rewrapped = WrappedKey(KEY.id, STUDIO, VAULT.rewrap(KEY, STUDIO))

    assert rewrapped.wrapped != KEY.wrapped
    assert Vault(PROVIDER).open(sealed, [rewrapped], PLACE).reveal() == CANARY


def test_a_rewrapped_key_that_unwraps_to_a_different_key_is_refused() -> None:
    keyring = Keyring()
    vault = Vault(keyring)
    key = new_key(vault)
    keyring.unwraps_as = bytes(32)

    with pytest.raises(SettingsError, match="unwrapped to a different key"):
        vault.rewrap(key, STUDIO)


def test_wrapping_keys_are_always_listed_in_the_same_order() -> None:
    keyring = Keyring()
    keyring.key_names = ("b", "a")

    assert Vault(keyring).wrapped_under == ["a", "b"]


def test_rewrapping_another_studios_key_is_refused() -> None:
    with pytest.raises(DecryptionFailed):
        VAULT.rewrap(KEY, OTHER_STUDIO)


def test_importing_the_vault_loads_neither_boto3_nor_the_encryption_sdk() -> None:
    script = (
        "import sys, chalicelib.security.vault, chalicelib.security.key_providers, chalicelib.security.api_keys\n"
        "print([name for name in ('boto3', 'botocore', 'aws_encryption_sdk', 'sqlalchemy') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
