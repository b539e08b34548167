"""The only clock of the process. Leases and due times use the database's clock instead."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from time import monotonic, perf_counter

__all__ = ["at", "deadline", "monotonic", "now", "perf_counter", "remaining"]

_fixed: datetime | None = None
_ends_at: ContextVar[float | None] = ContextVar("ends_at", default=None)


def now() -> datetime:
    """The current moment, aware, in UTC."""
    return _fixed or datetime.now(UTC)


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Fixes the time inside the block, in every thread, so that date-dependent code can be tested on any day.

    The monotonic clock and the database's keep running.
    """
    global _fixed
    before, _fixed = _fixed, moment
    try:
        yield
    finally:
        _fixed = before


@contextmanager
def deadline(in_seconds: float) -> Iterator[None]:
    """Inside the block, no wait lasts beyond this many seconds from now."""
    token = _ends_at.set(monotonic() + in_seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining(seconds: float) -> float:
    """These seconds, or the time left until the `deadline` if that is less: zero or negative once it has passed."""
    ends_at = _ends_at.get()
    return seconds if ends_at is None else min(seconds, ends_at - monotonic())
