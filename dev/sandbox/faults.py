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

    status    answers with `status`, `headers` and `body`, which is the vendor's own wording when not given
    slow      sends half of the true answer, then waits `seconds` before the rest
    reset     resets the connection
    truncate  breaks off in the middle of the true answer
    shape     changes the true answer by `body`, a JSON merge patch (RFC 7396: null removes a member)
    """

    kind: Kind
    host: str = ""
    method: str = ""
    path: str = ""
    """A regular expression that the path must start with."""
    after: int = 0
    """So many matching requests pass unharmed first."""
    times: int | None = 1
    """Then so many go wrong; None is all of them."""
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
        """Counts a matching request; whether this is one that goes wrong."""
        self.seen += 1
        return self.seen > self.after and (self.times is None or self.seen <= self.after + self.times)

    def apply(self, answer: Callable[[], Response], failure: Callable[[int], Response]) -> Response:
        """The broken response; `answer` makes the true one, `failure` the vendor's wording of a status."""
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
    """The faults set at the moment, oldest first; the first one that strikes is the one that happens."""

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
    """`value` after a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), change)
    return result
