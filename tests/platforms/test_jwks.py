"""A platform's keys: cached as long as it says, fetched again for an unknown key, and rarely while fetching fails."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise

import pytest

from chalicelib import clock, logs
from chalicelib.errors import CircuitOpen, ContractChanged, PlatformError, TransientFault
from chalicelib.platforms.core.jwks import (
    FIRST_RETRY_SECONDS,
    LONGEST_RETRY_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    STALE_SECONDS,
    KeySet,
)
from chalicelib.platforms.core.transport import Transport
from tests.conftest import NOON, LogLines
from tests.http_fake import Fake, Reply, http_fake

URL = "https://keys.example/certs"
PATH = "/keys.example/certs"
ONE, TWO = ({"kid": kid, "kty": "RSA", "n": "AQAB", "e": "AQAB"} for kid in ("one", "two"))
DOWN = Reply(status=503)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with http_fake() as fake:
        yield fake


class Time:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.now)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    return Time(monkeypatch)


def transport(fake: Fake) -> Transport:
    return Transport(title="Example", hosts=frozenset({"keys.example"}), sandbox_url=fake.url)


def keys(*found: object, max_age: str = "max-age=3600") -> Reply:
    return Reply({"keys": list(found)}, headers={"Cache-Control": f"public, {max_age}, must-revalidate"})


def test_keys_are_cached_as_long_as_the_platform_says(fake: Fake, time: Time) -> None:
    fake.on(PATH, keys(ONE))
    known = KeySet(URL)
    for later in (0, 3599):
        time.now = 1000 + later
        assert known.find("one", transport(fake)) == ONE
    assert len(fake.requests) == 1
    time.now = 1000 + 3600
    assert known.find("one", transport(fake)) == ONE
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("max_age", "seconds"),
    [("max-age=5", SHORTEST_SECONDS), ("no-cache", SHORTEST_SECONDS), ("max-age=999999999", LONGEST_SECONDS)],
)
def test_the_cache_time_has_limits(fake: Fake, time: Time, max_age: str, seconds: float) -> None:
    fake.on(PATH, keys(ONE, max_age=max_age))
    known = KeySet(URL)
    for later, requests in ((0, 1), (seconds - 1, 1), (seconds, 2)):
        time.now = 1000 + later
        known.find("one", transport(fake))
        assert len(fake.requests) == requests


def test_a_new_key_is_found_within_a_minute(fake: Fake, time: Time) -> None:
    fake.on(PATH, keys(ONE), keys(ONE, TWO))
    known = KeySet(URL)
    assert known.find("two", transport(fake)) is None
    time.now += SHORTEST_SECONDS - 1
    assert known.find("two", transport(fake)) is None
    time.now += 1
    assert known.find("two", transport(fake)) == TWO
    assert len(fake.requests) == 2


def test_a_withdrawn_key_is_gone_after_the_next_fetch(fake: Fake, time: Time) -> None:
    fake.on(PATH, keys(ONE), keys(TWO))
    known = KeySet(URL)
    assert known.find("one", transport(fake)) == ONE
    time.now += 3600
    assert known.find("one", transport(fake)) is None


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (DOWN, TransientFault),
        (Reply(breaks=True), TransientFault),
        (Reply(status=404), ContractChanged),
        (Reply({"certs": []}), ContractChanged),
        (Reply({"keys": []}), ContractChanged),
        (Reply({"keys": [None, {"kid": "two"}]}), ContractChanged),
        (Reply(body=b"\xff"), TransientFault),
        (Reply(body=b'{"keys": ' + b"[" * 50_000), ContractChanged),
    ],
)
def test_a_response_without_keys_is_an_error_and_keeps_the_cached_ones(
    fake: Fake, time: Time, reply: Reply, error: type[Exception]
) -> None:
    fake.on(PATH, keys(ONE), reply)
    known = KeySet(URL)
    assert known.find("one", transport(fake)) == ONE
    time.now += SHORTEST_SECONDS
    with pytest.raises(error):
        known.find("two", transport(fake))
    assert known.find("one", transport(fake)) == ONE


def refused(known: KeySet, key_id: str, fake: Fake) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        known.find(key_id, transport(fake))
    return caught.value


def test_a_failing_platform_is_called_less_and_less_often(fake: Fake, time: Time) -> None:
    fake.on(PATH, DOWN)
    known, asked_at = KeySet(URL), []
    for _ in range(1500):
        before = len(fake.requests)
        refused(known, f"invented {time.now}", fake)
        if len(fake.requests) > before:
            asked_at.append(time.now)
        time.now += 1
    waits = [later - earlier for earlier, later in pairwise(asked_at)]
    doubled = [FIRST_RETRY_SECONDS * 2**failures for failures in range(6)]
    assert waits[:6] == doubled
    assert set(waits[6:]) == {LONGEST_RETRY_SECONDS}


def test_an_error_during_backoff_says_when_the_next_fetch_is(fake: Fake, time: Time) -> None:
    fake.on(PATH, DOWN)
    known = KeySet(URL)
    assert isinstance(refused(known, "one", fake), TransientFault)
    time.now += 1
    with clock.at(NOON):
        error = refused(known, "one", fake)
    assert isinstance(error, CircuitOpen)
    assert error.resume_at == NOON + timedelta(seconds=FIRST_RETRY_SECONDS - 1)
    assert len(fake.requests) == 1


def test_a_success_resets_the_backoff(fake: Fake, time: Time) -> None:
    fake.on(PATH, DOWN, DOWN, keys(ONE), DOWN)
    known = KeySet(URL)
    for wait in (0, FIRST_RETRY_SECONDS, 2 * FIRST_RETRY_SECONDS - 1):
        time.now += wait
        refused(known, "one", fake)
    time.now += 1
    assert known.find("one", transport(fake)) == ONE
    time.now += SHORTEST_SECONDS
    refused(known, "two", fake)
    time.now += FIRST_RETRY_SECONDS
    refused(known, "two", fake)
    assert len(fake.requests) == 5


def test_keys_that_cannot_be_refreshed_are_used_for_another_day(fake: Fake, time: Time) -> None:
    fake.on(PATH, keys(ONE), DOWN)
    known = KeySet(URL)
    known.find("one", transport(fake))
    for later in (3600, 3601, 3600 + STALE_SECONDS - 1):
        time.now = 1000 + later
        assert known.find("one", transport(fake)) == ONE
    time.now = 1000 + 3600 + STALE_SECONDS
    refused(known, "one", fake)


def test_a_key_is_not_reported_missing_while_fetches_fail(fake: Fake, time: Time) -> None:
    """It may be among the new ones, so the sender should retry."""
    fake.on(PATH, keys(ONE), DOWN)
    known = KeySet(URL)
    known.find("one", transport(fake))
    time.now += 3600
    for _ in range(3):
        refused(known, "two", fake)
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        "key",
        7,
        {},
        {"kid": "odd"},
        {**TWO, "kty": None},
        {**TWO, "kid": 2},
        {**TWO, "kid": ""},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {**TWO, "n": 65537},
        {"kid": "two", "kty": "RSA", "e": "AQAB"},
        {"kid": "two", "kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"},
    ],
)
def test_only_the_unusable_key_is_ignored(fake: Fake, time: Time, log_lines: LogLines, entry: object) -> None:
    logs.configure()
    fake.on(PATH, keys(entry, ONE, entry))
    known = KeySet(URL)
    assert known.find("one", transport(fake)) == ONE
    assert known.find("two", transport(fake)) is None
    (line,) = log_lines.named("key_set.fetched")
    assert (line["keys"], line["passed_over"]) == (1, 2)


def test_a_failure_is_logged_with_its_reason_and_retry_time(fake: Fake, time: Time, log_lines: LogLines) -> None:
    logs.configure()
    fake.on(PATH, DOWN)
    refused(KeySet(URL), "one", fake)
    (line,) = log_lines.named("key_set.failed")
    assert (line["failures"], line["retry_in_seconds"]) == (1, FIRST_RETRY_SECONDS)
    assert "503" in line["reason"]


def test_a_cached_key_does_not_wait_for_a_fetch(fake: Fake, time: Time) -> None:
    fake.on(PATH, keys(ONE), Reply(waits=True))
    known = KeySet(URL)
    known.find("one", transport(fake))
    time.now += 3600
    with ThreadPoolExecutor(1) as threads:
        fetching = threads.submit(known.find, "two", transport(fake))
        fake.wait_for_requests(2)
        assert known.find("one", transport(fake)) == ONE
        assert not fetching.done()
        fake.closing.set()
        assert isinstance(fetching.exception(), TransientFault)
    assert len(fake.requests) == 2


def test_concurrent_callers_fetch_the_keys_once(fake: Fake, time: Time) -> None:
    fake.on(PATH, DOWN)
    known = KeySet(URL)
    with ThreadPoolExecutor(8) as threads:
        errors = list(threads.map(lambda number: refused(known, f"key {number}", fake), range(32)))
    assert len(errors) == 32
    assert len(fake.requests) == 1
