"""Data keys are cached unwrapped, limited in time and number, and unwrapped only once."""

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest

from chalicelib.errors import Unavailable
from chalicelib.secret import Secret
from chalicelib.security.vault import Vault
from tests.security.keyring import CANARY, PLACE, Keyring, new_key


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_data_key_is_unwrapped_once_for_many_tokens() -> None:
    keyring = Keyring()
    vault = Vault(keyring)
    key = new_key(vault)
    for _ in range(100):
        vault.open(vault.seal(Secret(CANARY), [key], PLACE), [key], PLACE)

    assert keyring.unwrapped == [key.wrapped]


def test_an_unwrapped_key_is_cached_only_for_the_given_time() -> None:
    keyring, clock = Keyring(), Clock()
    vault = Vault(keyring, cache_seconds=300, monotonic=clock)
    key = new_key(vault)
    sealed = vault.seal(Secret(CANARY), [key], PLACE)
    clock.now += 299.9
    vault.open(sealed, [key], PLACE)
    assert len(keyring.unwrapped) == 1

    clock.now += 0.1
    vault.open(sealed, [key], PLACE)
    assert len(keyring.unwrapped) == 2


def test_a_destroyed_data_key_stops_opening_once_its_cache_entry_expires() -> None:
    keyring, clock = Keyring(), Clock()
    vault = Vault(keyring, cache_seconds=300, monotonic=clock)
    key = new_key(vault)
    sealed = vault.seal(Secret(CANARY), [key], PLACE)
    clock.now += 301
    keyring.broken = True

    with pytest.raises(Unavailable):
        vault.open(sealed, [key], PLACE)


def test_the_cache_is_bounded_and_evicts_the_oldest_key_first() -> None:
    keyring = Keyring()
    vault = Vault(keyring, cache_size=2)
    keys = [new_key(vault) for _ in range(3)]
    for key in keys:
        vault.seal(Secret(CANARY), [key], PLACE)
    keyring.unwrapped.clear()
    for key in reversed(keys):
        vault.seal(Secret(CANARY), [key], PLACE)

    assert keyring.unwrapped == [keys[0].wrapped]


def test_a_failed_unwrap_is_not_cached() -> None:
    keyring = Keyring()
    vault = Vault(keyring)
    key = new_key(vault)
    keyring.broken = True
    with pytest.raises(Unavailable):
        vault.seal(Secret(CANARY), [key], PLACE)
    keyring.broken = False

    assert vault.open(vault.seal(Secret(CANARY), [key], PLACE), [key], PLACE).reveal() == CANARY


def test_sixteen_threads_that_need_the_same_key_unwrap_it_once() -> None:
    gathered = Barrier(16)

    class Slow(Keyring):
        def unwrap(self, wrapped: bytes, studio_id: UUID) -> bytes:
            time.sleep(0.05)  # so that every thread asks before the first gets its result
            return super().unwrap(wrapped, studio_id)

    keyring = Slow()
    vault = Vault(keyring)
    key = new_key(vault)

    def first_use(number: int) -> str:
        gathered.wait(timeout=10)
        return vault.open(vault.seal(Secret(f"token-{number}"), [key], PLACE), [key], PLACE).reveal()

    with ThreadPoolExecutor(16) as threads:
        opened = list(threads.map(first_use, range(16)))

    assert opened == [f"token-{number}" for number in range(16)]
    assert keyring.unwrapped == [key.wrapped]


def test_a_slow_unwrap_for_one_studio_does_not_delay_another() -> None:
    both_inside = Barrier(2)

    class Slow(Keyring):
        def unwrap(self, wrapped: bytes, studio_id: UUID) -> bytes:
            both_inside.wait(timeout=10)
            return super().unwrap(wrapped, studio_id)

    vault = Vault(Slow())
    keys = [new_key(vault) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        sealed = list(threads.map(lambda key: vault.seal(Secret(CANARY), [key], PLACE), keys))

    assert [vault.data_key_id(each) for each in sealed] == [key.id for key in keys]
