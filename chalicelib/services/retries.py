"""Whether and when what failed is tried again."""

import random
from datetime import timedelta

from chalicelib import clock
from chalicelib.errors import AppError, RateLimited, TransientFault

MAX_IDLE_ATTEMPTS = 6
"""Attempts in a row, without a stored page between them, after which a passing fault counts as a lasting one."""
FIRST_BACKOFF = timedelta(seconds=30)
LONGEST_BACKOFF = timedelta(hours=1)


def delay_after(error: AppError, *, attempts: int, idle_attempts: int) -> timedelta | None:
    """How long a run waits before it is tried again, or None when there is no use in it. A rate limit may last.

    A span, not a moment: it is the database that knows what time it is, whatever a worker's clock says.
    """
    if isinstance(error, RateLimited):
        return max(error.resume_at - clock.now(), timedelta()) if error.resume_at else backoff(attempts)
    if isinstance(error, TransientFault) and idle_attempts < MAX_IDLE_ATTEMPTS:
        return backoff(idle_attempts)
    return None


def backoff(attempts: int) -> timedelta:
    """Exponential with full jitter, so that runs which failed together do not come back together."""
    longest: timedelta = min(FIRST_BACKOFF * 2 ** min(attempts, 16), LONGEST_BACKOFF)
    return random.uniform(0.1, 1) * longest  # noqa: S311  spreads load, hides nothing
