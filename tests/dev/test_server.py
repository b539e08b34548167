"""The local API server: isolated threads, API Gateway's errors in our format, complete events."""

import http.client
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chalice import Chalice, Response
from chalice.app import Request

from chalicelib.runtime.security_headers import HTTPS_ONLY, SECURITY_HEADERS
from dev.server import MAX_BODY_BYTES, make_server

app = Chalice("sample", env={})
barrier = threading.Barrier(8)


def request() -> Request:
    assert app.current_request is not None
    return app.current_request


@app.route("/echo/{word}", methods=["GET", "POST"])
def echo(word: str) -> dict[str, Any]:
    if "x-together" in request().headers:
        barrier.wait(5)
    body = request().raw_body
    return {"word": (request().uri_params or {})["word"], "body": body if isinstance(body, str) else body.decode()}


@app.route("/event")
def event() -> dict[str, Any]:
    context: Any = request().lambda_context
    return {"context": request().context, "remaining": context.get_remaining_time_in_millis()}


@app.route("/gone", methods=["DELETE"])
def gone() -> Response:
    return Response(body="", status_code=204, headers={"content-type": "text/plain", "X-Many": ["a", "b"]})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = make_server(app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    yield connection
    connection.close()


def ask(client: http.client.HTTPConnection, method: str, path: str, **options: Any) -> tuple[int, Any, Any]:
    client.request(method, path, **options)
    response = client.getresponse()
    body = response.read()
    return response.status, response.headers, json.loads(body) if body else None


def assert_is_problem(answer: tuple[int, Any, Any], status: int, code: str) -> None:
    assert answer[0] == status
    assert answer[1]["Content-Type"] == "application/problem+json"
    assert {name: answer[1][name] for name in SECURITY_HEADERS} == {**SECURITY_HEADERS, HTTPS_ONLY: None}
    assert {"type", "title", "status", "code", "detail", "requestId"} <= set(answer[2])
    assert (answer[2]["status"], answer[2]["code"]) == (status, code)


def test_concurrent_requests_do_not_see_each_other(port: int) -> None:
    def call(number: int) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        word: str = ask(connection, "GET", f"/echo/{number}", headers={"X-Together": "yes"})[2]["word"]
        connection.close()
        return word

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(call, range(8))) == [str(number) for number in range(8)]


def test_one_connection_serves_many_requests(client: http.client.HTTPConnection) -> None:
    ask(client, "GET", "/event")
    socket = client.sock
    for _ in range(5):
        assert ask(client, "POST", "/echo/x", body=b'{"a": 1}')[2]["body"] == '{"a": 1}'
    assert client.sock is socket


def test_an_unknown_path_is_our_not_found(client: http.client.HTTPConnection) -> None:
    assert_is_problem(ask(client, "GET", "/nothing", headers={"Authorization": "Bearer caf\xe9"}), 404, "not_found")


@pytest.mark.parametrize("method", ["DELETE", "HEAD", "OPTIONS", "BREW"])
def test_a_wrong_method_is_our_method_not_allowed(client: http.client.HTTPConnection, method: str) -> None:
    status, headers, body = ask(client, method, "/echo/x")
    assert status == 405
    assert headers["Content-Type"] == "application/problem+json"
    assert method == "HEAD" or body["code"] == "method_not_allowed"
    assert method == "BREW" or headers["Allow"] == "GET, POST"


def test_a_body_beyond_the_gateways_limit_is_refused_and_the_next_request_served(
    client: http.client.HTTPConnection,
) -> None:
    assert_is_problem(ask(client, "POST", "/echo/x", body=b"x" * (MAX_BODY_BYTES + 1)), 413, "payload_too_large")
    assert ask(client, "GET", "/event")[0] == 200


def test_a_chunked_body_is_refused(client: http.client.HTTPConnection) -> None:
    answer = ask(client, "POST", "/echo/x", body=iter([b"x"]), encode_chunked=True)
    assert_is_problem(answer, 411, "length_required")


@pytest.mark.parametrize("length", ["-1", "x", "9" * 5000])
def test_an_invalid_content_length_is_refused(client: http.client.HTTPConnection, length: str) -> None:
    assert_is_problem(ask(client, "POST", "/echo/x", headers={"Content-Length": length}), 400, "bad_request")


def test_two_content_lengths_are_refused(client: http.client.HTTPConnection) -> None:
    client.putrequest("POST", "/echo/x")
    for length in ("2", "3"):
        client.putheader("Content-Length", length)
    client.endheaders(b"{}x")
    response = client.getresponse()
    assert_is_problem((response.status, response.headers, json.loads(response.read())), 400, "bad_request")


def test_the_event_has_what_api_gateway_sends(client: http.client.HTTPConnection) -> None:
    answer = ask(client, "GET", "/event", headers={"User-Agent": "tests"})[2]
    assert {"requestId", "stage", "apiId", "resourcePath", "httpMethod", "path"} <= set(answer["context"])
    assert answer["context"]["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "tests"}
    assert 0 < answer["remaining"] <= 29_000


def test_a_binary_body_is_damaged_as_by_api_gateway(client: http.client.HTTPConnection) -> None:
    assert ask(client, "POST", "/echo/x", body=b"\xff")[2]["body"] == "\ufffd"


def test_an_empty_response_has_no_length_and_sends_each_header_once(client: http.client.HTTPConnection) -> None:
    status, headers, body = ask(client, "DELETE", "/gone")
    assert (status, body, headers["Content-Length"]) == (204, None, None)
    assert headers.get_all("Content-Type") == ["text/plain"]
    assert headers.get_all("X-Many") == ["a", "b"]
