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
    """A control of the sandbox, at /_sandbox/{path}; the members of a JSON body are `pull`'s arguments."""

    method: str
    path: str
    pull: Callable[..., object]


class Platform(Protocol):
    """A vendor in the sandbox: its hosts, and the controls for tests and developers."""

    def hosts(self) -> Mapping[str, Sequence[Route]]: ...

    def controls(self) -> Sequence[Control]: ...

    def failure(self, host: str, status: int) -> Response:
        """The vendor's response for a failure with this status."""


class Router:
    """Finds the route for a request among those of one host."""

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
