"""A platform's keys: kept as long as it says, fetched anew for one that is not among them, and never often."""

from collections.abc import Iterator

import pytest

from chalicelib import clock
from chalicelib.errors import ContractChanged, TransientFault
from chalicelib.platforms.jwks import LONGEST_SECONDS, SHORTEST_SECONDS, KeySet
from chalicelib.platforms.transport import Transport
from tests.http_fake import Fake, Reply, http_fake

URL = "https://keys.example/certs"
PATH = "/keys.example/certs"
ONE, TWO = {"kid": "one", "kty": "RSA"}, {"kid": "two", "kty": "RSA"}


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


def test_keys_are_kept_as_long_as_the_platform_says(fake: Fake, time: Time) -> None:
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
def test_how_long_they_are_kept_has_limits(fake: Fake, time: Time, max_age: str, seconds: float) -> None:
    fake.on(PATH, keys(ONE, max_age=max_age))
    known = KeySet(URL)
    for later, requests in ((0, 1), (seconds - 1, 1), (seconds, 2)):
        time.now = 1000 + later
        known.find("one", transport(fake))
        assert len(fake.requests) == requests


def test_a_key_that_is_new_is_found_after_a_minute_at_the_latest(fake: Fake, time: Time) -> None:
    fake.on(PATH, keys(ONE), keys(ONE, TWO))
    known = KeySet(URL)
    assert known.find("two", transport(fake)) is None
    time.now += SHORTEST_SECONDS - 1
    assert known.find("two", transport(fake)) is None
    time.now += 1
    assert known.find("two", transport(fake)) == TWO
    assert len(fake.requests) == 2


def test_a_key_that_was_withdrawn_is_gone_with_the_next_answer(fake: Fake, time: Time) -> None:
    fake.on(PATH, keys(ONE), keys(TWO))
    known = KeySet(URL)
    assert known.find("one", transport(fake)) == ONE
    time.now += 3600
    assert known.find("one", transport(fake)) is None


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=503), TransientFault),
        (Reply(breaks=True), TransientFault),
        (Reply(status=404), ContractChanged),
        (Reply({"certs": []}), ContractChanged),
        (Reply(body=b"\xff"), ContractChanged),
    ],
)
def test_an_answer_without_keys_is_an_error_and_leaves_those_at_hand(
    fake: Fake, time: Time, reply: Reply, error: type[Exception]
) -> None:
    fake.on(PATH, keys(ONE), reply)
    known = KeySet(URL)
    assert known.find("one", transport(fake)) == ONE
    time.now += SHORTEST_SECONDS
    with pytest.raises(error):
        known.find("two", transport(fake))
    assert known.find("one", transport(fake)) == ONE
