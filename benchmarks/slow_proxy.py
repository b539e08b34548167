"""A simulated network: a TCP proxy on loopback that delays delivery and counts round trips."""

import socket
import time
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from dev.ports import HOST

CHUNK = 65536


class SlowProxy:
    """Each chunk arrives `delay` seconds after it was sent, in both directions; several may be in transit at once."""

    def __init__(self, target_port: int, delay: float) -> None:
        self._target_port = target_port
        self._delay = delay
        self._listener = socket.create_server((HOST, 0))
        self._listens_to_client = True
        self.port: int = self._listener.getsockname()[1]
        self.round_trips = 0
        """Times a client sent after the server had sent; only meaningful with one client at a time."""

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # close() alone would leave accept() waiting
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((HOST, self._target_port))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._carry(client, server, from_client=True)
                self._carry(server, client, from_client=False)

    def _carry(self, source: socket.socket, target: socket.socket, *, from_client: bool) -> None:
        under_way: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
        Thread(target=self._take, args=(source, under_way, from_client), daemon=True).start()
        Thread(target=_deliver, args=(target, under_way), daemon=True).start()

    def _take(self, source: socket.socket, under_way: "SimpleQueue[tuple[float, bytes]]", from_client: bool) -> None:
        chunk = b"first"
        while chunk:
            try:
                chunk = source.recv(CHUNK)
            except OSError:
                chunk = b""
            if chunk:
                self.round_trips += from_client and self._listens_to_client
                self._listens_to_client = not from_client
            under_way.put((time.perf_counter() + self._delay, chunk))


def _deliver(target: socket.socket, under_way: "SimpleQueue[tuple[float, bytes]]") -> None:
    """An empty chunk ends it."""
    while True:
        due_at, chunk = under_way.get()
        time.sleep(max(0.0, due_at - time.perf_counter()))
        try:
            if not chunk:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(chunk)
        except OSError:  # that side is closed; the rest is not needed
            return
