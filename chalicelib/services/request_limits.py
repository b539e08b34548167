"""Request limits: what an API key and its studio may still send, and the response headers that report it.

The buckets are database rows that all containers share. A look-up of the key charges them, and lets its container admit
part of the rest on its own; these requests are charged with the next look-up.
"""

from math import ceil, floor
from typing import NamedTuple

import msgspec

from chalicelib import clock, telemetry
from chalicelib.data.api_keys import Charged
from chalicelib.errors import TooManyRequests
from chalicelib.settings import Limits

PART = 5
"""A look-up admits a fifth of the rest. So each of several containers exceeds a limit by at most a fifth of the burst,
once; the closer the limit, the sooner each looks the key up again."""


class Limit(NamedTuple):
    """A token bucket."""

    name: str
    per_second: int
    burst: int

    @property
    def policy(self) -> str:
        """The window is the time that an empty bucket takes to fill up."""
        return f'"{self.name}";q={self.burst};w={ceil(self.burst / self.per_second)}'

    def wait_seconds(self, left: float) -> int:
        """Seconds until there is room for a request"""
        return max(1, ceil((1 - left) / self.per_second))


class Balance(msgspec.Struct, frozen=True):
    """The rest of a limit, and the number of seconds that it should last."""

    limit: Limit
    left: int
    seconds: int


def limits_of(settings: Limits) -> tuple[Limit, Limit]:
    """The limits of a key and of its studio."""
    return (
        Limit("key", settings.key_requests_per_second, settings.key_request_burst),
        Limit("studio", settings.studio_requests_per_second, settings.studio_request_burst),
    )


def headers_of(balances: tuple[Balance, ...]) -> dict[str, str]:
    """The fields of draft-ietf-httpapi-ratelimit-headers. `r` divided by `t` never exceeds a limit's rate."""
    if not balances:
        return {}
    return {
        "RateLimit-Policy": ", ".join(each.limit.policy for each in balances),
        "RateLimit": ", ".join(f'"{each.limit.name}";r={each.left};t={each.seconds}' for each in balances),
    }


class Allowance:
    """What one container knows about the limits of one key. Not thread-safe."""

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.uncharged = 0
        """Requests admitted here since the last look-up"""
        self._limits = limits
        self._left: tuple[float, ...] = ()
        self._free = 0
        self._refused_by: Limit | None = None
        self._refused_until = 0.0

    def admit(self) -> bool:
        """Admits a request if that needs no look-up. Raises TooManyRequests while a limit is exceeded."""
        self.require()
        if self._free < 1:
            return False
        self._free -= 1
        self.uncharged += 1
        return True

    def note(self, charged: tuple[Charged, ...]) -> None:
        """Records the result of a look-up, with the buckets in the order of the limits."""
        self._left = tuple(bucket.left for bucket in charged)
        refused = next((i for i, bucket in enumerate(charged) if not bucket.admitted), None)
        if refused is None:
            self._refused_by = None
            self._free = max(0, floor(min(self._left) / PART) - self.uncharged)
        else:
            self._refused_by = self._limits[refused]
            self._refused_until = clock.monotonic() + self._refused_by.wait_seconds(self._left[refused])
            self._free = 0

    def require(self) -> None:
        """Raises TooManyRequests until the `Retry-After` of an exceeded limit has passed."""
        if self._refused_by is None or clock.monotonic() >= self._refused_until:
            return
        limit, seconds = self._refused_by, max(1, ceil(self._refused_until - clock.monotonic()))
        telemetry.count("RequestsRefused", limit=limit.name)
        raise TooManyRequests(
            f"The limit of this {limit.name} is {limit.per_second} requests per second, and {limit.burst} at once",
            retry_after_seconds=seconds,
            headers=headers_of((Balance(limit, 0, seconds),)),
        )

    def balances(self) -> tuple[Balance, ...]:
        """What the caller may still send, as far as this container knows."""
        whole = [max(0, floor(left - self.uncharged)) for left in self._left]
        return tuple(
            Balance(limit, left, max(1, ceil(left / limit.per_second)))
            for limit, left in zip(self._limits, whole, strict=True)
        )
