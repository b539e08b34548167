"""Shared by the tests of platforms: a fake server, and clients that reach it."""

from collections.abc import Callable, Iterator

import pytest

from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Platform
from chalicelib.secret import Secret
from tests.http_fake import Fake, http_fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    with http_fake() as server:
        yield server


@pytest.fixture
def client_of(fake: Fake) -> Callable[[Platform], Client]:
    return lambda platform: Client(platform, Secret("ya29.canary"), sandbox_url=fake.url)
