"""Lists that are hard to read: cursors expire, pages are delivered twice or in a different order."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from urllib.parse import urlencode
from urllib.request import Request as Ask
from urllib.request import urlopen

from dev.sandbox.faults import Fault
from dev.sandbox.wire import Json, Request, Response, as_json

CALENDAR = "www.googleapis.com"
GMAIL = "gmail.googleapis.com"
PEEK = "x-peek"
LISTS = {"/events": "items", "/threads": "threads", "/history": "history"}
"""The member that holds a page's records, by path suffix."""

Key = tuple[str, ...]


@dataclass(kw_only=True)
class Listed(Fault):
    """The response of a list, modified by `make`."""

    kind: str = "shape"  # type: ignore[assignment]  # a fault must have one; this one builds its own response
    make: Callable[[Response], Response]

    def apply(self, answer: Callable[[], Response], failure: Callable[[int], Response]) -> Response:
        return self.make(answer())


class Paging:
    """Odds for each request that continues a list. The response to a token stays the same until a restart.

    `forget`   the cursor has expired: Calendar's 410, Gmail's 404 for a list of changes
    `repeat`   the previous page is delivered again
    `reorder`  the records of this page and the next swap places, so all are delivered, but in another order
    """

    def __init__(
        self, chance: random.Random, sandbox_url: str, *, forget: float = 0.0, repeat: float = 0.0, reorder: float = 0.0
    ) -> None:
        self._chance, self._url = chance, sandbox_url
        self._forget, self._repeat, self._reorder = forget, repeat, reorder
        self._lock = Lock()
        self.start_over()

    def start_over(self) -> None:
        """Called when the platform's data have changed: earlier lists end."""
        with self._lock:
            self._sent: dict[Key, Response] = {}
            self._records: dict[Key, list[Json]] = {}

    def fault(self, request: Request, struck: Counter[str]) -> Fault | None:
        member = next((name for end, name in LISTS.items() if request.path.endswith(end)), None)
        if member is None:
            return None
        query = dict(request.query)
        token = query.get("pageToken", "")
        goes_on = bool(token or "syncToken" in query) if request.host == CALENDAR else "startHistoryId" in query
        if goes_on and self._chance.random() < self._forget:
            struck["expired"] += 1
            return Fault(kind="status", status=410 if request.host == CALENDAR else 404)
        before = self._sent.get(_key(request))
        if before and self._chance.random() < self._repeat:
            struck["repeated"] += 1
            return Listed(make=lambda true: before)
        swap = self._chance.random() < self._reorder
        return Listed(make=lambda true: self._page(request, true, member, swap, struck))

    def _page(self, request: Request, true: Response, member: str, swap: bool, struck: Counter[str]) -> Response:
        """Repeating a request returns the same records: a platform that lost some would prove nothing."""
        if true.status != 200:
            return true
        page = json.loads(true.body)
        following = page.get("nextPageToken")
        with self._lock:
            if _key(request) not in self._records:
                self._records[_key(request)] = page.get(member, [])
                if swap and following and _key(there := _next(request, following)) not in self._records:
                    struck["reordered"] += 1
                    self._swap(request, there, member)
            sent = as_json({**page, member: self._records[_key(request)]})
            if following:
                self._sent[_key(_next(request, following))] = sent
        return sent

    def _swap(self, here: Request, there: Request, member: str) -> None:
        self._records[_key(there)] = self._records[_key(here)]
        self._records[_key(here)] = self._ask(there).get(member, [])

    def _ask(self, request: Request) -> Json:
        url = f"{self._url}/{request.host}{request.path}?{urlencode(request.query)}"
        headers = {"Authorization": request.headers["authorization"], PEEK: "1"}
        with urlopen(Ask(url, headers=headers), timeout=10) as answer:  # noqa: S310  the sandbox on loopback
            page: Json = json.load(answer)
            return page


def _next(request: Request, token: str) -> Request:
    rest = tuple((name, value) for name, value in request.query if name != "pageToken")
    return replace(request, query=(*rest, ("pageToken", token)))


def _key(request: Request) -> Key:
    query = sorted(f"{name}={value}" for name, value in request.query)
    return (request.headers.get("authorization", ""), request.host, request.path, *query)
