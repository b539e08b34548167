"""Platforms that misbehave at random: a seeded generator decides which request goes wrong, and how."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from chaos.paging import CALENDAR, GMAIL, PEEK, Paging
from dev.sandbox.faults import Fault, Faults
from dev.sandbox.wire import Request

TOKENS = "oauth2.googleapis.com"

TROUBLES: Mapping[str, Callable[[], Fault]] = {
    "429": lambda: Fault(kind="status", status=429, headers={"Retry-After": "1"}),
    "500": lambda: Fault(kind="status", status=500),
    "503": lambda: Fault(kind="status", status=503),
    "truncated": lambda: Fault(kind="truncate"),
    "reset": lambda: Fault(kind="reset"),
    "slow": lambda: Fault(kind="slow", seconds=0.3),
}


class Chaos(Faults):
    """Replaces the sandbox's faults. `odds` is the probability, per host, that a request goes wrong.

    `mortal` maps access tokens to the number of requests that each is valid for.
    """

    def __init__(
        self,
        chance: random.Random,
        odds: Mapping[str, float],
        troubles: Sequence[str] = tuple(TROUBLES),
        *,
        paging: Paging | None = None,
    ) -> None:
        super().__init__()
        self.struck: Counter[str] = Counter()
        self.mortal: dict[str, int] = {}
        self.dead: set[str] = set()
        self._chance, self._odds, self._troubles, self._paging = chance, odds, troubles, paging
        self._deck: list[str] = []

    def take(self, request: Request) -> Fault | None:
        if PEEK in request.headers:
            return None
        with self._lock:
            if self._is_dead(request):
                return Fault(kind="status", status=401)
            if self._chance.random() < self._odds.get(request.host, 0.0):
                trouble = self._draw()
                self.struck[trouble] += 1
                return TROUBLES[trouble]()
            return self._paging.fault(request, self.struck) if self._paging else None

    def _is_dead(self, request: Request) -> bool:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.host not in (CALENDAR, GMAIL) or token not in self.mortal:
            return False
        self.mortal[token] -= 1
        if self.mortal[token] >= 0:
            return False
        self.dead.add(token)
        return True

    def _draw(self) -> str:
        """Draws as from a deck that is reshuffled when empty, so that every kind of fault keeps occurring."""
        if not self._deck:
            self._deck = self._chance.sample(self._troubles, len(self._troubles))
        return self._deck.pop()
