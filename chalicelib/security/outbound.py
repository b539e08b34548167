"""HTTP to a URL that a studio has chosen: only to addresses on the public internet, however the URL spells them.

The host is resolved once and all its addresses are checked; the connection goes to one of the checked addresses, so a
name server that answers differently the next time gains nothing. Redirects are not followed.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any
from urllib.parse import SplitResult

import msgspec

from chalicelib.urls import split_url

TIMEOUT_SECONDS = 10.0
"""For each of: connecting, TLS, and any pause while the response arrives."""
TOTAL_SECONDS = 15.0
"""From the connection on. A receiver that sends a byte every nine seconds would otherwise block a worker forever."""
READ_BYTES = 1024
MAX_URL_LENGTH = 2048
PORTS = {"http": 80, "https": 443}
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Python 3.11 considers it public; clouds have metadata services there: iana.org, IPv4 Special-Purpose Address Registry.
PROTOCOL_ASSIGNMENTS = ipaddress.ip_network("192.0.0.0/24")
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address

Resolve = Callable[..., list[tuple[Any, ...]]]


class Posted(msgspec.Struct, frozen=True):
    """The outcome of a request: the status of the response, or why there is none."""

    status: int | None = None
    problem: str = ""


class Refused(Exception):
    """The request was not sent, or got no response; the message says why and names no address."""


def problem_of_url(url: str, *, loopback: bool) -> str:
    """Why this URL would never be called, as far as known without resolving its host; empty if it may be."""
    try:
        parts, _ = _split(url, loopback)
        _judge(ipaddress.ip_address(parts.hostname or ""), loopback)
    except Refused as refused:
        return str(refused)
    except ValueError:
        return ""  # a name, not an address: checked once it is resolved
    return ""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    loopback: bool = False,
    resolve: Resolve = socket.getaddrinfo,
) -> Posted:
    """POSTs once; never raises because of the receiver. `loopback` allows this machine, and http to it."""
    try:
        parts, port = _split(url, loopback)
        address = _resolve(parts.hostname or "", port, resolve, loopback)
        with _connected(address, parts, port) as stream:
            return Posted(status=_ask(stream, parts, body, headers))
    except Refused as refused:
        return Posted(problem=str(refused))
    except TimeoutError:
        return Posted(problem="timed out")
    except ssl.SSLCertVerificationError:
        return Posted(problem="the certificate is not valid for the host")
    except (OSError, http.client.HTTPException):
        return Posted(problem="the connection failed or was closed without a response")


def _split(url: str, loopback: bool) -> tuple[SplitResult, int]:
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise Refused("is not a plain URL")
    parts = split_url(url)
    if parts is None:
        raise Refused("is not a URL")
    port = parts.port or PORTS.get(parts.scheme, 0)
    plain = loopback and parts.scheme == "http" and parts.hostname in LOOPBACK
    if not (parts.scheme == "https" and parts.hostname) and not plain:
        raise Refused("must be an https URL with a host")
    if not loopback and port != PORTS["https"]:
        raise Refused("must use port 443")  # the only port that the functions' firewall allows
    if "@" in parts.netloc or "#" in url:
        raise Refused("must have neither a user name nor a fragment")
    return parts, port


def _resolve(host: str, port: int, resolve: Resolve, loopback: bool) -> str:
    """The first address of the host; Refused unless all of them are allowed."""
    try:
        addresses = [entry[4][0] for entry in resolve(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise Refused("the host name does not resolve") from error
    for address in addresses:
        _judge(ipaddress.ip_address(address), loopback)
    if not addresses:
        raise Refused("the host name does not resolve")
    return str(addresses[0])


def _judge(address: IPv4Address | IPv6Address, loopback: bool) -> None:
    address = _inner(address)
    if loopback and address.is_loopback:
        return
    if not address.is_global or address.is_multicast or address.is_reserved or address in PROTOCOL_ASSIGNMENTS:
        raise Refused("the host is not on the public internet")


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address embedded in an IPv6 one."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(address.packed[-4:])
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


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


def _ask(stream: socket.socket, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection(parts.hostname or "")
    connection.sock = stream
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    connection.request("POST", target, body, {"Host": parts.netloc, "Connection": "close", **headers})
    with connection.getresponse() as answer:
        answer.read(READ_BYTES)
        return answer.status


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
