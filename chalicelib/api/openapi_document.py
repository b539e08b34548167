"""The OpenAPI 3.1 document, made of declared routes and the types they decode and answer with."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, get_args, get_origin

import msgspec

from chalicelib.api import openapi_examples as examples
from chalicelib.api import openapi_texts as texts
from chalicelib.api.openapi_fields import as_line, field_descriptions, tag_description
from chalicelib.api.openapi_schemas import Schema, schemas_of
from chalicelib.runtime.declare import PUBLIC, Route
from chalicelib.runtime.decoding import JSON
from chalicelib.runtime.paging import Listing, ListQuery
from chalicelib.runtime.problems import PROBLEM

ALWAYS = (500, 503)
OF_SCOPE = (401, 403, 429)
OF_BODY = (400, 413, 415, 422)
OF_IDEMPOTENCY = (409, 422)
OF_WAITING = (429, 503)
RAW = {"type": "string"}
"""A body of another media type than JSON, as it is sent"""


def openapi(routes: list[Route], server: str = "") -> dict[str, Any]:
    """The document; every type is a component under its own name. `server` is the URL of the deployment, if known."""
    answered = [kind for route in routes for kind in _answered(route)]
    types = [*(kind for route in routes for kind in _taken(route)), *answered]
    schemas, components = schemas_of(types, answered)
    schema_of = {_key(kind): schema for kind, schema in zip(types, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schema_of)
    tags = {_tag(route): tag_description(route.handler) for route in reversed(routes)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "AnselAI", "version": "1.0.0", "description": texts.description()},
        "servers": [{"url": server or "/", "description": "This deployment"}],
        "tags": [{"name": name, "description": text} for name, text in sorted(tags.items())],
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {**texts.LIMITS, **texts.RETRY_AFTER},
            "examples": _used_examples(paths),
            "securitySchemes": {texts.SECURITY: texts.SECURITY_SCHEME},
        },
    }


def takes_idempotency_key(route: Route) -> bool:
    return route.scope != PUBLIC and route.method != "GET" and not route.secret


def _taken(route: Route) -> Iterator[Any]:
    """The types that the inputs of a route are described by."""
    yield from route.params.values()
    for inputs in (route.headers, route.query):
        yield from (field.type for field in (msgspec.structs.fields(inputs) if inputs else ()))
    if route.body not in (None, bytes):
        yield route.body


def _answered(route: Route) -> Iterator[Any]:
    """The types of its responses."""
    if route.returns is not None and route.produces == JSON:
        yield route.returns
    yield route.error_format.shape


def _operation(route: Route, schema_of: Mapping[str, Schema]) -> dict[str, Any]:
    summary, _, details = (inspect.getdoc(route.handler) or "").partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": summary,
        **({"description": as_line(details)} if details else {}),
        "tags": [_tag(route)],
        "parameters": _parameters(route, schema_of),
        "responses": _responses(route, schema_of),
        "security": [] if route.scope == PUBLIC else [{texts.SECURITY: [route.scope]}],
    }
    if route.body:
        required = route.body is bytes or any(field.required for field in msgspec.structs.fields(route.body))
        schema = RAW if route.body is bytes else schema_of[_key(route.body)]
        body = _name(route.body)
        named = examples.RAW_BODIES.get(route.accepts, ()) if route.body is bytes else examples.BODIES.get(body, [body])
        operation["requestBody"] = {"required": required, "content": {route.accepts: _content(schema, named)}}
    return operation


def _tag(route: Route) -> str:
    return route.path.split("/")[2].removesuffix(".json")


def _parameters(route: Route, schema_of: Mapping[str, Schema]) -> list[dict[str, Any]]:
    parameters = [_parameter("path", name, schema_of[_key(kind)]) for name, kind in route.params.items()]
    for place, inputs in (("header", route.headers), ("query", route.query)):
        described = field_descriptions(inputs) if inputs else {}
        for field in msgspec.structs.fields(inputs) if inputs else ():
            name, schema = field.encode_name, {**schema_of[_key(field.type)]}
            if name in described:
                schema["description"] = described[name]
            if field.default not in (msgspec.NODEFAULT, None, ""):
                schema["default"] = field.default
            parameters.append(_parameter(place, name, schema, required=field.required))
    if route.etag:
        parameters.append(texts.IF_NONE_MATCH)
    if takes_idempotency_key(route):
        parameters.append(texts.IDEMPOTENCY_KEY)
    return parameters


def _parameter(place: str, name: str, schema: Schema, *, required: bool = True) -> dict[str, Any]:
    """Its description stands at the parameter, not at its schema."""
    schema = _without_null(schema)
    described = {"description": schema.pop("description")} if "description" in schema else {}
    return {"name": name, "in": place, "required": required, **described, "schema": schema}


def _without_null(schema: Schema) -> Schema:
    """An absent parameter is left out; there is no way to write a null."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    return {**schema} if len(choices) != 1 else {**choices[0], **{k: v for k, v in schema.items() if k != "anyOf"}}


def _responses(route: Route, schema_of: Mapping[str, Schema]) -> dict[str, Any]:
    responses = {str(status): _failure(route, status, schema_of) for status in sorted(_failures(route))}
    headers = {
        **({"Location": texts.LOCATION} if route.located else {}),
        **({"ETag": texts.ETAG} if route.etag else {}),
    }
    for status in (route.status, *route.extra_statuses):
        done: dict[str, Any] = {"description": texts.STATUSES.get(status) or HTTPStatus(status).phrase}
        if route.returns is not None:
            schema = schema_of[_key(route.returns)] if route.produces == JSON else RAW
            named = _response_examples(route) if status == route.status else ()
            done["content"] = {route.produces: _content(schema, named)}
        responses[str(status)] = {**done, **({"headers": headers} if headers else {})}
    if route.redirects:
        responses["303"] = {"description": texts.STATUSES[303], "headers": {"Location": texts.LOCATION}}
    if route.etag:
        responses["304"] = {"description": texts.STATUSES[304], "headers": {"ETag": texts.ETAG}}
    return {status: _with_limits(route, int(status), response) for status, response in responses.items()}


def _failure(route: Route, status: int, schema_of: Mapping[str, Schema]) -> dict[str, Any]:
    shape = route.error_format.shape
    named = [examples.name_of_problem(status)] if route.error_format is PROBLEM else [_name(shape)]
    content = {route.error_format.content_type: _content(schema_of[_key(shape)], named)}
    return {"description": texts.STATUSES.get(status) or HTTPStatus(status).phrase, "content": content}


def _response_examples(route: Route) -> list[str]:
    if get_origin(route.returns) is Listing:
        return [f"{_name(get_args(route.returns)[0])}List"]
    return [_name(route.returns)] if isinstance(route.returns, type) else []


def _content(schema: Schema, named: Sequence[str]) -> dict[str, Any]:
    """A body's schema, with those of the named examples that there are."""
    known = {name: {"$ref": f"#/components/examples/{name}"} for name in named if name in examples.EXAMPLES}
    return {"schema": schema, **({"examples": known} if known else {})}


def _used_examples(paths: dict[str, Any]) -> dict[str, Any]:
    used = re.findall(r"#/components/examples/([\w-]+)", msgspec.json.encode(paths).decode())
    return {name: examples.EXAMPLES[name] for name in sorted({*used})}


def _with_limits(route: Route, status: int, response: dict[str, Any]) -> dict[str, Any]:
    """Every answer to a valid key says what is left; one that asks to wait says how long."""
    told = texts.LIMITS.keys() if route.scope != PUBLIC and status != 401 else ()
    names = [*told, *(texts.RETRY_AFTER if status in OF_WAITING else ())]
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


def _name(kind: Any) -> str:
    return str(kind.__name__)


def _key(kind: Any) -> str:
    return str(kind)
