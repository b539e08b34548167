"""Whether and when what failed is tried again."""

import random
from datetime import datetime, timedelta

from chalicelib import clock
from chalicelib.errors import AppError, PlatformError

MAX_ATTEMPTS_WITHOUT_PROGRESS = 6
"""Attempts in a row, without a stored page between them, after which a passing fault counts as a lasting one."""
FIRST_BACKOFF = timedelta(seconds=30)
LONGEST_BACKOFF = timedelta(hours=1)
LONGEST_WAIT = timedelta(days=1)
"""However far ahead a platform's answer points: it may be mistaken, and asking once a day harms nobody."""


def delay_after(error: AppError, *, attempts: int, attempts_without_progress: int) -> timedelta | None:
    """How long a run waits before it is tried again, or None when there is no use in it.

    A span, not a moment: it is the database that knows what time it is, whatever a worker's clock says.
    """
    if error.retry.waits:
        resume_at = resume_at_of(error)
        return backoff(attempts) if resume_at is None else time_until(resume_at)
    if error.retry.is_retried and attempts_without_progress < MAX_ATTEMPTS_WITHOUT_PROGRESS:
        return backoff_after(error, attempts_without_progress)
    return None


def resume_at_of(error: AppError) -> datetime | None:
    """When a platform wants to be asked again, where it says so."""
    return error.resume_at if isinstance(error, PlatformError) else None


def backoff_after(error: AppError, attempts: int) -> timedelta:
    """A backoff, or as long as the platform asked for if that is longer."""
    asked = resume_at_of(error)
    return max(backoff(attempts), time_until(asked)) if asked else backoff(attempts)


def time_until(moment: datetime) -> timedelta:
    """How long to wait for a moment that a platform named. Every such wait passes through here, and none is longer than
    LONGEST_WAIT."""
    return min(max(moment - clock.now(), timedelta()), LONGEST_WAIT)


def backoff(attempts: int) -> timedelta:
    """Exponential with full jitter, so that runs which failed together do not come back together."""
    longest: timedelta = min(FIRST_BACKOFF * 2 ** min(attempts, 16), LONGEST_BACKOFF)
    return random.uniform(0.1, 1) * longest  # noqa: S311  spreads load, hides nothing
