"""Jobs: what a queue, a schedule or an operator starts. An error is logged once, here, and raised on to the trigger."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeVar

from chalicelib.runtime.invocation import Invocation, invocation_of
from chalicelib.settings import BaseSettings, get_settings

T = TypeVar("T")


def job_invocation(
    name: str, context: Any, settings_of: Callable[[], BaseSettings] = get_settings
) -> AbstractContextManager[Invocation]:
    """The outermost block of a job's function. `context` is Lambda's."""
    return invocation_of("job", context, settings_of, job=name)


def job(work: Callable[[Any], T]) -> Callable[[Any], T]:
    """Wraps an event function: logs how it ended, with the trigger's request id on every line."""

    @wraps(work)
    def run(event: Any) -> T:
        with job_invocation(work.__name__, event.context):
            get_settings()  # what is missing is told before anything begins
            return work(event)

    return run
