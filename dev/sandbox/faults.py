"""Faults on demand: which requests go wrong, from when, how often and in which way."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from threading import Lock
from typing import Any, Literal, get_args

from dev.sandbox.wire import Json, Request, Response, as_json

Kind = Literal["status", "slow", "reset", "truncate", "shape"]


@dataclass(kw_only=True)
class Fault:
    """What goes wrong with requests that match `host`, `method` and `path`; an empty one matches all.

    status    responds with `status`, `headers` and `body`, by default in the vendor's own wording
    slow      sends half of the real response, then waits `seconds` before the rest
    reset     resets the connection
    truncate  closes the connection in the middle of the real response
    shape     changes the real response by `body`, a JSON merge patch (RFC 7396: null removes a member)
    """

    kind: Kind
    host: str = ""
    method: str = ""
    path: str = ""
    """A regular expression that must match the start of the path."""
    after: int = 0
    """The number of matching requests that first pass unharmed."""
    times: int | None = 1
    """The number that then go wrong; None means all of them."""
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    seconds: float = 1
    seen: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}")
        try:
            re.compile(self.path)
        except re.error as error:
            raise ValueError(f"path is not a regular expression: {error}") from None

    def matches(self, request: Request) -> bool:
        return (
            self.host in ("", request.host)
            and self.method in ("", request.method)
            and re.match(self.path, request.path) is not None
        )

    def strikes(self) -> bool:
        """Counts a matching request; returns whether it goes wrong."""
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.seen <= self.after + self.times)

    def apply(self, answer: Callable[[], Response], failure: Callable[[int], Response]) -> Response:
        """The faulty response; `answer` creates the real one, `failure` the vendor's wording of a status."""
        match self.kind:
            case "status":
                return self._failed(failure)
            case "reset":
                return Response(cut="reset")
            case "slow":
                return replace(answer(), pause=self.seconds)
            case "truncate":
                return replace(answer(), cut="truncated")
            case "shape":
                true = answer()
                return as_json(merged(json.loads(true.body or b"{}"), self.body), status=true.status)

    def _failed(self, failure: Callable[[int], Response]) -> Response:
        if self.body is None:
            worded = failure(self.status)
        elif isinstance(self.body, str):
            worded = Response(self.status, self.body.encode(), {"Content-Type": "text/html; charset=UTF-8"})
        else:
            worded = as_json(self.body, status=self.status)
        return replace(worded, headers={**worded.headers, **self.headers})


class Faults:
    """The current faults, oldest first; the first one that applies is used."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def list(self) -> list[Json]:
        with self._lock:
            return [asdict(fault) for fault in self._faults]

    def take(self, request: Request) -> Fault | None:
        with self._lock:
            matching = (fault for fault in self._faults if fault.matches(request))
            return next((fault for fault in matching if fault.strikes()), None)


def merged(value: Any, patch: Any) -> Any:
    """`value` with a JSON merge patch applied (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), change)
    return result
