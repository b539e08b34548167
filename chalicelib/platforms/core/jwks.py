"""A platform's public keys (RFC 7517), fetched on demand and cached for as long as the platform says.

Anyone can name a key, so the number of requests to the platform does not depend on how many do.
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from threading import Lock
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from chalicelib import clock, logs
from chalicelib.errors import CircuitOpen, ContractChanged, PlatformError
from chalicelib.platforms.core.decoding import decode
from chalicelib.platforms.core.faults import Fault, kind_of
from chalicelib.platforms.core.transport import PlatformResponse, Transport
from chalicelib.platforms.core.urls import url_of

SHORTEST_SECONDS = 60.0
"""An unknown key triggers a new fetch, but not more often than this."""
LONGEST_SECONDS = 86_400.0
STALE_SECONDS = 86_400.0
"""How much longer keys that cannot be refreshed are used, like `stale-if-error` of RFC 5861: longer than an outage,
and a bound on how long a leaked and withdrawn key counts. Rejecting them at once would lose what the platform signs in
the meantime, because it repeats its events only for a while."""
FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 300.0
"""The delay doubles after each failure, up to this."""
FETCH_SECONDS = 5.0
"""The keys are a few kilobytes, and the caller waits with a request open."""
MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])", re.IGNORECASE)

Key = dict[str, Any]


class _KeyList(msgspec.Struct):
    keys: list[Any]


class _RsaKey(msgspec.Struct):
    """The fields a key must have for RS256, the only accepted algorithm."""

    kid: Annotated[str, msgspec.Meta(min_length=1)]
    kty: Literal["RSA"]
    n: str
    e: str


class _Known(NamedTuple):
    """A snapshot of what is known; a fetch replaces it."""

    keys: Mapping[str, Key] = {}
    fetched_at: float = float("-inf")
    fresh_until: float = float("-inf")
    failures: int = 0
    """Since the last successful fetch"""
    retry_at: float = float("-inf")

    def find(self, key_id: str, now: float) -> Key | None:
        return self.keys.get(key_id) if now < self.fresh_until + STALE_SECONDS else None

    def is_due(self, key_id: str, now: float) -> bool:
        """Whether the keys should be fetched to find this one."""
        if now < self.retry_at:
            return False
        is_unknown = key_id not in self.keys and now >= self.fetched_at + SHORTEST_SECONDS
        return is_unknown or now >= self.fresh_until

    def failed(self, now: float) -> "_Known":
        seconds = min(FIRST_RETRY_SECONDS * 2.0 ** min(self.failures, 16), LONGEST_RETRY_SECONDS)
        return self._replace(failures=self.failures + 1, retry_at=now + seconds)


class KeySet:
    """The keys behind one URL. Thread-safe."""

    def __init__(self, url: str) -> None:
        self._url = url_of(url)
        self._fetching = Lock()
        self.forget()

    def forget(self) -> None:
        self._known = _Known()

    def find(self, key_id: str, transport: Transport) -> Key | None:
        """None for a key that is not the platform's. Raises PlatformError while that is unknown."""
        known, now = self._known, clock.monotonic()
        if known.is_due(key_id, now):
            self._fetch_once(known, transport, must_wait=known.find(key_id, now) is None)
        known, now = self._known, clock.monotonic()
        key = known.find(key_id, now)
        if key is None and known.failures:
            seconds = max(known.retry_at - now, 0.0)
            resume_at = clock.now() + timedelta(seconds=seconds)
            raise CircuitOpen(internal=f"{self._url.route} failed {known.failures} times", resume_at=resume_at)
        return key

    def _fetch_once(self, known: _Known, transport: Transport, *, must_wait: bool) -> None:
        """Does nothing if another thread fetches now or has just done so. Raises PlatformError only if there is no
        usable key."""
        if not self._fetching.acquire(blocking=must_wait):
            return
        try:
            if self._known is known:
                self._fetch(known, transport)
        except PlatformError:
            if must_wait:
                raise
        finally:
            self._fetching.release()

    def _fetch(self, known: _Known, transport: Transport) -> None:
        try:
            with clock.deadline(clock.remaining(FETCH_SECONDS)):
                response = transport.send("GET", self._url, headers={})
            keys = self._read(response, transport)
        except PlatformError as error:
            now = clock.monotonic()
            self._known = known.failed(now)
            seconds = self._known.retry_at - now
            logs.event("key_set.failed", reason=str(error), failures=self._known.failures, retry_in_seconds=seconds)
            raise
        now = clock.monotonic()
        self._known = _Known(keys, now, now + _max_age(response))

    def _read(self, response: PlatformResponse, transport: Transport) -> dict[str, Key]:
        key_list = decode(response.body, _KeyList) if response.ok else Fault(kind_of(response.status))
        if isinstance(key_list, Fault):
            raise transport.error(key_list, "GET", self._url, response)
        keys = {entry["kid"]: entry for entry in key_list.keys if _is_usable(entry)}
        if not keys:
            fault = Fault(ContractChanged, f"none of {len(key_list.keys)} keys can be used")
            raise transport.error(fault, "GET", self._url, response)
        logs.event("key_set.fetched", keys=len(keys), passed_over=len(key_list.keys) - len(keys))
        return keys


def _is_usable(entry: Any) -> bool:
    try:
        msgspec.convert(entry, _RsaKey)
    except msgspec.ValidationError:
        return False
    return True


def _max_age(response: PlatformResponse) -> float:
    match = MAX_AGE.search(response.headers.get("cache-control", ""))
    return min(max(float(match[1]) if match else 0.0, SHORTEST_SECONDS), LONGEST_SECONDS)
