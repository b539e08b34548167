"""Local Lambda: the Invoke API on loopback for the delivery function, which runs in this process, and only it.

As the Lambda API Reference describes it under "Invoke"; boto3 can call it as well.
"""

import argparse
import json
import re
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chalicelib.workers.deliveries import deliver
from dev.invocation import ACCOUNT, DELIVERY_TIMEOUT_SECONDS, REGION, Context
from dev.ports import HOST

INVOKE = re.compile(r"/2015-03-31/functions/(?P<name>[\w-]+)/invocations")
MAX_BODY_BYTES = 6 * 1024 * 1024


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        found, body = INVOKE.fullmatch(self.path), self.rfile.read(length)
        if length > MAX_BODY_BYTES:
            self._refuse(413, "RequestTooLargeException", f"{length} byte payload is too large")
            return
        if found is None or found["name"] != self.server.function:
            arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{found['name'] if found else ''}"
            self._refuse(404, "ResourceNotFoundException", f"Function not found: {arn}")
            return
        try:
            self._invoke(json.loads(body or b"{}"))
        except ValueError:
            self._refuse(400, "InvalidRequestContentException", "Could not parse request body into json")

    def _invoke(self, event: Any) -> None:
        try:
            result = deliver(event, Context(self.server.function, DELIVERY_TIMEOUT_SECONDS))
        except Exception as error:  # noqa: BLE001  as in Lambda, a response like any other, with one header more
            failed = {"errorMessage": str(error), "errorType": type(error).__name__}
            self._answer(200, failed, {"X-Amz-Function-Error": "Unhandled"})
        else:
            self._answer(200, result)

    def _refuse(self, status: int, kind: str, message: str) -> None:
        self._answer(status, {"Type": "User", "Message": message}, {"x-amzn-ErrorType": kind})

    def _answer(self, status: int, document: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in {**sent, "X-Amz-Executed-Version": "$LATEST"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the function logs its own invocations."""


class Server(ThreadingHTTPServer):
    """Every connection has a thread, as every concurrent invocation has a container of its own."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, function: str) -> None:
        super().__init__((HOST, port), Handler)
        self.function = function


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--function", default="ansel-local-deliver")
    options = parser.parse_args()
    server = Server(options.port, options.function)
    print(f"deliver ready on http://{HOST}:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
