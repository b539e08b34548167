"""The control routes under /_sandbox/: the levers of the platforms and of the sandbox itself, over HTTP."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial

from dev.sandbox.routing import Lever, PathValues, Route
from dev.sandbox.wire import Request, Response, as_json

HOST = "_sandbox"


def routes(levers: Iterable[Lever]) -> list[Route]:
    return [
        Route(f"{lever.method} {lever.path}", lever.method, lever.path, partial(_pull, lever.pull)) for lever in levers
    ]


def _pull(pull: Callable[..., object], request: Request, _: PathValues) -> Response:
    """What a lever refuses, by a ValueError or by its signature, is a 400 that says so."""
    try:
        arguments = inspect.signature(pull).bind(**request.json())
    except TypeError as error:
        return as_json({"error": str(error)}, status=400)
    try:
        return as_json(pull(*arguments.args, **arguments.kwargs) or {})
    except ValueError as error:
        return as_json({"error": str(error)}, status=400)
