"""The HTTP server: reads requests, and sends responses whole, slowly, in part or not at all."""

import socket
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any
from urllib.parse import parse_qsl

from dev.sandbox.wire import Request, Response, as_json

LARGEST_BODY = 8 * 1024 * 1024

Answer = Callable[[Request], Response]


class Server:
    """Serves `answer` on a loopback port in its own threads; port 0 picks a free one."""

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self._http = _HttpServer(port, answer)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.close_connections()
        self._http.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int, answer: Answer) -> None:
        self.answer = answer
        self.stopping = threading.Event()
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(
            self
        )  # HTTPServer's implementation looks up a host name, which may take seconds without a resolver

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """Ends kept-alive connections and slow responses."""
        self.stopping.set()
        with self._lock, suppress(OSError):  # the client has already disconnected
            for connection in self._connections:
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HttpServer

    def do_GET(self) -> None:
        if (request := self._read()) is not None:
            self._send(self.server.answer(request))

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the sandbox's request log is enough."""

    def _read(self) -> Request | None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
            self._refuse(411, "a body needs a Content-Length")
            return None
        if int(length) > LARGEST_BODY:
            self._refuse(413, "the body is too large")
            return None
        path, _, query = self.path.partition("?")
        host, _, rest = path.removeprefix("/").partition("/")
        return Request(
            method=self.command,
            host=host,
            path="/" + rest,
            query=tuple(parse_qsl(query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
        )

    def _refuse(self, status: int, why: str) -> None:
        self.close_connection = True
        self._send(as_json({"error": why}, status=status))

    def _send(self, response: Response) -> None:
        message = self._head(response) + response.body
        if response.cut == "reset":
            self._reset()
        elif response.cut == "truncated":
            self.connection.sendall(message[: _middle(message, response)])
            self.close_connection = True
        elif response.pause:
            self.connection.sendall(message[: _middle(message, response)])
            self.server.stopping.wait(response.pause)
            self.connection.sendall(message[_middle(message, response) :])
        else:
            self.connection.sendall(message)

    def _head(self, response: Response) -> bytes:
        reason = self.responses.get(response.status, ("",))[0]
        headers = {
            "Date": self.date_time_string(),
            "Content-Length": str(len(response.body)),
            **response.headers,
        }
        lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        if self.close_connection:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _reset(self) -> None:
        # Closing with a linger time of zero sends RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.server.close_request(self.connection)


def _middle(message: bytes, response: Response) -> int:
    """The offset of the second half of the body."""
    return len(message) - (len(response.body) + 1) // 2
