"""The product's clock, and the sandbox's, when they are fixed."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

from chalicelib import clock
from dev.sandbox import Sandbox
from tests.conftest import NOON, TODAY

LEAP_DAY = datetime.fromisoformat("2028-02-29T23:59:59+00:00")


def test_a_fixed_clock_applies_to_every_thread() -> None:
    with clock.at(LEAP_DAY), ThreadPoolExecutor(1) as pool:
        # today: it is what this test is about
        assert {clock.now(), pool.submit(clock.now).result()} == {LEAP_DAY}


def test_the_clock_is_restored_however_its_block_ends() -> None:
    with clock.at(NOON):
        with suppress(KeyError), clock.at(LEAP_DAY):
            raise KeyError
        assert clock.now() == NOON  # today: it is what this test is about
    assert clock.now() not in (NOON, LEAP_DAY)  # today: it is what this test is about


def test_a_sandbox_of_a_fixed_day_uses_that_day() -> None:
    with Sandbox(today=TODAY) as sandbox:
        sent = int(sandbox.google.add_message()["internalDate"])
        first, second = (sandbox.google.add_event()["updated"] for _ in range(2))
    assert 0 <= sent - NOON.timestamp() * 1000 < timedelta(hours=1).total_seconds() * 1000
    assert f"{TODAY}T12" < first < second < f"{TODAY}T13"
