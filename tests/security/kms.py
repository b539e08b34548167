"""A KMS service for tests: moto's server behind a proxy that counts calls and replaces responses on demand."""

import http.client
import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest

from chalicelib.security import encryption_sdk

HERE, ELSEWHERE = "eu-central-1", "eu-west-1"
Answer = tuple[int, dict[str, Any]] | None
"""Status and body instead of the service's own; None leaves it."""


class KmsCalls(list[str]):
    """The operations called in a Region from now on. `answers` replaces the service's response, if set."""

    observed: dict[str, "KmsCalls"] = {}

    def __init__(self, region: str) -> None:
        super().__init__()
        self.answers: Callable[[], Answer] = lambda: None
        self.observed[region] = self

    def asked(self, target: str) -> Answer:
        self.append(target.rpartition(".")[2])
        return self.answers()


def refusal(code: str, status: int = 400) -> Callable[[], Answer]:
    """What KMS returns with this error."""
    return lambda: (status, {"__type": code, "message": "no"})


def response(body: dict[str, Any]) -> Callable[[], Answer]:
    """A response of KMS as if it had succeeded."""
    return lambda: (200, body)


def timeout() -> Answer:
    """KMS closes the connection without a response."""
    raise ConnectionAbortedError


class _Proxy(BaseHTTPRequestHandler):
    upstream = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        match = re.search(r"Credential=[^/]+/\d+/([\w-]+)/kms/", self.headers["Authorization"])
        calls = KmsCalls.observed.get(match[1] if match else "")
        try:
            answer = calls.asked(self.headers["X-Amz-Target"]) if calls is not None else None
        except ConnectionAbortedError:
            self.close_connection = True
            return
        status, told = (answer[0], json.dumps(answer[1]).encode()) if answer else self._forwarded(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def _forwarded(self, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.upstream, timeout=10)
        try:
            connection.request("POST", self.path, body, dict(self.headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Kms:
    """A KMS key here, another one here, and one in another Region."""

    def __init__(self) -> None:
        self.here, self.other = self.make_key(HERE), self.make_key(HERE)
        self.elsewhere = self.make_key(ELSEWHERE)

    def make_key(self, region: str) -> str:
        return str(boto3.client("kms", region_name=region).create_key()["KeyMetadata"]["Arn"])


@pytest.fixture(scope="module")
def kms_proxy(local_aws: Any) -> Iterator[None]:
    """Between the product and the local stack's KMS."""
    upstream = urlsplit(local_aws.meta.endpoint_url).netloc
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Proxy", (_Proxy,), {"upstream": upstream}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{server.server_port}")
        environ.delenv("AWS_PROFILE", raising=False)
        yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def service(kms_proxy: None) -> Kms:
    return Kms()


@pytest.fixture
def kms(service: Kms) -> Iterator[Kms]:
    """Not observed yet."""
    forget_calls()
    yield service
    forget_calls()


def forget_calls() -> None:
    KmsCalls.observed.clear()
    encryption_sdk.kms_keys.cache_clear()
