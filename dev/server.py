"""Serves `app.app` over HTTP with Chalice's local server, made thread-safe and fast with keep-alive."""

import argparse
import base64
import importlib
import logging
import socket
import sys
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from chalice import Chalice
from chalice.config import Config
from chalice.local import ChaliceRequestHandler, CustomLocalChalice, LocalChalice, ThreadedHTTPServer

from chalicelib.errors import AppError, BadRequest, MethodNotAllowed, PayloadTooLarge
from dev.gateway import BadGateway, Gateway, LengthRequired, problem
from dev.ports import HOST

MAX_BODY_BYTES = 10 * 1024 * 1024  # "Payload size" among API Gateway's quotas for REST APIs
MAX_DISCARDED_BYTES = 10 * MAX_BODY_BYTES
CHUNK_BYTES = 64 * 1024
LINGER_SECONDS = 1.0
TIMEOUT_SECONDS = 29  # "Integration timeout" there
BODYLESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
log = logging.getLogger("dev.server")


class Handler(ChaliceRequestHandler):
    # Chalice sends head and body separately, and Nagle's algorithm delays the second until the client acknowledges the
    # first: 44 ms per request. So one send per response, and no Nagle.
    disable_nagle_algorithm = True
    wbufsize = -1
    server_version = "AnselLocal"
    sys_version = ""

    def __init__(self, *connection: Any, gateway: Gateway) -> None:
        self.local_gateway = gateway
        BaseHTTPRequestHandler.__init__(self, *connection)

    def _generic_handle(self) -> None:
        try:
            body = self._read_body()
            response = self.local_gateway.handle_request(self.command, self.path, dict(self.headers.items()), body)
            self._send(*_unpack(response))
        except AppError as error:
            self._refuse(error)
        except ConnectionError:
            self.close_connection = True
        except Exception:
            log.exception("the application raised an exception")
            self._refuse(BadGateway())

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do_PATCH = do_OPTIONS = _generic_handle

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()  # the client waits for this line before sending the body
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Errors of the HTTP server itself, such as a malformed request line or an unknown method."""
        self.close_connection = True
        if code == HTTPStatus.NOT_IMPLEMENTED:
            self._refuse(MethodNotAllowed())
        else:  # the request line may be unknown here, so it is not logged
            self._send(*problem(BadRequest(message or "")))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Logs nothing: the application logs its own requests, and requests it never sees are logged when refused."""

    def _refuse(self, error: AppError) -> None:
        self.log_message("refused %s %s: %s", self.command, self.path.partition("?")[0], error.code)
        self._send(*problem(error))
        if self.close_connection:
            self._linger()

    def _read_body(self) -> bytes | None:
        if "Transfer-Encoding" in self.headers:
            self.close_connection = True
            raise LengthRequired
        announced, *others = self.headers.get_all("Content-Length", ["0"])
        if others or not (announced.isascii() and announced.isdigit() and len(announced) < 16):
            self.close_connection = True
            raise BadRequest("The Content-Length is not a number of bytes")
        if int(announced) > MAX_BODY_BYTES:
            self.close_connection = True
            raise PayloadTooLarge(f"A request body may have {MAX_BODY_BYTES} bytes")
        body = self.rfile.read(int(announced))
        if len(body) < int(announced):
            raise ConnectionAbortedError
        return body or None

    def _linger(self) -> None:
        """Reads what the client is still sending, within limits: closing early would destroy the response."""
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(LINGER_SECONDS)
            left = MAX_DISCARDED_BYTES
            while left > 0 and (chunk := self.rfile.read1(CHUNK_BYTES)):
                left -= len(chunk)
        except OSError:
            return  # the client has disconnected, or sends nothing more

    def _send(self, status: int, headers: Mapping[str, Any], body: bytes) -> None:
        self.send_response(status)
        for name, values in headers.items():
            for value in values if isinstance(values, list) else [values]:
                self.send_header(name, str(value))
        if self.close_connection:
            self.send_header("Connection", "close")
        if status not in BODYLESS:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in BODYLESS:
            self.wfile.write(body)
        self.wfile.flush()


class Server(ThreadedHTTPServer):
    request_queue_size = 256  # Chalice's backlog of 5 would make bursts of clients wait


def make_server(app: Chalice, port: int = 0) -> Server:
    """A server bound to its port; run it with `serve_forever()`."""
    if not isinstance(app, LocalChalice):
        # Chalice keeps the current request on the application, where threads would see each other's; this swap, which
        # `chalice local` does too, keeps it per thread.
        CustomLocalChalice.__bases__ = (LocalChalice, app.__class__)
        app.__class__ = CustomLocalChalice
    root = Path(__file__).parents[1]
    config = Config.create(
        chalice_stage="local", project_dir=str(root), lambda_timeout=TIMEOUT_SECONDS, lambda_memory_size=512
    )
    return Server((HOST, port), partial(Handler, gateway=Gateway(app, config)))


def _unpack(response: Mapping[str, Any]) -> tuple[int, dict[str, Any], bytes]:
    body = response["body"] or ""
    content = base64.b64decode(body) if response.get("isBase64Encoded") else body
    headers = {**response["headers"], **response["multiValueHeaders"]}
    return response["statusCode"], headers, content if isinstance(content, bytes) else content.encode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    application: Chalice = importlib.import_module("app").app
    try:
        server = make_server(application, port)
    except OSError as error:
        print(f"port {port} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    print(f"api ready on http://{HOST}:{server.server_address[1]}", flush=True)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
