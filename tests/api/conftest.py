"""The API over real HTTP, for what an in-process call cannot show."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from migrations.privileges import API
from tests.conftest import CONSENT, TODAY, Database, login_as


@pytest.fixture
def clean_database(clean_database: Database) -> Iterator[Database]:
    """The product uses the API's login; work that a test has a worker do uses the worker's."""
    with login_as(API):
        yield clean_database


@pytest.fixture(scope="module")
def http_server(database: Database, local_aws: Any) -> Iterator[str]:
    """The URL of `app.app`, served by the local server in a thread, with the sandbox platforms behind it."""
    from app import app
    from chalicelib.settings import get_settings
    from dev.sandbox import CREDENTIALS, Sandbox
    from dev.server import make_server

    with Sandbox(today=TODAY) as sandbox, pytest.MonkeyPatch.context() as environ:
        for name, value in {**CREDENTIALS, **CONSENT, "PLATFORM_SANDBOX_URL": sandbox.url}.items():
            environ.setenv(name, value)
        get_settings.cache_clear()
        server = make_server(app)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
        server.server_close()
    get_settings.cache_clear()
