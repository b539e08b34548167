"""Routes: declared once, and everything follows from the declaration.

A route names its scope or says that it is public; how its input is decoded, what it answers and its place in the
OpenAPI document come from the types of its function. Every method of a path goes to one Chalice view, so that 405 is
ours as well.
"""

import re
import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Generic, TypeVar
from uuid import uuid4

import msgspec
from chalice.app import Chalice, Request, Response

from chalicelib import logs, telemetry
from chalicelib.data.audit import acting_as
from chalicelib.errors import AppError, BadRequest, MethodNotAllowed, NotFound
from chalicelib.runtime.decoding import FORM, JSON, decode_body, decode_form, decode_query, decode_text, is_storable
from chalicelib.runtime.invocation import Invocation, deadline_of, invocation_of
from chalicelib.runtime.problems import PROBLEM, ErrorFormat, headers_of_error
from chalicelib.runtime.security_headers import add_security_headers
from chalicelib.services import idempotency
from chalicelib.services.authentication import Caller, authenticate, reauthenticate
from chalicelib.services.idempotency import Answer
from chalicelib.services.request_limits import headers_of
from chalicelib.settings import get_settings

T = TypeVar("T")
Handler = Callable[..., Any]

PUBLIC: Final = "public"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PARAM = re.compile(r"{(\w+)}")


class Reply(msgspec.Struct, Generic[T], frozen=True):
    """An answer whose status is its own."""

    value: T
    status: int | None = None


class Located(Reply[T], frozen=True, kw_only=True):
    """An answer that says where the thing is to be found."""

    location: str


class Redirect(Reply[Any], frozen=True, kw_only=True):
    """Sends a browser on to an absolute URL. The route declares that it may: `redirects=True`."""

    value: None = None
    status: int = 303
    location: str


class Route(msgspec.Struct, frozen=True):
    """One method of one path, as declared."""

    method: str
    path: str
    scope: str
    handler: Handler
    status: int
    errors: tuple[int, ...]
    """Statuses of failures beyond those that follow from scope, input and path"""
    extra_statuses: tuple[int, ...]
    """Statuses beside `status` that its answer may have"""
    body: type[Any] | None
    """A struct, or `str` where the body is text of a media type of its own"""
    accepts: str
    """The media type of the body"""
    error_format: ErrorFormat
    query: type[msgspec.Struct] | None
    returns: Any
    """The type of the answer; None when there is none"""
    located: bool
    """Whether the answer has a Location"""
    redirects: bool
    """Whether it may send a browser on instead of answering"""
    secret: bool
    """Whether the answer holds a secret: it is not kept, so that the route takes no Idempotency-Key"""
    params: Mapping[str, Any]
    """The type of each parameter in the path"""


class Routes:
    """The routes of one noun."""

    def __init__(self) -> None:
        self.declared: list[Route] = []

    def get(
        self,
        path: str,
        *,
        scope: str,
        errors: Iterable[int] = (),
        extra_statuses: Iterable[int] = (),
        redirects: bool = False,
    ) -> Callable[[Handler], Handler]:
        return self._declare("GET", path, scope, 200, errors, extra_statuses=extra_statuses, redirects=redirects)

    def post(
        self,
        path: str,
        *,
        scope: str,
        status: int = 200,
        errors: Iterable[int] = (),
        secret: bool = False,
        accepts: str = JSON,
        error_format: ErrorFormat = PROBLEM,
    ) -> Callable[[Handler], Handler]:
        return self._declare(
            "POST", path, scope, status, errors, secret=secret, accepts=accepts, error_format=error_format
        )

    def put(self, path: str, *, scope: str, errors: Iterable[int] = ()) -> Callable[[Handler], Handler]:
        return self._declare("PUT", path, scope, 200, errors)

    def delete(
        self, path: str, *, scope: str, status: int = 204, errors: Iterable[int] = ()
    ) -> Callable[[Handler], Handler]:
        return self._declare("DELETE", path, scope, status, errors)

    def _declare(
        self,
        method: str,
        path: str,
        scope: str,
        status: int,
        errors: Iterable[int],
        *,
        extra_statuses: Iterable[int] = (),
        redirects: bool = False,
        secret: bool = False,
        accepts: str = JSON,
        error_format: ErrorFormat = PROBLEM,
    ) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            hints = typing.get_type_hints(handler, include_extras=True)
            returns = hints.get("return")
            reply = typing.get_origin(returns)
            if reply in (Reply, Located):
                (returns,) = typing.get_args(returns)
            route = Route(
                method=method,
                path=path,
                scope=scope,
                handler=handler,
                status=status,
                errors=tuple(errors),
                extra_statuses=tuple(extra_statuses),
                body=hints.get("body"),
                accepts=accepts,
                error_format=error_format,
                query=hints.get("query"),
                returns=None if returns is type(None) else returns,
                located=reply is Located,
                redirects=redirects,
                secret=secret,
                params={name: hints[name] for name in PARAM.findall(path)},
            )
            self.declared.append(route)
            return handler

        return declare


def mount(app: Chalice, groups: Iterable[Routes]) -> None:
    """Registers every declared route with Chalice."""
    app.register_middleware(add_security_headers, "http")
    by_path: dict[str, dict[str, Route]] = defaultdict(dict)
    for group in groups:
        for route in group.declared:
            by_path[route.path][route.method] = route
    for path, by_method in by_path.items():
        app.route(path, methods=list(METHODS), content_types=[])(_view(app, path, by_method))


def _view(app: Chalice, path: str, by_method: Mapping[str, Route]) -> Callable[..., Response]:
    def view(**params: str) -> Response:
        request = typing.cast(Request, app.current_request)
        request_id = str(request.context.get("requestId") or uuid4())
        named = {"method": request.method, "route": path}
        with invocation_of("request", request.lambda_context, request_id=request_id, **named) as invocation:
            with deadline_of(request.lambda_context):
                response = _respond(request, request_id, by_method, params, invocation)
            invocation.fields["status"] = response.status_code
        return response

    view.__name__ = path
    return view


def _respond(
    request: Request,
    request_id: str,
    by_method: Mapping[str, Route],
    params: Mapping[str, str],
    invocation: Invocation,
) -> Response:
    refusal, limits = PROBLEM, dict[str, str]()
    try:
        get_settings()  # what is missing is told before anything begins
        route = by_method.get(request.method)
        if route is None:
            raise MethodNotAllowed(headers={"Allow": ", ".join(sorted(by_method))})
        if not all(map(is_storable, params.values())):
            raise NotFound
        refusal = route.error_format
        return _response(_answer(route, request, params, limits), limits)
    except AppError as error:
        if error.is_fault:
            invocation.fail(error)
        elif error.status >= 500:
            telemetry.count("PlatformWaits")
        invocation.fields["code"] = error.code
        return _refused(refusal, error, request_id, limits)
    except Exception as error:  # noqa: BLE001  the edge: whatever is unforeseen is logged here and told to nobody
        invocation.fail(error)
        return _refused(refusal, AppError("Something went wrong on our side"), request_id, limits)


def _answer(route: Route, request: Request, params: Mapping[str, str], limits: dict[str, str]) -> Answer:
    """`limits` takes the headers that say what the caller may still send, whatever becomes of the request."""
    if route.scope == PUBLIC:
        with acting_as("platform"):
            return _call(route, request, dict(params))
    authorization = request.headers.get("authorization")
    caller = authenticate(authorization)
    logs.bind(studio_id=caller.studio_id)
    limits |= headers_of(caller.balances)
    caller.require(route.scope)
    try:
        with acting_as("api_key", caller.key_id):
            return _answer_to(caller, route, request, params)
    except Exception as error:
        if not isinstance(error, AppError) or error.status == AppError.status:
            reauthenticate(authorization)  # a studio may have been erased since its key was seen
        raise


def _answer_to(caller: Caller, route: Route, request: Request, params: Mapping[str, str]) -> Answer:
    arguments = {**params, "studio_id": caller.studio_id}
    key = request.headers.get("idempotency-key")
    if key is None or route.method == "GET":
        return _call(route, request, arguments)
    if route.secret:
        raise BadRequest(
            "Responses that contain secrets are never stored; Idempotency-Key is not supported here",
            code="not_repeatable",
        )
    what = repr((route.method, route.path, sorted(params.items()), sorted(_query_params(request).items())))
    return idempotency.idempotent(
        caller.studio_id, key, what.encode() + _raw_body(request), lambda: _call(route, request, arguments)
    )


def _call(route: Route, request: Request, arguments: dict[str, Any]) -> Answer:
    if route.body is not None:
        arguments["body"] = _body(route, request, route.body)
    if route.query is not None:
        arguments["query"] = decode_query(_query_params(request), route.query)
    value = route.handler(**arguments)
    reply = value if isinstance(value, Reply) else Reply(value)
    return Answer(
        status=reply.status or route.status,
        body="" if route.returns is None or isinstance(reply, Redirect) else msgspec.json.encode(reply.value).decode(),
        location=reply.location if isinstance(reply, Located | Redirect) else None,
    )


def _body(route: Route, request: Request, into: type[Any]) -> Any:
    raw, content_type = _raw_body(request), request.headers.get("content-type")
    if route.accepts == JSON:
        return decode_body(raw, content_type, into)
    return (
        decode_form(raw, content_type, into) if route.accepts == FORM else decode_text(raw, content_type, route.accepts)
    )


def _raw_body(request: Request) -> bytes:
    try:
        body = request.raw_body
    except ValueError as error:  # text that is no UTF-8, or Base64 that is none
        raise BadRequest("The body cannot be read") from error
    return body.encode() if isinstance(body, str) else body


def _query_params(request: Request) -> dict[str, list[str]]:
    params = request.query_params
    return {} if params is None else {name: params.getlist(name) for name in params}


def _response(answer: Answer, limits: Mapping[str, str]) -> Response:
    headers: dict[str, str | list[str]] = {"Content-Type": "application/json", **limits}
    if answer.location is not None:
        headers["Location"] = answer.location
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body=answer.body, status_code=answer.status, headers=headers)


def _refused(error_format: ErrorFormat, error: AppError, request_id: str, limits: Mapping[str, str]) -> Response:
    body = msgspec.json.encode(error_format.make(error, request_id)).decode()
    own = {**limits, **headers_of_error(error)}
    headers: dict[str, str | list[str]] = {"Content-Type": error_format.content_type, **own}
    return Response(body=body, status_code=error.status, headers=headers)
