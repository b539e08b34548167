"""A running sandbox and a client of it."""

from collections.abc import Iterator

import pytest

from dev.sandbox import Sandbox
from tests.conftest import TODAY
from tests.dev.sandbox_client import SandboxClient


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(today=TODAY) as sandbox:
        yield sandbox


@pytest.fixture
def google(sandbox: Sandbox) -> Iterator[SandboxClient]:
    """A client with the default grant of the account `studio`."""
    client = SandboxClient(sandbox)
    yield client
    client.pool.clear()
