"""Routes, one table per host."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

from dev.sandbox.wire import Request, Response

PathValues = Mapping[str, str]


@dataclass(frozen=True)
class Route:
    """One method of a vendor: `name` is its own id for it, `path` a template such as `/users/{userId}/profile`."""

    name: str
    method: str
    path: str
    answer: Callable[[Request, PathValues], Response]


@dataclass(frozen=True)
class Control:
    """Something to move in the sandbox, at /_sandbox/{path}; the members of a JSON body are `pull`'s arguments."""

    method: str
    path: str
    pull: Callable[..., object]


class Platform(Protocol):
    """What a package of the sandbox offers: a vendor's hosts, and the controls a test or a person moves them by."""

    def hosts(self) -> Mapping[str, Sequence[Route]]: ...

    def controls(self) -> Sequence[Control]: ...

    def failure(self, host: str, status: int) -> Response:
        """How the vendor words a failure with this status."""


class Router:
    """Finds the route of a request among the routes of one host."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = [(route, _pattern(route.path)) for route in routes]

    def find(self, method: str, path: str) -> tuple[Route, PathValues] | None:
        for route, pattern in self._routes:
            if route.method == method and (match := pattern.fullmatch(path)):
                return route, {name: unquote(value) for name, value in match.groupdict().items()}
        return None


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"{(\w+)}", template)
    return re.compile("".join(f"(?P<{part}>[^/]+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)))
