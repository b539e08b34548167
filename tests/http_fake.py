"""A small HTTP server on loopback that returns scripted replies, and records its requests."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Reply:
    """One response. `announced` is a false Content-Length; `breaks` resets the connection instead of responding."""

    json: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    announced: int | None = None
    breaks: bool = False
    waits: bool = False
    """Sends nothing until the fake closes."""

    def content(self) -> bytes:
        return json.dumps(self.json).encode() if self.body is None else self.body


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    form: dict[str, str]
    body: str = ""


class Fake:
    """Routes are paths; the replies of a route are used in order, the last one repeatedly."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.closing = threading.Event()
        self._arrived = threading.Condition()
        self._routes: dict[str, list[Reply]] = {}

    def on(self, path: str, *replies: Reply) -> None:
        self._routes[path] = list(replies)

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    def wait_for_requests(self, number: int) -> None:
        """Waits until this many have arrived, whether or not they were answered."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= number, timeout=10)

    def next_reply(self, request: Request) -> Reply:
        with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        replies: Sequence[Reply] = self._routes.get(request.path) or [Reply({"error": "no route"}, status=404)]
        return self._routes[request.path].pop(0) if len(replies) > 1 else replies[0]


@contextmanager
def http_fake(tls: ssl.SSLContext | None = None) -> Iterator[Fake]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    fake = Fake(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}")
    server.fake = fake  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        fake: Fake = self.server.fake  # type: ignore[attr-defined]
        reply = fake.next_reply(self._request())
        if reply.waits:
            fake.closing.wait()
        if reply.breaks or reply.waits:
            self._break()
            return
        content = reply.content()
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if reply.announced is None else reply.announced))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        if reply.announced is not None:
            self._break()

    do_POST = do_DELETE = do_GET

    def log_message(self, *args: Any) -> None:
        """A test's output belongs to pytest."""

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.command, parts.path, parse_qsl(parts.query), headers, dict(parse_qsl(content)), content)

    def _break(self) -> None:
        self.close_connection = True
        # Lingering for zero seconds makes the close a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
