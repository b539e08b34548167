"""Jobs: what a queue or a schedule starts. An error is logged once, here, and raised on: the trigger tries again."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from chalicelib import clock, logs
from chalicelib.settings import get_settings

T = TypeVar("T")


def job(work: Callable[[Any], T]) -> Callable[[Any], T]:
    """Wraps an event function: logs how it ended, with the trigger's request id on every line."""

    @wraps(work)
    def edge(event: Any) -> T:
        logs.configure(get_settings().log_level)
        started = clock.perf_counter()
        with logs.bound(job=work.__name__, request_id=getattr(event.context, "aws_request_id", None)):
            try:
                return work(event)
            except Exception as error:
                logs.event("job.failed", error=error)
                raise
            finally:
                logs.event("job.done", ms=round((clock.perf_counter() - started) * 1000, 2))

    return edge
