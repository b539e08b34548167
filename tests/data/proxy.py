"""A TCP proxy on loopback that counts round trips and can cut a response halfway."""

import selectors
import socket
import struct
import threading
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


class Proxy:
    """Forwards one connection after another to `port`. A turn is the client sending after the server did."""

    def __init__(self, port: int) -> None:
        self.turns = 0
        self._upstream = port
        self._listener = socket.create_server((HOST, 0))
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._bytes_left: int | None = None
        self._reset = False

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def cut_after(self, answered_bytes: int, *, reset: bool = False) -> None:
        """Forwards this much more of the server's response, then closes both directions: normally, or with a reset."""
        self._bytes_left = answered_bytes
        self._reset = reset

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.close()
        self._thread.join()
        self._stopped.close()
        self._listener.close()

    def _serve(self) -> None:
        while self._await_client():
            client, _ = self._listener.accept()
            with client, socket.create_connection((HOST, self._upstream)) as server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._converse(client, server)
                if self._reset:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._bytes_left, self._reset = None, False

    def _await_client(self) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            return all(key.fileobj is self._listener for key, _ in selector.select())

    def _converse(self, client: socket.socket, server: socket.socket) -> None:
        server_spoke = True
        with selectors.DefaultSelector() as selector:
            for end in (client, server, self._stopped):
                selector.register(end, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                speaker, listener = (client, server) if client in ready else (server, client)
                heard = b"" if self._stopped in ready else speaker.recv(1 << 16)
                if speaker is client:
                    self.turns += server_spoke
                    server_spoke = False
                else:
                    heard, server_spoke = self._cut(heard), True
                listener.sendall(heard)
                if not heard or self._bytes_left == 0:
                    return

    def _cut(self, heard: bytes) -> bytes:
        if self._bytes_left is None:
            return heard
        passed = heard[: self._bytes_left]
        self._bytes_left -= len(passed)
        return passed
