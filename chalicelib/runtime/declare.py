"""Routes as data: declared once, and everything follows from the declaration.

A route names its scope or says that it is public; how its inputs are decoded, what it responds with and its place in
the OpenAPI document come from the types of its function.
"""

import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypedDict, Unpack

import msgspec

from chalicelib.runtime.decoding import JSON, PathType, path_type
from chalicelib.runtime.problems import PROBLEM, ErrorFormat
from chalicelib.runtime.responses import Created, Response

Handler = Callable[..., Any]

PUBLIC: Final = "public"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PARAM = re.compile(r"{(\w+)}")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path, as declared."""

    method: str
    path: str
    scope: str
    handler: Handler
    status: int = 200
    errors: Sequence[int] = ()
    """Statuses of failures beyond those that follow from scope, inputs and path"""
    extra_statuses: Sequence[int] = ()
    """Statuses beside `status` that its response may have"""
    params: Mapping[str, Any] = {}
    """The type of each parameter in the path"""
    path_types: Mapping[str, PathType] = {}
    """How each parameter in the path is decoded"""
    query: type[msgspec.Struct] | None = None
    headers: type[msgspec.Struct] | None = None
    """Each field is a request header, by its encoded name"""
    body: type[Any] | None = None
    """A struct, or `bytes` for the body as it was sent"""
    accepts: str = JSON
    """The media type of the body"""
    returns: Any = None
    """The type of the response's body; None when there is none"""
    produces: str = JSON
    """The media type of the response's body; unless it is JSON the handler returns text"""
    located: bool = False
    """Whether the response has a Location"""
    redirects: bool = False
    """Whether it may send a browser on instead of responding"""
    secret: bool = False
    """Whether the response holds a secret: it is not stored, so that the route takes no Idempotency-Key"""
    etag: bool = False
    """Whether a client that polls may send `If-None-Match`, to get a 304 while nothing has changed"""
    cross_origin: bool = False
    """Whether the pages of any website may send the request and read the response"""
    error_format: ErrorFormat = PROBLEM


class RouteFamily(msgspec.Struct, frozen=True, kw_only=True):
    """Routes that stand under one path, of which its parameters select one.

    For routes that follow from other declarations: those are imported for a request, or for the OpenAPI document, and
    not by a cold start.
    """

    method: str
    path: str
    find: Callable[..., Route]
    """By the parameters in the path, as text. Raises NotFound"""
    members: Callable[[], Iterable[Route]]
    """All of them, each with the path it is called by"""


class Options(TypedDict, total=False):
    """What any route may declare: see the fields of Route."""

    errors: Sequence[int]
    extra_statuses: Sequence[int]
    produces: str
    redirects: bool
    cross_origin: bool
    error_format: ErrorFormat


class ReadOptions(Options, total=False):
    etag: bool


class WriteOptions(Options, total=False):
    accepts: str
    secret: bool


class Routes:
    """The routes of one noun."""

    def __init__(self) -> None:
        self.declared: list[Route | RouteFamily] = []

    def __iter__(self) -> Iterator[Route]:
        """Every route, members of families included."""
        for declared in self.declared:
            yield from declared.members() if isinstance(declared, RouteFamily) else (declared,)

    def get(self, path: str, *, scope: str, **options: Unpack[ReadOptions]) -> Callable[[Handler], Handler]:
        return self._declare(method="GET", path=path, scope=scope, **options)

    def post(
        self, path: str, *, scope: str, status: int = 200, **options: Unpack[WriteOptions]
    ) -> Callable[[Handler], Handler]:
        return self._declare(method="POST", path=path, scope=scope, status=status, **options)

    def put(self, path: str, *, scope: str, **options: Unpack[WriteOptions]) -> Callable[[Handler], Handler]:
        return self._declare(method="PUT", path=path, scope=scope, **options)

    def patch(self, path: str, *, scope: str, **options: Unpack[WriteOptions]) -> Callable[[Handler], Handler]:
        return self._declare(method="PATCH", path=path, scope=scope, **options)

    def delete(
        self, path: str, *, scope: str, status: int = 204, **options: Unpack[WriteOptions]
    ) -> Callable[[Handler], Handler]:
        return self._declare(method="DELETE", path=path, scope=scope, status=status, **options)

    def _declare(self, **declared: Any) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            self.declared.append(route_of(handler, **declared))
            return handler

        return declare


def route_of(handler: Handler, *, path: str, **declared: Any) -> Route:
    return Route(handler=handler, path=path, **declared, **_typed(handler, path))


def _typed(handler: Handler, path: str) -> dict[str, Any]:
    """What the types of a handler's parameters and its return type declare."""
    hints = typing.get_type_hints(handler, include_extras=True)
    params = {name: hints[name] for name in PARAM.findall(path)}
    returns = hints.get("return")
    wrapper = typing.get_origin(returns)
    if wrapper in (Response, Created):
        (returns,) = typing.get_args(returns)
    return {
        "params": params,
        "path_types": {name: path_type(kind) for name, kind in params.items()},
        **{name: hints.get(name) for name in ("query", "headers", "body")},
        "returns": None if returns is type(None) else returns,
        "located": wrapper is Created,
    }
