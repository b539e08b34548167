"""pg8000 with one network round trip per statement instead of three.

pg8000 waits for a response after Parse, after Describe and after Execute. Here all messages of a statement are sent
together, and an opening BEGIN or a closing COMMIT can be sent with them. A statement is parsed once per connection and
then executed by name, if the session is ours alone. This depends on pg8000's internals, so that version is pinned
exactly and `tests/data/test_driver.py` verifies the behavior.
"""

import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, NamedTuple

import msgspec
from pg8000.converters import make_params
from pg8000.core import Context, _flush, _write
from pg8000.exceptions import DatabaseError, InterfaceError
from pg8000.legacy import Connection as Pg8000Connection

from chalicelib import telemetry
from chalicelib.data.postgres import messages
from chalicelib.data.postgres.prepared import Prepared, PreparedStatements

JSON_OIDS = (114, 3802)
NO_PARAMETERS = (list, tuple, dict, object)
"""pg8000 writes arrays and rows without quoting everything that needs it, and writes unknown types as their str."""
UNPROVED = "TP001"
"""The SQLSTATE of the warning from `cross_tenant.current_studio()` that a studio is named but not proved."""
UNKNOWN_STATEMENT = "26000"
REVALIDATION = "RevalidateCachedQuery"
"""The server's function that finds that a prepared statement would return other columns than before."""
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


class Statement(NamedTuple):
    """A statement with its values, as a pipeline takes it."""

    sql: str
    values: Sequence[Any] = ()
    is_prepared: bool = True


class Outdated(DatabaseError):  # type: ignore[misc]  # pg8000 is untyped
    """A prepared statement is gone from the session, or would answer other columns since the schema changed.

    It was not carried out, and what came before it in its transaction is undone."""


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


class _Sent(Context):  # type: ignore[misc]  # pg8000 is untyped
    """What a statement's messages are answered with, and what of them the server keeps."""

    def __init__(self, statement: str) -> None:
        super().__init__(statement)
        self.parsing: list[tuple[str, Prepared]] = []
        """Statements in the order in which the server confirms that it has parsed them"""

    def expect(self, prepared: Prepared) -> bytes:
        """Prepares for the statement's columns; the message that asks for them, where they are not known yet."""
        self._prepared = prepared
        if prepared.columns is None:
            return messages.describe()
        self.columns, self.input_funcs = prepared.columns
        self.rows: list[list[Any]] | None = None if self.columns is None else []
        return b""

    def described(self) -> list[list[Any]]:
        """The rows, after the statement has succeeded: from now on its columns are known."""
        self._prepared.columns = self.columns, self.input_funcs
        return self.rows or []


class PgConnection(Pg8000Connection):  # type: ignore[misc]  # pg8000 is untyped
    """A connection that returns JSON as text and sends every statement as one pipeline."""

    has_session_settings = True
    """False behind a pooler: then each transaction sends its own, and no statement is prepared"""

    def __init__(
        self, user: str, *, host: str = "localhost", port: int = 5432, timeout: float | None = None, **kwargs: Any
    ) -> None:
        """`timeout` applies to each step of connecting, and is the longest silence afterwards; `kwargs` are
        pg8000's."""
        self._sock: Any = None
        self.prepared = PreparedStatements()
        self._keeps_statements = True
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
        is_prepared: bool = True,
    ) -> list[list[Any]]:
        """`pipeline_all` of one statement; returns its rows."""
        statements = [Statement(statement, values, is_prepared)]
        (rows,) = self.pipeline_all(statements, before=before, first=first, after=after)
        return rows

    def pipeline_all(
        self,
        statements: Sequence["Statement"],
        *,
        before: str = "",
        first: tuple[str, Sequence[str]] | None = None,
        after: str = "",
    ) -> list[list[list[Any]]]:
        """Sends `before` (simple SQL), the statements, and `after` in one round trip; returns each statement's rows.

        `first` is another statement with its values; it returns no rows and is sent ahead as part of the first one.
        If one part fails, the server skips or rolls back the rest, and the first error is raised: several statements
        need a transaction. A connection that breaks or is interrupted midway is closed and never reused out of step.
        """
        encoded = [each._replace(values=make_params(self.py_types, each.values)) for each in statements]
        try:
            return self._pipeline(encoded, before, first, after)
        except Outdated:
            if not before:
                raise
        return self._pipeline(encoded, f"ROLLBACK; {before}" if self.in_transaction else before, first, after)

    def _pipeline(
        self,
        statements: Sequence["Statement"],
        before: str,
        first: tuple[str, Sequence[str]] | None,
        after: str,
    ) -> list[list[list[Any]]]:
        parts = [self._part(each, first if number == 0 else None) for number, each in enumerate(statements)]
        dropped = b"".join(map(messages.close, self.prepared.take_dropped()))
        try:
            self._exchange(
                [
                    *([(messages.simple(before, self._client_encoding), Context(before))] if before else []),
                    (dropped + parts[0][0], parts[0][1]),
                    *parts[1:],
                    *([(messages.simple(after, self._client_encoding), Context(after))] if after else []),
                ]
            )
        except DatabaseError as error:
            if not any(sent.error and self._is_outdated(sent.error) for _, sent in parts):
                raise
            self.prepared.clear()
            raise Outdated(*error.args) from error
        return [sent.described() for _, sent in parts]

    def _part(self, statement: "Statement", first: tuple[str, Sequence[str]] | None) -> tuple[bytes, "_Sent"]:
        """A statement's messages, and what they are answered with."""
        encoding, sent, message = self._client_encoding, _Sent(statement.sql), b""
        if first is not None:
            parse, ahead = self._parsed(first[0], sent)
            message = parse + messages.bind(ahead.name, first[1], encoding) + messages.EXECUTE
        parse, prepared = self._parsed(statement.sql, sent, is_prepared=statement.is_prepared)
        message += parse + messages.bind(prepared.name, statement.values, encoding)
        return message + sent.expect(prepared) + messages.EXECUTE + messages.SYNC, sent

    def _parsed(self, statement: str, sent: "_Sent", *, is_prepared: bool = True) -> tuple[bytes, Prepared]:
        """What the server knows a statement by, and the message that has it parsed first, where it does not yet."""
        if not (is_prepared and self.has_session_settings and self._keeps_statements):
            return messages.parse(messages.UNNAMED, statement, self._client_encoding), Prepared(messages.UNNAMED)
        kept = self.prepared.find(statement)
        if kept is not None:
            return b"", kept
        prepared = self.prepared.new()
        sent.parsing.append((statement, prepared))
        return messages.parse(prepared.name, statement, self._client_encoding), prepared

    def _is_outdated(self, error: Exception) -> bool:
        if sqlstate(error) == UNKNOWN_STATEMENT:
            self._keeps_statements = False  # something between here and the server shares its sessions
            return True
        return bool(error.args[0].get("R") == REVALIDATION)

    def execute_simple(self, statement: str) -> Context:
        context = Context(statement)
        self._exchange([(messages.simple(statement, self._client_encoding), context)])
        return context

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: Any = None
    ) -> Context:
        if stream is not None:
            return super().execute_unnamed(statement, vals=vals, oids=oids, stream=stream)
        context, encoding = Context(statement), self._client_encoding
        parsed = messages.parse(messages.UNNAMED, statement, encoding, oids)
        bound = messages.bind(messages.UNNAMED, make_params(self.py_types, vals), encoding)
        self._exchange([(parsed + bound + messages.describe() + messages.EXECUTE + messages.SYNC, context)])
        return context

    def _exchange(self, parts: Sequence[tuple[bytes, Context]]) -> None:
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

    def handle_PARSE_COMPLETE(self, data: bytes, context: Context) -> None:
        if isinstance(context, _Sent) and context.parsing:
            self.prepared.keep(*context.parsing.pop(0))

    def handle_NOTICE_RESPONSE(self, data: bytes, context: Context) -> None:
        if b"C" + UNPROVED.encode() in bytes(data).split(messages.NULL_BYTE):
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
