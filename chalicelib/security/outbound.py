"""HTTP to a URL that a studio has chosen, for the delivery function alone.

The host is resolved once and all its addresses are checked; the connection goes to one of the checked addresses, so a
name server that answers differently the next time gains nothing. Redirects are not followed.
"""

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import SplitResult

from chalicelib.security.outbound_messages import MAX_RETRY_AFTER_SECONDS, Failure, Outcome
from chalicelib.security.outbound_urls import Refused, judge, split

RESOLVE_SECONDS = 5.0
"""For the name server, which may be the studio's own."""
TIMEOUT_SECONDS = 10.0
"""For each of: connecting, TLS, and any pause while the response arrives."""
TOTAL_SECONDS = 15.0
"""From the connection on. A receiver that sends a byte every nine seconds would otherwise block a function forever."""
LONGEST_SECONDS = RESOLVE_SECONDS + TIMEOUT_SECONDS + TOTAL_SECONDS
"""No receiver can make `post` take longer, so that none can exhaust a function's time."""
READ_BYTES = 1024
NOT_FOUND: Failure = "host_not_found"

Resolve = Callable[..., list[tuple[Any, ...]]]


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    loopback: bool = False,
    resolve: Resolve = socket.getaddrinfo,
) -> Outcome:
    """POSTs once; never raises because of the receiver. `loopback` allows this machine, and http to it."""
    try:
        parts, port = split(url, loopback=loopback)
        address = _resolve(parts.hostname or "", port, resolve, loopback)
        with _connected(address, parts, port) as stream:
            return _ask(stream, parts, body, headers)
    except Refused as refused:
        return Outcome(failure=refused.failure)
    except (OSError, http.client.HTTPException) as error:
        return Outcome(failure=_failure_of(error))


def _failure_of(error: OSError | http.client.HTTPException) -> Failure:
    if isinstance(error, TimeoutError):
        return "timed_out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "certificate_invalid"
    if isinstance(error, ssl.SSLError):
        return "tls_failed"
    return "no_response" if isinstance(error, OSError) else "response_invalid"


def _resolve(host: str, port: int, resolve: Resolve, loopback: bool) -> str:
    """The first address of the host; Refused unless all of them are allowed."""
    addresses = _addresses(host, port, resolve)
    for address in addresses:
        judge(address, loopback=loopback)
    if not addresses:
        raise Refused("the host name does not resolve", NOT_FOUND)
    return addresses[0]


def _addresses(host: str, port: int, resolve: Resolve) -> list[str]:
    """In a thread of its own, because the C library takes as long as a silent name server makes it."""
    found: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found.put([str(entry[4][0]) for entry in resolve(host, port, type=socket.SOCK_STREAM)])
        except Exception as error:  # noqa: BLE001  raised below, or this thread would print it
            found.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = found.get(timeout=RESOLVE_SECONDS)
    except Empty:
        raise Refused("the host name does not resolve", NOT_FOUND) from None
    if isinstance(answer, OSError | UnicodeError):
        raise Refused("the host name does not resolve", NOT_FOUND) from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextmanager
def _connected(address: str, parts: SplitResult, port: int) -> Iterator[socket.socket]:
    plain = socket.create_connection((address, port), timeout=TIMEOUT_SECONDS)
    cut = threading.Event()
    with plain, plain.dup() as watched:
        # Shutting down the copy ends the connection for a pending read, which then sees a regular end.
        watch = threading.Timer(TOTAL_SECONDS, _shut, (watched, cut))
        watch.daemon = True
        watch.start()
        try:
            if parts.scheme == "https":
                with _tls().wrap_socket(plain, server_hostname=parts.hostname) as stream:
                    yield stream
            else:
                yield plain
        finally:
            watch.cancel()
            watch.join()
            if cut.is_set():
                raise TimeoutError


def _shut(connection: socket.socket, cut: threading.Event) -> None:
    cut.set()
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed already


def _ask(stream: socket.socket, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> Outcome:
    connection = http.client.HTTPConnection(parts.hostname or "")
    connection.sock = stream
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    connection.request("POST", target, body, {"Host": parts.netloc, "Connection": "close", **headers})
    try:
        with connection.getresponse() as answer:
            answer.read(READ_BYTES)
            return Outcome(answer.status, retry_after_seconds=_retry_after(answer.getheader("Retry-After", "")))
    except ValueError as error:  # the standard library's, for a head that it cannot read
        raise http.client.HTTPException from error


def _retry_after(value: str) -> int:
    """Zero for a date, which this field may also hold: the next attempt is minutes away in any case."""
    seconds = int(value) if re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII) else 0
    return min(seconds, MAX_RETRY_AFTER_SECONDS)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
