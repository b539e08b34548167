"""The platform that is synced from: the sandbox in a separate process, whose records change on command.

A page that was requested before and has not changed since is served from memory.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dev.process import ROOT
from dev.sandbox import CLIENT_ID, CLIENT_SECRET, Sandbox


@dataclass(frozen=True)
class Source:
    """A running source. `environ` points the product at it."""

    url: str
    _child: "subprocess.Popen[str]"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PLATFORM_SANDBOX_URL": self.url,
            "GOOGLE_CLIENT_ID": CLIENT_ID,
            "GOOGLE_CLIENT_SECRET": CLIENT_SECRET,
        }

    def change(self, account: str, *, events: int = 0, messages: int = 0, edition: int = 0) -> None:
        """The first `events` events take place elsewhere from now on, and `messages` messages arrive."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        order = {"account": account, "events": events, "messages": messages, "edition": edition}
        self._child.stdin.write(json.dumps(order) + "\n")
        self._child.stdin.flush()
        assert self._child.stdout.readline() == "done\n"


@contextmanager
def running() -> Iterator[Source]:
    command = [sys.executable, "-m", "benchmarks.source"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        yield Source(child.stdout.readline().strip(), child)
        child.communicate()  # it ends when its input does


def place_of(edition: int) -> str:
    """Where an event of this edition takes place."""
    return f"Hall {edition}, Berlin"


def main() -> None:
    with Sandbox() as sandbox:
        print(sandbox.url, flush=True)
        for line in sys.stdin:
            _change(sandbox, **json.loads(line))
            print("done", flush=True)


def _change(sandbox: Sandbox, account: str, events: int, messages: int, edition: int) -> None:
    stored = sandbox.google.account(account).events
    changes: dict[str, Any] = {"location": place_of(edition)}
    for index in range(events):
        sandbox.google.update_event(stored[index]["id"], changes, account)
    for _ in range(messages):
        sandbox.google.add_message(account=account)


if __name__ == "__main__":
    main()
