"""One bounded HTTP exchange with a platform: https, named hosts only, no redirects, no retries."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

from chalicelib import clock
from chalicelib.errors import AnswerTooLarge, ContractChanged, PlatformError, TransientFault
from chalicelib.platforms.core.faults import Fault, platform_error, retry_after
from chalicelib.platforms.core.urls import Url, known

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
# Google compresses only when the User-Agent says gzip too: developers.google.com/workspace/calendar, guides/performance
_STANDARD_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "ansel (gzip)"}
_CHUNK_BYTES = 64 * 1024
LEAST_SECONDS = 2.0
"""With less time than this nobody is asked: a refresh that is sent and not waited for may cost the grant."""
# A container thawed after a pause holds connections whose other end is long gone.
_IDLE = timedelta(seconds=50)

_last_used_at = clock.now()

# At DEBUG it prints whole addresses, and Meta wants the client's secret in one.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class Response(msgspec.Struct, frozen=True):
    """What a platform answered; header names are in lower case. The repr shows neither headers nor body."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Response({self.status})"

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Site(Protocol):
    """What the transport needs to know of a platform."""

    @property
    def title(self) -> str: ...
    @property
    def hosts(self) -> frozenset[str]: ...


class Transport(msgspec.Struct, frozen=True, kw_only=True):
    """Reaches the hosts of one platform, and no other."""

    title: str
    hosts: frozenset[str]
    sandbox_url: str = ""
    """When set, https://host/path is asked for at {sandbox_url}/host/path."""
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    total_seconds: float = 60.0
    """Less where whoever asks has less time: `clock.deadline`"""
    max_bytes: int = 32 * 1024 * 1024

    @classmethod
    def to(cls, site: Site, sandbox_url: str = "") -> "Transport":
        return cls(title=site.title, hosts=site.hosts, sandbox_url=sandbox_url.rstrip("/"))

    def send(
        self, method: str, url: Url | str, *, headers: Mapping[str, str], body: str | bytes | None = None
    ) -> Response:
        """Any status is an answer. Raises TransientFault without a whole one, AnswerTooLarge for too large a one."""
        url = known(url)
        outcome = self._exchange(method, self._target(url.address), {**_STANDARD_HEADERS, **headers}, body)
        if isinstance(outcome, Fault):
            # Raised outside the except block, so that no exception holding a request hangs on to this one.
            raise self.error(outcome, method, url)
        return outcome

    def error(
        self,
        fault: Fault,
        method: str,
        url: Url | str,
        response: Response | None = None,
        *,
        now: datetime | None = None,
    ) -> PlatformError:
        """The error of a fault, with the moment that the answer's Retry-After names unless the fault has one.

        It says method, host and path as they were declared: never a value in the path, never the query.
        """
        where = f"{response.status if response else '-'} {method} {known(url).route}"
        if response is not None and fault.resume_at is None:
            fault = msgspec.structs.replace(fault, resume_at=retry_after(response.headers, now or clock.now()))
        return platform_error(self.title, fault, where=where)

    def _target(self, address: str) -> str:
        parts = urlsplit(address)
        if parts.scheme != "https" or parts.netloc not in self.hosts:
            raise ContractChanged(internal=f"{parts.scheme}://{parts.hostname} is not a host of {self.title}")
        query = f"?{parts.query}" if parts.query else ""
        return f"{self.sandbox_url or 'https:/'}/{parts.netloc}{parts.path}{query}"

    def _exchange(
        self, method: str, target: str, headers: dict[str, str], body: str | bytes | None
    ) -> Response | Fault:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        seconds = clock.remaining(self.total_seconds)
        if seconds < LEAST_SECONDS:
            return Fault(TransientFault, "there is no time left to ask")
        deadline = clock.monotonic() + seconds
        try:
            with _pool().request(
                method,
                target,
                body=body,
                headers=headers,
                timeout=Timeout(seconds, connect=self.connect_seconds, read=self.read_seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            ) as answer:
                return self._read(answer, deadline)
        except HTTPError as error:
            return Fault(TransientFault, type(error).__name__)

    def _read(self, answer: "BaseHTTPResponse", deadline: float) -> Response | Fault:
        """Reads no more than allowed, decompressed, and no longer: the socket's timeout alone never ends a trickle."""
        body = bytearray()
        while chunk := answer.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self.max_bytes:
                return Fault(AnswerTooLarge, f"the answer is larger than {self.max_bytes} bytes")
            if clock.monotonic() > deadline:
                return Fault(TransientFault, "the answer took longer than there was time")
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, bytes(body))


def _pool() -> "PoolManager":
    global _last_used_at
    pool, now = _kept_pool(), clock.now()
    if now - _last_used_at > _IDLE:
        pool.clear()
    _last_used_at = now
    return pool


@cache
def _kept_pool() -> "PoolManager":
    """One pool a process, kept between invocations. Importing urllib3 takes 60 ms, so it waits until here."""
    from urllib3 import PoolManager

    return PoolManager(num_pools=16, maxsize=4)
