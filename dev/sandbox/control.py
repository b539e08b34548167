"""The control routes under /_sandbox/: the controls of the platforms and of the sandbox itself, over HTTP."""

import inspect
from collections.abc import Callable, Iterable
from functools import partial

from dev.sandbox.routing import Control, PathValues, Route
from dev.sandbox.wire import Request, Response, as_json

HOST = "_sandbox"


def routes(controls: Iterable[Control]) -> list[Route]:
    return [
        Route(f"{control.method} {control.path}", control.method, control.path, partial(_pull, control.pull))
        for control in controls
    ]


def _pull(pull: Callable[..., object], request: Request, _: PathValues) -> Response:
    """Responds with 400 and the reason if a control refuses its arguments, by a ValueError or by its signature."""
    try:
        arguments = inspect.signature(pull).bind(**request.json())
    except TypeError as error:
        return as_json({"error": str(error)}, status=400)
    try:
        return as_json(pull(*arguments.args, **arguments.kwargs) or {})
    except ValueError as error:
        return as_json({"error": str(error)}, status=400)
