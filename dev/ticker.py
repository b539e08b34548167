"""The schedule: invokes the tick function at once and then every TICK_SECONDS, as EventBridge does every minute."""

import logging
import os
import time

from chalicelib.workers.tick import tick
from dev.invocation import Context, schedule_event

TIMEOUT_SECONDS = 60
log = logging.getLogger("dev.ticker")


def main() -> None:
    interval = float(os.environ.get("TICK_SECONDS", "60"))
    print("ticker ready", flush=True)
    due = time.monotonic()
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + interval, time.monotonic())  # a tick that took too long is not made up for
        try:
            tick(schedule_event("ansel-local-tick"), Context("ansel-local-tick", TIMEOUT_SECONDS))
        except Exception:  # as Lambda: a failed tick does not keep the next one from coming
            log.exception("the tick failed")


if __name__ == "__main__":
    main()
