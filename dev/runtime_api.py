"""Lambda's Runtime API on loopback, for one container: Lambda Developer Guide, "Using the Lambda runtime API"."""

import json
import re
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Thread
from typing import Any
from uuid import uuid4

from dev.ports import HOST

ANSWER = re.compile(r"/2018-06-01/runtime/(?:invocation/(?P<id>[^/]+)/(?P<kind>response|error)|init/error)")
NEXT = "/2018-06-01/runtime/invocation/next"
MAX_ANSWER_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True)
class Outcome:
    """What the function returned, or the error that the runtime client reported."""

    payload: Any = None
    error: Mapping[str, Any] | None = None


@dataclass
class Invocation:
    event: bytes
    deadline_ms: int
    arn: str
    request_id: str = field(default_factory=lambda: str(uuid4()))
    trace_id: str = field(default_factory=lambda: f"Root=1-{int(time.time()):08x}-{uuid4().hex[:24]};Sampled=0")
    outcome: Future[Outcome] = field(default_factory=Future)


class RuntimeApi(ThreadingHTTPServer):
    """The API of one container, which handles one invocation at a time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.waiting: SimpleQueue[Invocation | None] = SimpleQueue()
        self.taken: dict[str, Invocation] = {}
        self.init_error: Future[Outcome] = Future()
        Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs nothing: a container that ends aborts its pending request."""

    def stop(self) -> None:
        self.waiting.put(None)
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: RuntimeApi

    def do_GET(self) -> None:
        invocation = self.server.waiting.get() if self.path == NEXT else None
        if invocation is None:
            self._answer(404, b"{}")
            return
        self.server.taken[invocation.request_id] = invocation
        self._answer(
            200,
            invocation.event,
            **{
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_ms),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
            },
        )

    def do_POST(self) -> None:
        body = self._body()
        match = ANSWER.fullmatch(self.path)
        if match is None or (match["id"] and match["id"] not in self.server.taken):
            self._answer(400, b'{"errorType": "InvalidRequestID"}')
        elif len(body) > MAX_ANSWER_BYTES:
            self._answer(413, b'{"errorType": "RequestTooLarge"}')
        else:
            self._answer(202, b'{"status": "OK"}')
            self._settle(match, json.loads(body))

    def _settle(self, match: re.Match[str], told: Any) -> None:
        waited = self.server.taken.pop(match["id"]).outcome if match["id"] else self.server.init_error
        waited.set_result(Outcome(payload=told) if match["kind"] == "response" else Outcome(error=told))

    def _body(self) -> bytes:
        """The native client sends chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: only the container's own output matters."""
