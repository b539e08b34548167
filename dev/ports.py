"""Ports on loopback."""

import errno
import socket

from dev.errors import StackError

HOST = "127.0.0.1"


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def ensure_free(port: int) -> None:
    """Raises StackError if another process listens on it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignores closed connections of a previous run
        try:
            probe.bind((HOST, port))
            probe.listen()
        except OSError as error:
            problem = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise StackError(f"port {port} {problem}; choose another one with PORT={port + 1}") from error
