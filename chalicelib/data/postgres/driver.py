"""pg8000 with one network round trip per statement instead of three.

pg8000 waits for a response after Parse, after Describe and after Execute. Here all messages of a statement are sent
together, and an opening BEGIN or a closing COMMIT can be sent with them. This depends on pg8000's internals, so that
version is pinned exactly and `tests/data/test_driver.py` verifies the behavior.
"""

import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import msgspec
from pg8000.converters import make_params
from pg8000.core import (
    BIND,
    DESCRIBE,
    EXECUTE_MSG,
    PARSE,
    PORTAL,
    QUERY,
    SYNC_MSG,
    Context,
    H_pack,
    _create_message,
    _flush,
    _write,
    i_pack,
)
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.legacy import Connection as Pg8000Connection

from chalicelib import telemetry

JSON_OIDS = (114, 3802)
NO_PARAMETERS = (list, tuple, dict, object)
"""pg8000 writes arrays and rows without quoting everything that needs it, and writes unknown types as their str."""
NULL_BYTE = b"\x00"
UNPROVED = "TP001"
"""The SQLSTATE of the warning from `cross_tenant.current_studio()` that a studio is named but not proved."""
LIVENESS = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
"""A peer that vanished silently is noticed after about ten seconds, not after the kernel's two hours: by probes on an
idle connection, otherwise by unacknowledged data. Only options that the system knows; the last one in ms."""


NAMES_ONLY = frozenset("SVCMPstcdnFLR")
"""The fields of an error that quote no value, if its message does not; without DETAIL, HINT, CONTEXT and internal SQL:
postgresql.org/docs/18/protocol-error-fields.html"""
STATES_WITHOUT_VALUES = ("08", "0A", "23", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58")
"""Classes whose messages name only schema objects, a role or a limit. Others, above all 22, quote values that could
not be parsed: postgresql.org/docs/18/errcodes-appendix.html"""
WITHHELD = "withheld, since it may quote a value"


class QueryStatistics(msgspec.Struct):
    """The statements and round trips counted inside `query_statistics()`."""

    round_trips: int = 0
    statements: list[str] = []


class NotSent(InterfaceError):  # type: ignore[misc]  # pg8000 is untyped
    """The connection broke before the whole pipeline was sent: its end, such as a COMMIT, was not executed."""


class Unproved(DatabaseError):  # type: ignore[misc]  # pg8000 is untyped
    """A statement met row-level security with a studio that is not proved: it saw and changed nothing."""


_statistics: ContextVar[QueryStatistics | None] = ContextVar("statistics", default=None)


@contextmanager
def query_statistics() -> Iterator[QueryStatistics]:
    """Counts the statements and round trips of this context, whichever connection they use."""
    statistics = QueryStatistics()
    token = _statistics.set(statistics)
    try:
        yield statistics
    finally:
        _statistics.reset(token)


class PgConnection(Pg8000Connection):  # type: ignore[misc]  # pg8000 is untyped
    """A connection that returns JSON as text and sends every statement as one pipeline."""

    has_session_settings = True
    """False behind a pooler: then each transaction sends its own"""

    def __init__(
        self, user: str, *, host: str = "localhost", port: int = 5432, timeout: float | None = None, **kwargs: Any
    ) -> None:
        """`timeout` applies to each step of connecting, and is the longest silence afterwards; `kwargs` are
        pg8000's."""
        self._sock: Any = None
        sock = _open_socket(host, port, timeout)
        try:
            super().__init__(user, host=host, port=port, sock=sock, **kwargs)
        except BaseException:
            sock.close()
            raise
        for oid in JSON_OIDS:
            self.register_in_adapter(oid, str)
        for kind in NO_PARAMETERS:
            self.register_out_adapter(kind, _refuse)

    @property
    def is_broken(self) -> bool:
        return self._sock is None

    @property
    def in_transaction(self) -> bool:
        """As last reported by the server; also true for a failed transaction that must still be rolled back."""
        return bool(self._in_transaction)

    @property
    def closed_by_server(self) -> bool:
        """Whether the server has sent something unsolicited: a shutdown notice, or the end of the stream. It takes no
        round trip, so a silent failover goes unnoticed."""
        if self.is_broken:
            return True
        news = select.poll()
        news.register(self._usock, select.POLLIN)
        return bool(news.poll(0))

    def set_socket_timeout(self, seconds: float | None) -> None:
        """The longest time the socket may be silent; unlimited if None."""
        self._usock.settimeout(seconds)

    def ping(self, within_seconds: float) -> bool:
        """Requests a sign of life; a connection that gives none in time is abandoned."""
        timeout = self._usock.gettimeout()
        try:
            self.set_socket_timeout(within_seconds)
            self.execute_simple("")
            self.set_socket_timeout(timeout)
        except (InterfaceError, DatabaseError, OSError):
            self.abandon()
            return False
        return True

    def pipeline(
        self,
        statement: str,
        values: Sequence[Any] = (),
        *,
        before: str = "",
        first: tuple[str, Sequence[str]] | None = None,
        after: str = "",
    ) -> list[list[Any]]:
        """Sends `before` (simple SQL), the statement, and `after` in one round trip; returns the statement's rows.

        `first` is another statement with its values; it returns no rows and is sent ahead as part of the statement.
        If one part fails, the server skips or rolls back the rest, and the first error is raised. A connection that
        breaks or is interrupted midway is closed and never reused out of step.
        """
        result = Context(statement)
        message = _extended(statement, make_params(self.py_types, values), self._client_encoding)
        if first is not None:
            message = _executed(*first, self._client_encoding) + message
        self._fly(
            [
                *([(_simple(before, self._client_encoding), Context(before))] if before else []),
                (message, result),
                *([(_simple(after, self._client_encoding), Context(after))] if after else []),
            ]
        )
        return result.rows or []

    def execute_simple(self, statement: str) -> Context:
        context = Context(statement)
        self._fly([(_simple(statement, self._client_encoding), context)])
        return context

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: Any = None
    ) -> Context:
        if stream is not None:
            return super().execute_unnamed(statement, vals=vals, oids=oids, stream=stream)
        context = Context(statement)
        message = _extended(statement, make_params(self.py_types, vals), self._client_encoding, oids)
        self._fly([(message, context)])
        return context

    def _fly(self, parts: Sequence[tuple[bytes, Context]]) -> None:
        if self.is_broken:
            raise InterfaceError("connection is closed")
        telemetry.count("Statements", len(parts))
        telemetry.count("RoundTrips")
        if statistics := _statistics.get():
            statistics.round_trips += 1
            statistics.statements.extend(context.statement for _, context in parts)
        failure: Exception | None = None
        try:
            self._send(b"".join(message for message, _ in parts))
            for _, context in parts:
                try:
                    self.handle_messages(context)
                except (DatabaseError, InterfaceError) as error:
                    if error is not context.error:
                        raise
                    failure = failure or _discreet(error)
        except OSError as error:
            self.abandon()
            raise InterfaceError("network error") from error
        except BaseException:
            self.abandon()
            raise
        if any(getattr(context, "is_unproved", False) for _, context in parts):
            raise Unproved({"C": UNPROVED, "M": "the studio is not proved"}) from failure
        if failure is not None:
            raise failure

    def handle_NOTICE_RESPONSE(self, data: bytes, context: Context) -> None:
        if b"C" + UNPROVED.encode() in bytes(data).split(NULL_BYTE):
            context.is_unproved = True

    def _send(self, pipeline: bytes) -> None:
        try:
            _write(self._sock, pipeline)
            _flush(self._sock)
        except (InterfaceError, OSError) as error:
            raise NotSent("network error") from error

    def close(self) -> None:
        """Sends Terminate if the peer is still there."""
        if not self.is_broken:
            with suppress(InterfaceError):
                super().close()

    def abandon(self) -> None:
        """Drops the socket without Terminate: pending data belongs to a statement whose result is no longer awaited."""
        if self.is_broken:
            return
        with suppress(OSError):  # or closing would send the rest of a pipeline that could not be sent
            self._usock.shutdown(socket.SHUT_RDWR)
        for closable in (self._sock, self._usock):
            with suppress(OSError):
                closable.close()
        self._sock = None


def _open_socket(host: str, port: int, timeout: float | None) -> socket.socket:
    """pg8000 creates sockets without TCP_NODELAY: then the data after a TLS handshake waits for a delayed
    acknowledgment, 40 ms at each login."""
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in LIVENESS.items():
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock


def _refuse(value: Any) -> str:
    raise TypeError(f"a {type(value).__name__} cannot be a parameter: encode it as JSON, as `Query` does with lists")


def _discreet(error: Exception) -> Exception:
    """Removes everything that may quote a value, and so what a studio's customers wrote: errors end up in logs.

    The SQLSTATE, the names of table, column and constraint, and the location in the server's source stay.
    """
    if error.args and isinstance(error.args[0], dict):
        fields = error.args[0]
        for name in fields.keys() - NAMES_ONLY:
            del fields[name]
        if not fields.get("C", "").startswith(STATES_WITHOUT_VALUES):
            fields["M"] = WITHHELD
    return error


def sqlstate(error: BaseException) -> str:
    """The server's code for the error, if it has one."""
    details = error.args[0] if error.args else {}
    return str(details.get("C", "")) if isinstance(details, dict) else ""


def _simple(sql: str, encoding: str) -> bytes:
    return bytes(_create_message(QUERY, sql.encode(encoding) + NULL_BYTE))


def _extended(statement: str, params: Sequence[str | None], encoding: str, oids: Sequence[int] = ()) -> bytes:
    """Parse, Bind, Describe, Execute and Sync of the unnamed statement."""
    opened = _bound(statement, params, encoding, oids)
    return b"".join((opened, _create_message(DESCRIBE, PORTAL + NULL_BYTE), EXECUTE_MSG, SYNC_MSG))


def _executed(statement: str, params: Sequence[str | None], encoding: str) -> bytes:
    """The same for a statement without rows and without the Sync: if it fails, the following one fails too."""
    return b"".join((_bound(statement, params, encoding), EXECUTE_MSG))


def _bound(statement: str, params: Sequence[str | None], encoding: str, oids: Sequence[int] = ()) -> bytes:
    parse = bytearray(NULL_BYTE + statement.encode(encoding) + NULL_BYTE + H_pack(len(oids)))
    for oid in oids:
        parse.extend(i_pack(0 if oid == -1 else oid))
    bind = bytearray(NULL_BYTE + NULL_BYTE + H_pack(0) + H_pack(len(params)))
    for param in params:
        if param is None:
            bind.extend(i_pack(-1))
        else:
            value = param.encode(encoding)
            bind.extend(i_pack(len(value)) + value)
    bind.extend(H_pack(0))
    return b"".join((_create_message(PARSE, bytes(parse)), _create_message(BIND, bytes(bind))))
