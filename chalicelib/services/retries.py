"""Whether and when a run that failed is tried again."""

import random
from datetime import datetime, timedelta

from chalicelib import clock
from chalicelib.errors import AppError, RateLimited, TransientFault

MAX_ATTEMPTS = 6
"""Attempts in a row, without a stored page between them, after which a passing fault counts as a lasting one."""
MAX_RATE_LIMITED_ATTEMPTS = 50
FIRST_BACKOFF = timedelta(seconds=30)
LONGEST_BACKOFF = timedelta(hours=1)


def resume_at(error: AppError, attempts: int) -> datetime | None:
    """When to try again after `attempts` in a row, or None when there is no use in it."""
    if isinstance(error, RateLimited):
        return (error.resume_at or clock.now() + _backoff(attempts)) if attempts < MAX_RATE_LIMITED_ATTEMPTS else None
    if isinstance(error, TransientFault) and attempts < MAX_ATTEMPTS:
        return clock.now() + _backoff(attempts)
    return None


def _backoff(attempts: int) -> timedelta:
    """Exponential with full jitter, so that runs which failed together do not come back together."""
    longest: timedelta = min(FIRST_BACKOFF * 2 ** min(attempts, 16), LONGEST_BACKOFF)
    return random.uniform(0.1, 1) * longest  # noqa: S311  spreads load, hides nothing
