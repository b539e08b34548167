"""Platforms that misbehave at random: which request goes wrong, and how, is drawn from a seeded generator."""

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dev.sandbox.faults import Fault, Faults
from dev.sandbox.wire import Request, Response

CALENDAR = "www.googleapis.com"
GMAIL = "gmail.googleapis.com"
TOKENS = "oauth2.googleapis.com"

Make = Callable[[], Fault]
TROUBLES: Mapping[str, Make] = {
    "429": lambda: Fault(kind="status", status=429, headers={"Retry-After": "1"}),
    "500": lambda: Fault(kind="status", status=500),
    "503": lambda: Fault(kind="status", status=503),
    "truncated": lambda: Fault(kind="truncate"),
    "reset": lambda: Fault(kind="reset"),
    "slow": lambda: Fault(kind="slow", seconds=0.3),
}


@dataclass(kw_only=True)
class Remembered(Fault):
    """The true answer, kept under the token of the page after it; or, when `again`, that of the page before."""

    kind: str = "slow"  # type: ignore[assignment]  # a fault must have one; this one answers by itself
    pages: dict[str, Response] = field(default_factory=dict)
    token: str = ""
    again: bool = False

    def apply(self, answer: Callable[[], Response], failure: Callable[[int], Response]) -> Response:
        if self.again:
            return self.pages[self.token]
        response = answer()
        following = json.loads(response.body or b"{}").get("nextPageToken") if response.status == 200 else None
        if following:
            self.pages[following] = response
        return response


class Chaos(Faults):
    """In place of the sandbox's faults. `odds` say how likely a request to a host goes wrong."""

    def __init__(
        self,
        chance: random.Random,
        odds: Mapping[str, float],
        troubles: Sequence[str] = tuple(TROUBLES),
        *,
        forget: float = 0.0,
        repeat: float = 0.0,
    ) -> None:
        super().__init__()
        self.struck: Counter[str] = Counter()
        self._chance, self._odds, self._troubles = chance, odds, troubles
        self._forget, self._repeat = forget, repeat
        self._pages: dict[str, Response] = {}

    def take(self, request: Request) -> Fault | None:
        with self._lock:
            if self._chance.random() < self._odds.get(request.host, 0.0):
                return self._count(trouble := self._chance.choice(self._troubles), TROUBLES[trouble]())
            return self._paging(request) if self._forget or self._repeat else None

    def _paging(self, request: Request) -> Fault | None:
        """A cursor may have expired (Calendar's 410, Gmail's 404), a page may come twice."""
        query = dict(request.query)
        token = query.get("pageToken", "")
        has_cursor = bool(token or "syncToken" in query) if request.host == CALENDAR else "startHistoryId" in query
        if has_cursor and self._chance.random() < self._forget:
            status = 410 if request.host == CALENDAR else 404
            return self._count("forgotten", Fault(kind="status", status=status))
        if token in self._pages and self._chance.random() < self._repeat:
            return self._count("repeated", Remembered(pages=self._pages, token=token, again=True))
        return Remembered(pages=self._pages)

    def _count(self, what: str, fault: Fault) -> Fault:
        self.struck[what] += 1
        return fault
