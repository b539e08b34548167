"""A relay in front of a server on loopback, with or without TLS, that fails the way networks and failovers do."""

import socket
import ssl
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
NO_ENCRYPTION = "28000", "no pg_hba.conf entry for host, no encryption"
NO_OPTION = "0A000", "Feature not supported: RDS Proxy currently doesn't support the option statement_timeout."


class Relay:
    """Forwards connections to `upstream`, a port. A context manager.

    With `tls` it accepts only TLS: it rejects a plain client like a server that has only `hostssl`
    entries. A `pooler` rejects clients that send session settings, as RDS Proxy does.
    """

    def __init__(self, upstream: int, tls: ssl.SSLContext | None = None, *, pooler: bool = False) -> None:
        self.upstream = upstream
        self.taken = 0
        self._tls = tls
        self._pooler = pooler
        self._listener = socket.create_server((HOST, 0))
        self._links: list[_Link] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def fall_silent(self) -> None:
        """From now on the existing connections forward and send nothing; new ones work."""
        for link in self._links:
            link.silent.set()

    def reset(self) -> None:
        """Ends the existing connections with a reset, like a host that does not know them."""
        for link in self._links:
            link.end(reset=True)

    def cut_before_answer(self) -> None:
        """Forwards the next pipeline of the existing connections to the server, and none of its response."""
        for link in self._links:
            link.cut.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            link.end()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.taken += 1
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            secured = self._secure(client) if self._tls else client
        except OSError:  # the client did not like the certificate
            client.close()
            return
        if self._pooler and b"statement_timeout" in client.recv(4096, socket.MSG_PEEK):
            _turn_away(client, *NO_OPTION)
        elif secured is not None:
            self._links.append(_Link(secured, socket.create_connection((HOST, self.upstream))))

    def _secure(self, client: socket.socket) -> ssl.SSLSocket | None:
        assert self._tls
        if client.recv(8, socket.MSG_PEEK) != SSL_REQUEST:
            _turn_away(client, *NO_ENCRYPTION)
            return None
        client.recv(8)
        client.sendall(b"S")
        return self._tls.wrap_socket(client, server_side=True)


def _turn_away(client: socket.socket, state: str, message: str) -> None:
    fields = f"SFATAL\0VFATAL\0C{state}\0M{message}\0\0".encode()
    client.recv(4096)  # otherwise the close would be a reset, and the message lost
    client.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
    client.close()


class _Link:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client, self._server = client, server
        self.silent, self.cut, self._ended = threading.Event(), threading.Event(), threading.Event()
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ways = ((client, server), (server, client))
        self._threads = [threading.Thread(target=self._pass, args=way, daemon=True) for way in ways]
        for thread in self._threads:
            thread.start()

    def end(self, *, reset: bool = False) -> None:
        """When it returns, the client's system has received the end."""
        self._ended.set()
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:  # a socket closes once no thread reads from it
            if thread is not threading.current_thread():
                thread.join()
        with suppress(OSError):
            if reset:
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._client.close()
            self._server.close()

    def _pass(self, speaker: socket.socket, listener: socket.socket) -> None:
        with suppress(OSError):
            while heard := speaker.recv(1 << 16):
                if self.silent.is_set():
                    continue
                if self.cut.is_set() and listener is self._client:
                    break
                listener.sendall(heard)
        # If one side ends or fails, the other is ended; silence stays silence.
        for end in () if self._ended.is_set() or self.silent.is_set() else (speaker, listener):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
