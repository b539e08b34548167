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
# Google compresses only if the User-Agent says gzip too: developers.google.com/workspace/calendar, guides/performance
_STANDARD_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "ansel (gzip)"}
_CHUNK_BYTES = 64 * 1024
LEAST_SECONDS = 2.0
"""With less time than this no request is sent: a refresh whose response is not awaited may cost the grant."""
# A container thawed after a pause holds connections that the other end closed long ago.
_IDLE = timedelta(seconds=50)

_last_used_at = clock.now()

# At DEBUG it prints whole URLs, and Meta requires the client's secret in one.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class PlatformResponse(msgspec.Struct, frozen=True):
    """A platform's response; header names are in lower case. The repr shows neither headers nor body."""

    status: int
    headers: Mapping[str, str] = {}
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Response({self.status})"

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


class Site(Protocol):
    """What the transport needs to know about a platform."""

    @property
    def title(self) -> str: ...
    @property
    def hosts(self) -> frozenset[str]: ...


class Transport(msgspec.Struct, frozen=True, kw_only=True):
    """Reaches the hosts of one platform, and no others."""

    title: str
    hosts: frozenset[str]
    sandbox_url: str = ""
    """If set, https://host/path is requested at {sandbox_url}/host/path."""
    connect_seconds: float = 5.0
    read_seconds: float = 30.0
    total_seconds: float = 60.0
    """Shorter if the caller has less time left: `clock.deadline`"""
    max_bytes: int = 32 * 1024 * 1024

    @classmethod
    def to(cls, site: Site, sandbox_url: str = "") -> "Transport":
        return cls(title=site.title, hosts=site.hosts, sandbox_url=sandbox_url.rstrip("/"))

    def send(
        self, method: str, url: Url | str, *, headers: Mapping[str, str], body: str | bytes | None = None
    ) -> PlatformResponse:
        """Returns a response of any status. Raises TransientFault if it is incomplete, AnswerTooLarge if it is too
        large."""
        url = known(url)
        outcome = self._exchange(method, self._target(url.address), {**_STANDARD_HEADERS, **headers}, body)
        if isinstance(outcome, Fault):
            # Raised outside the except block, so that the error keeps no reference to an exception that holds a
            # request.
            raise self.error(outcome, method, url)
        return outcome

    def error(
        self,
        fault: Fault,
        method: str,
        url: Url | str,
        response: PlatformResponse | None = None,
        *,
        now: datetime | None = None,
    ) -> PlatformError:
        """The error of a fault, with the time from the response's Retry-After unless the fault has its own.

        It names method, host and path as declared: never a value in the path, never the query.
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
    ) -> PlatformResponse | Fault:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        seconds = clock.remaining(self.total_seconds)
        if seconds < LEAST_SECONDS:
            return Fault(TransientFault, "there is no time left for the request")
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

    def _read(self, answer: "BaseHTTPResponse", deadline: float) -> PlatformResponse | Fault:
        """Limits the decompressed size and the total time: the socket's timeout alone never ends a trickle."""
        body = bytearray()
        while chunk := answer.read1(_CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > self.max_bytes:
                return Fault(AnswerTooLarge, f"the response is larger than {self.max_bytes} bytes")
            if clock.monotonic() > deadline:
                return Fault(TransientFault, "the response took longer than the time left")
        return PlatformResponse(
            answer.status, {name.lower(): value for name, value in answer.headers.items()}, bytes(body)
        )


def _pool() -> "PoolManager":
    global _last_used_at
    pool, now = _kept_pool(), clock.now()
    if now - _last_used_at > _IDLE:
        pool.clear()
    _last_used_at = now
    return pool


@cache
def _kept_pool() -> "PoolManager":
    """One pool per process, kept between invocations. Importing urllib3 takes 60 ms, so it is delayed until here."""
    from urllib3 import PoolManager

    return PoolManager(num_pools=16, maxsize=4)
