"""/api/openapi.json: OpenAPI 3.1, made of the declared routes and the types they decode and answer with."""

import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Any

import msgspec

from chalicelib.runtime.declare import PUBLIC, Route, Routes
from chalicelib.runtime.decoding import JSON
from chalicelib.runtime.paging import ListQuery

REF = "#/components/schemas/{name}"
SECURITY = "apiKey"
ALWAYS = (500, 503)
OF_SCOPE = (401, 403, 429)
OF_BODY = (400, 413, 415, 422)
OF_IDEMPOTENCY = (409, 422)
OF_WAITING = (429, 503)
LIMITS = {
    "RateLimit": {
        "description": "What the key and its studio may still send, and for how many seconds to make do with it.",
        "schema": {"type": "string", "examples": ['"key";r=99;t=5, "studio";r=299;t=5']},
    },
    "RateLimit-Policy": {
        "description": "The limits: requests at once, and seconds in which as many are free again.",
        "schema": {"type": "string", "examples": ['"key";q=100;w=5, "studio";q=300;w=5']},
    },
}
RETRY_AFTER = {
    "Retry-After": {"description": "Seconds until the request may be sent again.", "schema": {"type": "integer"}}
}
LOCATION = {"schema": {"type": "string"}, "required": True}
ETAG = {
    "description": "Sent back as `If-None-Match`, it gets a 304 while nothing has changed.",
    "schema": {"type": "string"},
    "required": True,
}
RAW = {"type": "string"}
"""A body of another media type than JSON, as it is sent"""
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the response that is known already.",
    "schema": {"type": "string"},
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the request safe to repeat: for a day, its repeats get the first answer.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


def describe(groups: Iterable[Routes]) -> Routes:
    """A route that describes these routes, and itself."""
    routes = Routes()

    @routes.get("/api/openapi.json", scope=PUBLIC, etag=True, cross_origin=True)
    def get_openapi() -> dict[str, Any]:
        """This document"""
        return encoded()  # type: ignore[return-value]  # the same once it is decoded

    described = [*groups, routes]

    @cache
    def encoded() -> msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(openapi([route for group in described for route in group])))

    return routes


def openapi(routes: list[Route]) -> dict[str, Any]:
    """The document; every type is a component under its own name."""
    types = [kind for route in routes for kind in _types(route)]
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    schema_of = {_key(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AnselAI",
            "version": "1.0.0",
            "description": "Connections, syncs and metrics for photography studios.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {**LIMITS, **RETRY_AFTER},
            "securitySchemes": {
                SECURITY: {"type": "http", "scheme": "bearer", "description": "An API key: ansel_<id>_<secret>"}
            },
        },
    }


def _types(route: Route) -> Iterator[Any]:
    """Every type that a route's description has a schema of."""
    yield from route.params.values()
    for inputs in (route.headers, route.query):
        yield from (field.type for field in (msgspec.structs.fields(inputs) if inputs else ()))
    if route.body not in (None, bytes):
        yield route.body
    if route.returns is not None and route.produces == JSON:
        yield route.returns
    yield route.error_format.shape


def _operation(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": inspect.getdoc(route.handler) or "",
        "tags": [route.path.split("/")[2]],
        "parameters": _parameters(route, schema_of),
        "responses": _responses(route, schema_of),
        "security": [] if route.scope == PUBLIC else [{SECURITY: [route.scope]}],
    }
    if route.body:
        required = route.body is bytes or any(field.required for field in msgspec.structs.fields(route.body))
        content = {route.accepts: {"schema": RAW if route.body is bytes else schema_of[_key(route.body)]}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def takes_idempotency_key(route: Route) -> bool:
    return route.scope != PUBLIC and route.method != "GET" and not route.secret


def _parameters(route: Route, schema_of: dict[str, Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schema_of[_key(kind)]}
        for name, kind in route.params.items()
    ]
    parameters += [
        {
            "name": field.encode_name,
            "in": place,
            "required": field.required,
            "schema": _without_null(schema_of[_key(field.type)]),
        }
        for place, inputs in (("header", route.headers), ("query", route.query))
        for field in (msgspec.structs.fields(inputs) if inputs else ())
    ]
    if route.etag:
        parameters.append(IF_NONE_MATCH)
    if takes_idempotency_key(route):
        parameters.append(IDEMPOTENCY_KEY)
    return parameters


def _responses(route: Route, schema_of: dict[str, Any]) -> dict[str, Any]:
    problem = {"content": {route.error_format.content_type: {"schema": schema_of[_key(route.error_format.shape)]}}}
    responses: dict[str, Any] = {
        str(status): {"description": HTTPStatus(status).phrase, **problem} for status in sorted(_failures(route))
    }
    done: dict[str, Any] = {}
    if route.returns is not None:
        schema = schema_of[_key(route.returns)] if route.produces == JSON else RAW
        done["content"] = {route.produces: {"schema": schema}}
    if headers := {**({"Location": LOCATION} if route.located else {}), **({"ETag": ETAG} if route.etag else {})}:
        done["headers"] = headers
    for status in (route.status, *route.extra_statuses):
        responses[str(status)] = {"description": HTTPStatus(status).phrase, **done}
    if route.redirects:
        responses["303"] = {"description": HTTPStatus.SEE_OTHER.phrase, "headers": {"Location": LOCATION}}
    if route.etag:
        responses["304"] = {"description": HTTPStatus.NOT_MODIFIED.phrase, "headers": {"ETag": ETAG}}
    return {status: _with_limits(route, int(status), response) for status, response in responses.items()}


def _with_limits(route: Route, status: int, response: dict[str, Any]) -> dict[str, Any]:
    """Every answer to a valid key says what is left; one that asks to wait says how long."""
    told = LIMITS.keys() if route.scope != PUBLIC and status != 401 else ()
    names = [*told, *(RETRY_AFTER if status in OF_WAITING else ())]
    if not names:
        return response
    references = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
    return {**response, "headers": {**response.get("headers", {}), **references}}


def _failures(route: Route) -> set[int]:
    failures = {*ALWAYS, *route.errors}
    if route.scope != PUBLIC:
        failures.update(OF_SCOPE)
        failures.update(OF_IDEMPOTENCY if takes_idempotency_key(route) else ())
    failures.update(OF_BODY if route.body else ())
    failures.update((422,) if route.query or route.headers else ())
    failures.update((400,) if route.query and issubclass(route.query, ListQuery) else ())
    failures.update((404,) if route.params else ())
    return failures


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An absent query parameter is left out; there is no way to write a null."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    return choices[0] if len(choices) == 1 else schema


def _key(kind: Any) -> str:
    return str(kind)
