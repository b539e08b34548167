"""The API over real HTTP, for what an in-process call cannot show."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chalicelib.logs import JsonFormatter
from tests.conftest import CONSENT, Database


class LogLines:
    """What the product has logged since the test began."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(JsonFormatter())

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def named(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.text.splitlines()]
        return [line for line in lines if line["event"] == event]


@pytest.fixture
def log_lines() -> Iterator[LogLines]:
    lines = LogLines()
    logging.getLogger().addHandler(lines.handler)
    yield lines
    logging.getLogger().removeHandler(lines.handler)


@pytest.fixture(scope="module")
def http_server(database: Database, local_aws: Any) -> Iterator[str]:
    """The URL of `app.app`, served by the local server in a thread, with the sandbox platforms behind it."""
    from app import app
    from chalicelib.settings import get_settings
    from dev.sandbox import CREDENTIALS, Sandbox
    from dev.server import make_server

    with Sandbox() as sandbox, pytest.MonkeyPatch.context() as environ:
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
