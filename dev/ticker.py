"""A schedule: invokes the tick or the maintenance at once and then periodically, as EventBridge does.

`python -m dev.ticker tick`, `python -m dev.ticker maintenance`: one process each, because each logs in as its own role.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.workers.maintenance import maintenance
from chalicelib.workers.tick import tick
from dev.invocation import Context, schedule_event
from dev.options import Options

log = logging.getLogger("dev.ticker")


@dataclass
class Rule:
    """An EventBridge schedule and the function it invokes."""

    name: str
    function: Callable[[dict[str, Any], Context], Any]
    interval: float
    timeout_seconds: float
    due: float = field(default_factory=time.monotonic)

    def invoke(self) -> None:
        self.due = max(self.due + self.interval, time.monotonic())  # missed times are not made up for
        try:
            self.function(schedule_event(self.name), Context(self.name, self.timeout_seconds))
        except Exception:  # as in Lambda, a failure does not prevent the next invocation
            log.exception("%s failed", self.name)


def rule_of(name: str, environ: Mapping[str, str]) -> Rule:
    options = Options.from_environ(environ)
    if name == "tick":
        return Rule("ansel-local-tick", tick, options.tick_seconds, 60)
    return Rule("ansel-local-maintenance", maintenance, options.maintenance_seconds, 300)


def main(name: str) -> None:
    rule = rule_of(name, os.environ)
    print(f"{name} ready", flush=True)
    while True:
        time.sleep(max(0.0, rule.due - time.monotonic()))
        rule.invoke()


if __name__ == "__main__":
    main(sys.argv[1])
