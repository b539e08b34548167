"""A platform's public keys (RFC 7517), fetched when they are needed and kept as long as it says."""

import re
from threading import Lock
from typing import Any

import msgspec

from chalicelib import clock
from chalicelib.errors import ContractChanged
from chalicelib.platforms.faults import Fault, kind_of
from chalicelib.platforms.transport import Response, Transport

SHORTEST_SECONDS = 60.0
"""An unknown key has the keys fetched anew, but not more often: anybody can name one."""
LONGEST_SECONDS = 86_400.0
MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])", re.IGNORECASE)

Key = dict[str, Any]


class _Keys(msgspec.Struct):
    keys: list[Key]


class KeySet:
    """The keys behind one URL. Threads share it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        self._keys: dict[str, Key] = {}
        self._fetched_at = self._fresh_until = float("-inf")

    def find(self, key_id: str, transport: Transport) -> Key | None:
        """Raises PlatformError when the keys are needed and cannot be had."""
        with self._lock:
            now = clock.monotonic()
            unknown = key_id not in self._keys and now >= self._fetched_at + SHORTEST_SECONDS
            if unknown or now >= self._fresh_until:
                self._fetch(transport, now)
            return self._keys.get(key_id)

    def _fetch(self, transport: Transport, now: float) -> None:
        response = transport.send("GET", self._url, headers={})
        if not response.ok:
            raise transport.error(Fault(kind_of(response.status)), "GET", self._url, response.status)
        try:
            keys = msgspec.json.decode(response.body, type=_Keys).keys
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            fault = Fault(ContractChanged, "the keys cannot be read")
            raise transport.error(fault, "GET", self._url, response.status) from error
        self._keys = {str(key["kid"]): key for key in keys if "kid" in key}
        self._fetched_at, self._fresh_until = now, now + _max_age(response)


def _max_age(response: Response) -> float:
    match = MAX_AGE.search(response.headers.get("cache-control", ""))
    return min(max(float(match[1]) if match else 0.0, SHORTEST_SECONDS), LONGEST_SECONDS)
