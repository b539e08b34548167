"""Requests to AWS without boto3: signed like botocore's, and their errors classified."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import aws_requests
from chalicelib.aws_requests import AwsError, call, signed_headers
from chalicelib.secret import Secret
from chalicelib.settings import AwsIdentity

PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@settings(deadline=None)
@given(
    key_id=st.from_regex(r"[A-Z0-9]{16,20}", fullmatch=True),
    key=PRINTABLE,
    session_token=st.none() | PRINTABLE,
    body=st.binary(max_size=200),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001  hypothesis wants them without a zone
)
def test_a_request_is_signed_like_botocores(
    key_id: str, key: str, session_token: str | None, body: bytes, at: datetime
) -> None:
    identity = AwsIdentity(
        region="eu-central-1",
        access_key_id=key_id,
        secret_access_key=Secret(key),
        session_token=Secret(session_token) if session_token else None,
    )
    host, operation = "secretsmanager.eu-central-1.amazonaws.com", "secretsmanager.GetSecretValue"
    ours = signed_headers(
        identity,
        {"content-type": aws_requests.MEDIA_TYPE, "x-amz-target": operation},
        service="secretsmanager",
        region="eu-central-1",
        host=host,
        body=body,
        at=at.replace(tzinfo=UTC),
    )
    sent = {"Content-Type": aws_requests.MEDIA_TYPE, "X-Amz-Target": operation}
    request = AWSRequest("POST", f"https://{host}/", headers=sent, data=body)
    request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
    signer = SigV4Auth(Credentials(key_id, key, session_token), "secretsmanager", "eu-central-1")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    if session_token:
        request.headers["X-Amz-Security-Token"] = session_token
    theirs = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert ours["authorization"].endswith(f"Signature={theirs}")


class Service:
    """Returns scripted responses in turn."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.asked: list[bytes] = []
        outer, left = self, list(answers)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def ask(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Calls a service with these responses; returns the result and how often it was called."""
    services: list[Service] = []

    def ask(*answers: tuple[int, bytes]) -> tuple[Any, int]:
        services.append(Service(*answers))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{services[-1].server.server_address[1]}")
        try:
            return call("secretsmanager", "eu-central-1", "secretsmanager.GetSecretValue", {"SecretId": "a"}), len(
                services[-1].asked
            )
        except AwsError as error:
            return error, len(services[-1].asked)

    yield ask
    for service in services:
        service.stop()


def test_a_response_is_decoded(ask: Any) -> None:
    assert ask((200, b'{"SecretString": "a"}')) == ({"SecretString": "a"}, 1)


@pytest.mark.parametrize(
    ("answer", "code", "asked"),
    [
        ((400, b'{"__type": "ResourceNotFoundException"}'), "ResourceNotFoundException", 1),
        ((400, b'{"__type": "com.amazon#AccessDeniedException"}'), "AccessDeniedException", 1),
        ((400, b'{"__type": "ThrottlingException"}'), "ThrottlingException", 3),
        ((500, b'{"__type": "InternalServiceError"}'), "InternalServiceError", 3),
        ((503, b"<html>"), "HTTP 503", 3),
        ((200, b"[]"), "HTTP 200", 3),
        ((403, b""), "HTTP 403", 1),
        ((429, b""), "HTTP 429", 3),
    ],
    ids=str,
)
def test_an_error_has_its_code_and_transient_ones_are_retried(
    ask: Any, answer: tuple[int, bytes], code: str, asked: int
) -> None:
    error, times = ask(answer)
    assert (error.code, times) == (code, asked)
    assert error.may_pass == (asked > 1)


def test_a_transient_fault_is_hidden_by_the_retry(ask: Any) -> None:
    assert ask((500, b""), (200, b"{}")) == ({}, 2)


def test_an_unreachable_service_is_transient(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:1")
    with pytest.raises(AwsError) as caught:
        call("secretsmanager", "eu-central-1", "x", {})
    assert (caught.value.code, caught.value.may_pass) == ("ConnectionRefusedError", True)


def test_the_host_is_the_regions_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER"):
        monkeypatch.delenv(name, raising=False)
    for region, host in (
        ("eu-central-1", "secretsmanager.eu-central-1.amazonaws.com"),
        ("cn-north-1", "secretsmanager.cn-north-1.amazonaws.com.cn"),
    ):
        assert aws_requests._connection("secretsmanager", region, 5)[1] == host
