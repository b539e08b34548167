"""What a forked process does: the stack's own worker or ticker, with the disturbance built in."""

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import dev.ticker
import dev.worker
from chalicelib import clock
from chalicelib.data.connections import FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.postgres.database import read
from chalicelib.errors import AppError
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections import refresh as refreshes
from chalicelib.services.connections import state as connection_state
from chalicelib.services.connections.clients import Session


def work(*, queue_url: str, timeout_seconds: float, skew_seconds: float) -> None:
    """The real handler on real messages; its clock may be wrong, and its time may be up before it starts."""
    if skew_seconds:
        _skew(timedelta(seconds=skew_seconds))
    setattr(dev.worker, "WORKER_TIMEOUT_SECONDS", timeout_seconds)  # noqa: B010  no constant elsewhere
    worker = dev.worker.Worker(queue_url)
    signal.signal(signal.SIGTERM, worker.stop)
    worker.run()


def tick(*, seconds: float) -> None:
    os.environ["TICK_SECONDS"] = str(seconds)
    dev.ticker.main("tick")


def refresh(*, studio_id: str, platform: str, threads: int, at: float, die: str, report: str) -> None:
    """Threads that need the same token at the same moment; reports what each got: its hash, or an error."""
    stored = read(UUID(studio_id), FIND_STORED_CONNECTION, platform=platform, connection=None)
    assert stored is not None
    if die:
        _die(die)
    time.sleep(max(0.0, at - time.time()))
    with ThreadPoolExecutor(threads) as pool:
        got = list(pool.map(_token, [stored] * threads))
    partial = Path(f"{report}.partial")
    partial.write_text(json.dumps(got))
    partial.rename(report)


def _token(stored: StoredConnection) -> str:
    try:
        return sha256(Session(stored, get_platform(stored.platform)).access_token().reveal().encode()).hexdigest()
    except AppError as error:
        return error.code


def _die(step: str) -> None:
    """SIGKILL at one step of a refresh: after the lease was taken, the response received, or the response stored."""
    real = connection_state.replace_tokens

    def fatal(*args: Any, **options: Any) -> None:
        if step == "stored":
            real(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    if step == "leased":
        setattr(oauth2, "refresh", fatal)  # noqa: B010  the step has no hook
    else:
        setattr(refreshes, "replace_tokens", fatal)  # noqa: B010  the step has no hook


def _skew(by: timedelta) -> None:
    """Patches below `clock.now`, so that code holding a reference to it gets the wrong time as well."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one, as by datetime
            return datetime.now(tz) + by

    setattr(clock, "datetime", Skewed)  # noqa: B010  the module does not offer it


ROLES: dict[str, Callable[..., Any]] = {"worker": work, "ticker": tick, "refresher": refresh}
