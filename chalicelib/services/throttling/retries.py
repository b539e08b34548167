"""Whether and when failed work is retried."""

import random
from datetime import datetime, timedelta

from chalicelib import clock
from chalicelib.errors import AppError, PlatformError

MAX_ATTEMPTS_WITHOUT_PROGRESS = 6
"""Consecutive attempts without a stored page after which a transient fault counts as permanent."""
FIRST_BACKOFF = timedelta(seconds=30)
LONGEST_BACKOFF = timedelta(hours=1)
LONGEST_WAIT = timedelta(days=1)
"""Limits what a platform's response asks for: it may be wrong, and one call per day is harmless."""


def delay_after(error: AppError, *, attempts: int, attempts_without_progress: int) -> timedelta | None:
    """How long a run waits before it is retried, or None if a retry is pointless.

    A duration, not a time: only the database's clock counts, whatever a worker's says.
    """
    if error.retry.waits:
        resume_at = resume_at_of(error)
        return backoff(attempts) if resume_at is None else time_until(resume_at)
    if error.retry.is_retried and attempts_without_progress < MAX_ATTEMPTS_WITHOUT_PROGRESS:
        return backoff_after(error, attempts_without_progress)
    return None


def resume_at_of(error: AppError) -> datetime | None:
    """When a platform may be called again, if it says so."""
    return error.resume_at if isinstance(error, PlatformError) else None


def backoff_after(error: AppError, attempts: int) -> timedelta:
    """A backoff, or the wait that the platform requested if that is longer."""
    resume_at = resume_at_of(error)
    return max(backoff(attempts), time_until(resume_at)) if resume_at else backoff(attempts)


def time_until(moment: datetime) -> timedelta:
    """How long to wait until a time that a platform named, LONGEST_WAIT at most. All such waits are computed here."""
    return min(max(moment - clock.now(), timedelta()), LONGEST_WAIT)


def backoff(attempts: int) -> timedelta:
    """Exponential with full jitter, so that runs that failed together do not resume together."""
    longest: timedelta = min(FIRST_BACKOFF * 2 ** min(attempts, 16), LONGEST_BACKOFF)
    return random.uniform(0.1, 1) * longest  # noqa: S311  spreads load, hides nothing
