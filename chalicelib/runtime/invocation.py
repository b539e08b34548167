"""What every invocation has in common: ids on each of its log lines, one event at its end, and its metrics."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from chalicelib import clock, logs, telemetry
from chalicelib.errors import AppError, SettingsError
from chalicelib.settings import BaseSettings, get_settings, get_trace_header
from chalicelib.telemetry import Tally

INTERNAL_ERROR = AppError.code
OWN_MS = 4_000
"""Of its time a request keeps so much for the database and its answer, whatever platforms do."""
TRACE_ID = re.compile(r"Root=([\w-]+)")


class _Container:
    """This process, which Lambda keeps for many invocations."""

    is_cold = True


class Invocation:
    """One invocation: `fields` are told in the event of its end, and `failed` counts as an error."""

    def __init__(self, noun: str) -> None:
        self.fields: dict[str, Any] = {}
        self.failed = False
        self._noun = noun

    def fail(self, error: BaseException) -> None:
        """Logs why it failed: the traceback and, to tell failures apart, the code."""
        self.failed = True
        self.fields["code"] = error.code if isinstance(error, AppError) else INTERNAL_ERROR
        logs.event(f"{self._noun}.failed", level=logging.ERROR, error=error, code=self.fields["code"])

    def end(self, **measured: Any) -> None:
        logs.event(f"{self._noun}.done", **self.fields, **measured)


@contextmanager
def invocation_of(
    noun: str,
    context: Any,
    settings_of: Callable[[], BaseSettings] = get_settings,
    *,
    request_id: str | None = None,
    **bound: Any,
) -> Iterator[Invocation]:
    """The outermost block of a function. `context` is Lambda's; what is bound is on each line inside.

    Works without settings as well, so that their lack can be told in the same way as everything else.
    """
    settings, invocation, started = _found(settings_of), Invocation(noun), clock.perf_counter()
    logs.configure(settings.log_level if settings else "INFO")
    is_cold, _Container.is_cold = _Container.is_cold, False
    ids = _ids(context, settings, request_id)
    with logs.bound(**ids, **bound), telemetry.collected() as tally:
        try:
            yield invocation
        except Exception as error:
            invocation.fail(error)
            raise
        finally:
            taken = round((clock.perf_counter() - started) * 1000, 2)
            invocation.end(duration_ms=taken, cold_start=is_cold, **_costs(tally), **_remaining(context))
            _count(tally, failed=invocation.failed, cold=is_cold, duration_ms=taken)
            if settings:
                telemetry.write(tally, settings.stage, {"event": "metrics", **ids})


def deadline_of(context: Any) -> AbstractContextManager[None]:
    """A platform that does not answer is given up while Lambda still lets us store that and tell it."""
    remaining_ms = _remaining_ms(context)
    return nullcontext() if remaining_ms is None else clock.deadline(in_seconds=(remaining_ms - OWN_MS) / 1000)


def _found(settings_of: Callable[[], BaseSettings]) -> BaseSettings | None:
    try:
        return settings_of()
    except SettingsError:
        return None


def _ids(context: Any, settings: BaseSettings | None, request_id: str | None) -> dict[str, str]:
    """Those that are known: a request's id is the gateway's, which its answer shows, and any other one's Lambda's."""
    trace = TRACE_ID.search(get_trace_header())
    ids = {
        "stage": settings.stage if settings else None,
        "function": getattr(context, "function_name", None),
        "request_id": request_id or getattr(context, "aws_request_id", None),
        "trace_id": trace[1] if trace else None,
    }
    return {name: value for name, value in ids.items() if value}


def _costs(tally: Tally) -> dict[str, int]:
    return {"statements": int(tally.total("Statements")), "round_trips": int(tally.total("RoundTrips"))}


def _remaining(context: Any) -> dict[str, int]:
    remaining_ms = _remaining_ms(context)
    return {} if remaining_ms is None else {"remaining_ms": remaining_ms}


def _remaining_ms(context: Any) -> int | None:
    remaining_ms = getattr(context, "get_remaining_time_in_millis", None)
    return int(remaining_ms()) if remaining_ms else None


def _count(tally: Tally, *, failed: bool, cold: bool, duration_ms: float) -> None:
    told = {"Invocations": 1, "Errors": int(failed), "ColdStarts": int(cold), "Duration": duration_ms}
    for name, value in told.items():
        tally.add((name, ()), value)
