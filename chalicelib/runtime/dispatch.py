"""Dispatch: a request walks through here once, from top to bottom, and leaves as Chalice's response.

Every method of a path goes to one Chalice view, so that 405 is ours as well.
"""

import typing
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

import msgspec
from chalice.app import Chalice, Request
from chalice.app import Response as ChaliceResponse

from chalicelib import logs, telemetry
from chalicelib.data.audit import acting_as
from chalicelib.errors import AppError, BadRequest, MethodNotAllowed
from chalicelib.runtime.authenticate import Authentication
from chalicelib.runtime.declare import METHODS, PUBLIC, Route, RouteFamily, Routes
from chalicelib.runtime.decoding import decode_body, decode_headers, decode_path, decode_query
from chalicelib.runtime.invocation import Invocation, deadline_of, invocation_of
from chalicelib.runtime.problems import PROBLEM, ErrorFormat
from chalicelib.runtime.responses import (
    ANY_ORIGIN,
    content_type,
    encode,
    encode_error,
    preflight,
    unless_known,
)
from chalicelib.runtime.security_headers import add_security_headers
from chalicelib.services.idempotency import EncodedResponse, idempotent
from chalicelib.settings import get_settings

ByMethod = dict[str, Route | RouteFamily]


def mount(app: Chalice, groups: Iterable[Routes]) -> None:
    """Registers every declared route, and each family as one, with Chalice."""
    app.register_middleware(add_security_headers, "http")
    by_path: dict[str, ByMethod] = defaultdict(dict)
    for group in groups:
        for declared in group.declared:
            by_path[declared.path][declared.method] = declared
    for path, by_method in by_path.items():
        methods = list(METHODS)
        if crossing := [route for route in by_method.values() if isinstance(route, Route) and route.cross_origin]:
            by_method["OPTIONS"] = _preflight_route(path, crossing)
            methods.append("OPTIONS")
        app.route(path, methods=methods, content_types=[])(_view(app, path, by_method))


def _preflight_route(path: str, crossing: list[Route]) -> Route:
    named = [msgspec.structs.fields(route.headers) for route in crossing if route.headers is not None]
    headers = [field.encode_name for fields in named for field in fields]
    response = preflight([route.method for route in crossing], headers)
    return Route(method="OPTIONS", path=path, scope=PUBLIC, handler=lambda: response, status=204, cross_origin=True)


def _view(app: Chalice, path: str, by_method: ByMethod) -> Callable[..., ChaliceResponse]:
    def view(**params: str) -> ChaliceResponse:
        request = typing.cast(Request, app.current_request)
        request_id = str(request.context.get("requestId") or uuid4())
        named: dict[str, Any] = {"method": request.method, "route": path}
        with invocation_of("request", request.lambda_context, request_id=request_id, **named) as invocation:
            with deadline_of(request.lambda_context):
                response = _Exchange(request, request_id, params, invocation).respond(by_method)
            invocation.fields["status"] = response.status_code
        return response

    view.__name__ = path
    return view


class _Exchange:
    """One request, on its way to its response."""

    def __init__(self, request: Request, request_id: str, params: Mapping[str, str], invocation: Invocation) -> None:
        self._request = request
        self._request_id = request_id
        self._params = params
        self._invocation = invocation
        self._authentication = Authentication(request.headers.get("authorization"))
        self._error_format: ErrorFormat = PROBLEM
        self._headers: dict[str, str] = {}
        """Of the route, whatever becomes of the request"""

    def respond(self, by_method: ByMethod) -> ChaliceResponse:
        failure: Exception | None = None
        try:
            response = self._handle(by_method)
        except Exception as error:  # noqa: BLE001  the outermost place: what is unforeseen is logged, and told to no caller
            failure = error
        if failure is not None:
            response = self._fail(self._authentication.judge(failure))
        headers: dict[str, str | list[str]] = {
            **self._headers,
            **self._authentication.headers,
            **response.headers,
        }
        return ChaliceResponse(body=response.body, status_code=response.status, headers=headers)

    def _handle(self, by_method: ByMethod) -> EncodedResponse:
        get_settings()  # what is missing is told before anything begins
        route = self._find_route(by_method)
        self._error_format = route.error_format
        self._headers = {"Content-Type": content_type(route.produces), **(ANY_ORIGIN if route.cross_origin else {})}
        if route.scope == PUBLIC:
            with acting_as("platform"):
                response = self._call(route, {})
        else:
            caller = self._authentication.require(route.scope)
            with acting_as("api_key", caller.key_id):
                response = self._call_once(route, caller.studio_id)
        return unless_known(response, self._request.headers.get("if-none-match")) if route.etag else response

    def _find_route(self, by_method: ByMethod) -> Route:
        declared = by_method.get(self._request.method)
        if declared is None:
            raise MethodNotAllowed(headers={"Allow": ", ".join(sorted(by_method))})
        if isinstance(declared, Route):
            return declared
        route = declared.find(**self._params)
        logs.bind(route=route.path)
        return route

    def _call_once(self, route: Route, studio_id: Any) -> EncodedResponse:
        """Once only for a write that is sent again with its Idempotency-Key."""
        call = partial(self._call, route, {"studio_id": studio_id})
        key = self._request.headers.get("idempotency-key")
        if key is None or route.method == "GET":
            return call()
        if route.secret:
            raise BadRequest(
                "Responses that contain secrets are never stored; Idempotency-Key is not supported here",
                code="not_repeatable",
            )
        what = repr((route.method, route.path, sorted(self._params.items()), sorted(self._query().items())))
        return idempotent(studio_id, key, what.encode() + self._body(), call)

    def _call(self, route: Route, arguments: dict[str, Any]) -> EncodedResponse:
        returned = route.handler(**arguments, **self._inputs(route))
        return encode(returned, status=route.status, produces=route.produces, has_body=route.returns is not None)

    def _inputs(self, route: Route) -> dict[str, Any]:
        """The path first: where there is nothing, no other input matters."""
        inputs = decode_path(self._params, route.path_types)
        if route.headers is not None:
            inputs["headers"] = decode_headers(self._request.headers, route.headers)
        if route.query is not None:
            inputs["query"] = decode_query(self._query(), route.query)
        if route.body is not None:
            sent_type = self._request.headers.get("content-type")
            inputs["body"] = decode_body(self._body(), sent_type, route.body, accepts=route.accepts)
        return inputs

    def _query(self) -> dict[str, list[str]]:
        params = self._request.query_params
        return {} if params is None else {name: params.getlist(name) for name in params}

    def _body(self) -> bytes:
        try:
            body = self._request.raw_body
        except ValueError as error:  # text that is no UTF-8, or Base64 that is none
            raise BadRequest("The body cannot be read") from error
        return body.encode() if isinstance(body, str) else body

    def _fail(self, error: Exception) -> EncodedResponse:
        """The one place where it is decided what an error means for the log, the metrics and the caller."""
        problem = error if isinstance(error, AppError) else AppError("Something went wrong on our side")
        if problem.is_fault:
            self._invocation.fail(error)
        elif problem.status >= 500:
            telemetry.count("PlatformWaits")
        self._invocation.fields["code"] = problem.code
        return encode_error(problem, self._request_id, self._error_format)
