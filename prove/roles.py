"""What a forked process does: the stack's own worker or ticker, with the disturbance it is to have in itself."""

import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import dev.ticker
import dev.worker
from chalicelib import clock


def work(*, queue_url: str, timeout_seconds: float, skew_seconds: float) -> None:
    """The real handler on real messages; its clock may be wrong, and its time may be over before it begins."""
    if skew_seconds:
        _skew(timedelta(seconds=skew_seconds))
    setattr(dev.worker, "WORKER_TIMEOUT_SECONDS", timeout_seconds)  # noqa: B010  no constant elsewhere
    worker = dev.worker.Worker(queue_url)
    signal.signal(signal.SIGTERM, worker.stop)
    worker.run()


def tick(*, seconds: float) -> None:
    os.environ["TICK_SECONDS"] = str(seconds)
    dev.ticker.main()


def _skew(by: timedelta) -> None:
    true = clock.now

    def skewed() -> datetime:
        return true() + by

    clock.now = skewed


ROLES: dict[str, Callable[..., Any]] = {"worker": work, "ticker": tick}
