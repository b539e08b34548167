"""Pages that a platform prepares, such as asynchronous reports: how often and for how long a run polls for one."""

from datetime import timedelta
from typing import Any

from chalicelib import logs
from chalicelib.data.sync.positions import Visit
from chalicelib.errors import ReportOverdue, ReportPending
from chalicelib.platforms.core.contract import Page
from chalicelib.services.throttling.retries import time_until

MIN_WAIT = timedelta(seconds=10)
MAX_WAIT = timedelta(hours=2)
"""In total. A run waits that long, since the next run could not continue with this one's report."""
MAX_ASKS = 60


def outcome_of(visit: Visit, page: Page[Any]) -> dict[str, Any]:
    """What a stored page means for its account. Raises ReportOverdue if the wait is over."""
    if page.ask_again_at is None:
        return {"outcome": "last" if page.last else "page"}
    left = MAX_WAIT.total_seconds() - visit.report_seconds
    if left <= 0 or visit.report_asks >= MAX_ASKS:
        raise ReportOverdue(internal=f"a report is not ready after {visit.report_asks} asks")
    seconds = max(min(time_until(page.ask_again_at).total_seconds(), left), MIN_WAIT.total_seconds())
    logs.event("visit.waiting", account_id=visit.account_id, asks=visit.report_asks + 1, seconds=seconds)
    return {
        "outcome": "waiting",
        "delay_seconds": seconds,
        "code": ReportPending.code,
        "message": ReportPending.title,
    }
