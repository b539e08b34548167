"""The delivery function as Lambda runs it: alone in a fresh process, with an environment that holds nothing."""

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from chalicelib.security.outbound_messages import OutboundRequest, Outcome
from dev.lambda_runtime import Container, Function
from tests.conftest import ROOT
from tests.http_fake import Fake, Reply, http_fake

SITE_PACKAGES = Path(msgspec.__file__).parent.parent
HANDLER = "chalicelib.workers.deliveries.deliver"
SIGNATURE = "v1,c2lnbmF0dXJlIG9mIHRoaXMgYm9keQ=="
SENT = "the body of this event"
HEADERS = {"webhook-signature": SIGNATURE}
NOT_ALLOWED = {
    "https://10.0.0.1/hook": "address_refused",
    "https://10.20.31.7:5432/": "url_refused",
    "https://169.254.169.254/latest/meta-data/": "address_refused",
    "https://169.254.170.2/v2/credentials": "address_refused",
    "https://[fd00:ec2::254]/latest/meta-data/": "address_refused",
    "https://127.0.0.1/2018-06-01/runtime/invocation/next": "address_refused",
    "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next": "url_refused",
    "https://localhost/": "address_refused",
    "http://studio.example/": "url_refused",
    "file:///proc/self/environ": "url_refused",
    "https://[": "url_refused",
}
"""Addresses of a VPC, of metadata and credential services and of Lambda's own Runtime API, and what is no plain URL"""


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with started("prod", tmp_path_factory.mktemp("prod")) as container:
        yield container


@pytest.fixture
def testing(tmp_path: Path) -> Iterator[Container]:
    """In the stage in which a receiver may be on this machine."""
    with started("test", tmp_path) as container:
        yield container


@pytest.fixture
def receiver() -> Iterator[Fake]:
    with http_fake() as fake:
        yield fake


def started(stage: str, folder: Path) -> Container:
    function = Function(f"ansel-{stage}-deliver", HANDLER, 512, 35)
    return Container(function, ROOT, SITE_PACKAGES, {"ANSEL_STAGE": stage}, log=folder / "log")


def event(url: str, **fields: Any) -> dict[str, Any]:
    body = b64encode(SENT.encode()).decode()
    return {"deliveryId": str(uuid4()), "url": url, "headers": HEADERS, "body": body, **fields}


def lines(container: Container) -> list[dict[str, Any]]:
    return [json.loads(line) for line in container.output.splitlines()]


@pytest.mark.parametrize("url", NOT_ALLOWED)
def test_no_url_leads_into_the_vpc_to_metadata_or_to_the_function_itself(production: Container, url: str) -> None:
    outcome = production.invoke(event(url))
    assert outcome.error is None
    assert outcome.payload == {"failure": NOT_ALLOWED[url]}


def test_a_request_is_sent_as_it_was_handed_over(testing: Container, receiver: Fake) -> None:
    receiver.on("/hook", Reply(status=503, headers={"Retry-After": "120"}, body=b"of no interest"))
    outcome = testing.invoke(event(f"{receiver.url}/hook?token=t0ken"))
    assert outcome.payload == {"status": 503, "retryAfterSeconds": 120}
    (request,) = receiver.requests
    assert (request.body, request.headers["webhook-signature"]) == (SENT, SIGNATURE)


def test_the_log_has_one_line_for_an_attempt_and_nothing_of_what_was_sent(testing: Container, receiver: Fake) -> None:
    receiver.on("/a-secret-path", Reply(status=200, headers={"X": "of the receiver"}, body=b"of the receiver"))
    sent = event(f"{receiver.url}/a-secret-path?token=t0ken")
    assert testing.invoke(sent).payload == {"status": 200}
    (attempted,) = [line for line in lines(testing) if line["event"] == "delivery.attempted"]
    assert (attempted["delivery_id"], attempted["host"], attempted["status"]) == (sent["deliveryId"], "127.0.0.1", 200)
    assert [line["event"] for line in lines(testing)] == ["delivery.attempted", "job.done", "metrics"]
    for secret in ("a-secret-path", "t0ken", SENT, sent["body"], SIGNATURE, "of the receiver"):
        assert secret not in testing.output


WRONG: list[dict[str, Any]] = [
    {},
    {"url": "https://studio.example/"},
    event("https://studio.example/", body=SENT),
    event("https://studio.example/", secret="whsec_c2VjcmV0"),
    event("https://studio.example/", deliveryId="t0ken"),
]


@pytest.mark.parametrize("wrong", WRONG, ids=range(len(WRONG)))
def test_a_malformed_event_fails_without_being_quoted(production: Container, wrong: dict[str, Any]) -> None:
    outcome = production.invoke(wrong)
    assert outcome.error is not None
    assert (outcome.error["errorType"], outcome.error["errorMessage"]) == ("DeliveryCrashed", "ValidationError")
    failed = [line for line in lines(production) if line.get("event") == "job.failed"][-1]
    assert "DeliveryCrashed: ValidationError" in failed["error"]
    for secret in ("whsec_", "t0ken", SENT, SIGNATURE):
        assert secret not in production.output + json.dumps(outcome.error)


def test_a_crash_quotes_nothing_that_was_sent(testing: Container, receiver: Fake) -> None:
    sent = event(f"{receiver.url}/hook", headers={"webhook-signature": f"{SIGNATURE}\r\nX-Injected: 1"})
    outcome = testing.invoke(sent)
    assert outcome.error is not None
    assert outcome.error["errorMessage"] == "ValueError"
    assert receiver.requests == []
    for line in (testing.output, json.dumps(outcome.error)):
        assert SIGNATURE not in line


@pytest.mark.parametrize(
    ("sent", "failure"),
    [
        (b"", "no_response"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "response_invalid"),
        (b"HTTP/1.1 two hundred\r\n\r\n", "response_invalid"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "response_invalid"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "response_invalid"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffffff\r\n", "response_invalid"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nRetry-After: \xff\xfe\r\n\r\n", None),
    ],
)
def test_a_hostile_response_is_an_outcome_and_not_a_crash(testing: Container, sent: bytes, failure: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        outcome = _answered(testing, server, sent)
    assert outcome.failure == failure
    assert (outcome.status == 200) == (failure is None)


def _answered(container: Container, server: socket.socket, sent: bytes) -> Outcome:
    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            received = b""
            while SENT.encode() not in received:
                received += connection.recv(65536)
            with suppress(ConnectionError):  # the function may have seen enough
                connection.sendall(sent)

    thread = threading.Thread(target=answer)
    thread.start()
    answered = container.invoke(event(f"http://127.0.0.1:{server.getsockname()[1]}/"))
    thread.join()
    assert answered.error is None, answered.error
    return msgspec.convert(answered.payload, Outcome)


@pytest.mark.parametrize("name", ["SSLKEYLOGFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL"])
def test_a_variable_that_exposes_connections_prevents_the_start(tmp_path: Path, name: str) -> None:
    function = Function("ansel-prod-deliver", HANDLER, 512, 35)
    environ = {"ANSEL_STAGE": "prod", name: "/tmp/x"}  # noqa: S108  never opened
    with Container(function, ROOT, SITE_PACKAGES, environ, log=tmp_path / "log") as container:
        outcome = container.invoke(event("https://studio.example/"))
        assert outcome.error is not None
        assert outcome.error["errorMessage"] == "SettingsError"


def test_requests_do_not_show_what_they_hold() -> None:
    request = OutboundRequest(delivery_id=uuid4(), url="https://x/?t0ken", headers=HEADERS, body=SENT.encode())
    assert repr(request) == f"OutboundRequest({request.delivery_id})"
