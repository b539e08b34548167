"""The sandbox's recent requests, and their counts; contains no tokens."""

import time
from collections import Counter, deque
from threading import Lock

from dev.sandbox.wire import Json, Request

KEPT = 2_000
SECRET_PARAMS = frozenset(
    {
        "access_token",
        "oauth_token",
        "id_token",
        "token",
        "key",
        "client_secret",
        "code",
        "state",
        "fb_exchange_token",
        "input_token",
    }
)


class RequestLog:
    def __init__(self) -> None:
        self._recent: deque[Json] = deque(maxlen=KEPT)
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, name: str, request: Request, status: int) -> None:
        """`name` is the vendor's id of the method, or `unknown`."""
        entry = {
            "at": round(time.time(), 3),
            "name": name,
            "method": request.method,
            "host": request.host,
            "path": request.path,
            "query": [[key, value] for key, value in request.query if key not in SECRET_PARAMS],
            "status": status,
        }
        with self._lock:
            self._recent.append(entry)
            self._counts[name] += 1

    def list(self) -> list[Json]:
        """The last requests, oldest first; a reset one has status 0."""
        with self._lock:
            return list(self._recent)

    def counts(self) -> dict[str, int]:
        """Requests by name, since the start or the last clear."""
        with self._lock:
            return dict(self._counts)

    def clear(self) -> None:
        with self._lock:
            self._recent.clear()
            self._counts.clear()
