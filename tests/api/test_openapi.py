"""The OpenAPI document: valid, complete, and made from the declarations of the routes."""

from collections.abc import Iterator
from typing import Any

import pytest
from chalice.app import Chalice
from chalice.test import Client
from openapi_spec_validator import OpenAPIV31SpecValidator

from app import API
from chalicelib.api.openapi import describe
from chalicelib.api.openapi_document import openapi
from chalicelib.platforms.registry import NAMES
from chalicelib.runtime.declare import PUBLIC, Route, Routes
from chalicelib.runtime.dispatch import mount
from chalicelib.runtime.responses import Created, Response
from tests.conftest import ROOT, Api, Database

ROUTES = [route for group in [*API, describe(API)] for route in group]


@pytest.fixture
def document(api: Api) -> Any:
    return api.get("/api/openapi.json").json


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object in the document."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def operation(document: Any, route: Route) -> Any:
    return document["paths"][route.path][route.method.lower()]


def test_the_document_is_valid_openapi_3_1(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_it_needs_no_key_and_is_deterministic(api: Api) -> None:
    first, second = (api.get("/api/openapi.json", Authorization="") for _ in range(2))
    assert first.status == 200
    assert first.text == second.text


def test_it_has_exactly_the_declared_routes(document: Any) -> None:
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert described == {(route.method, route.path) for route in ROUTES}


def test_each_operation_names_its_scope(document: Any) -> None:
    for route in ROUTES:
        expected = [] if route.scope == PUBLIC else [{"apiKey": [route.scope]}]
        assert operation(document, route)["security"] == expected


def test_operation_ids_are_unique_and_every_operation_has_a_summary(document: Any) -> None:
    operations = [operation(document, route) for route in ROUTES]
    assert len({each["operationId"] for each in operations}) == len(ROUTES)
    assert all(each["summary"] for each in operations)


def test_every_reference_resolves_and_every_component_is_used(document: Any) -> None:
    references = {node["$ref"] for node in nodes(document) if "$ref" in node}
    components = document["components"]
    assert references == {
        f"#/components/{kind}/{name}" for kind in ("schemas", "headers", "examples") for name in components[kind]
    }


def test_times_and_days_have_their_format(document: Any) -> None:
    moments, days = {}, {}
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            formats = {node.get("format") for node in nodes(described)}
            if field.endswith("At") or field == "at":
                moments[f"{name}.{field}"] = "date-time" in formats
            if field in ("from", "to"):
                days[f"{name}.{field}"] = "date" in formats
    assert (moments["Run.queuedAt"], days["Figures.from"]) == (True, True)
    assert [field for field, has_format in {**moments, **days}.items() if not has_format] == []


def test_each_operation_lists_its_success_and_its_errors(document: Any) -> None:
    for route in ROUTES:
        responses = operation(document, route)["responses"]
        assert {str(route.status), "500", "503"} <= set(responses)
        assert route.scope == PUBLIC or {"401", "403"} <= set(responses)
        assert route.body is None or {"400", "413", "415", "422"} <= set(responses)
        for status, response in responses.items():
            kinds = set(response.get("content", {}))
            problem = status >= "400" and int(status) not in route.extra_statuses
            expected = route.error_format.content_type if problem else route.produces
            is_empty = status in ("303", "304") or (not problem and route.returns is None)
            assert kinds == (set() if is_empty else {expected})


def test_a_platform_in_a_path_is_an_enumeration(document: Any) -> None:
    described = operation(document, next(route for route in ROUTES if "platform" in route.params))["parameters"]
    (parameter,) = [parameter for parameter in described if parameter["in"] == "path"]
    assert parameter["schema"] == {"$ref": "#/components/schemas/Platform"}
    assert document["components"]["schemas"]["Platform"]["enum"] == sorted(NAMES)


def test_no_response_has_a_field_for_a_token(document: Any) -> None:
    for name in ("Connection", "ConnectionTest", "Run", "StreamStatus"):
        fields = document["components"]["schemas"][name]["properties"]
        assert {field for field in fields if "token" in field.lower()} <= {"hasRefreshToken", "tokenExpiresAt"}


def test_responses_declare_rate_limit_headers_and_retry_after(document: Any) -> None:
    for route in ROUTES:
        for status, response in operation(document, route)["responses"].items():
            headers = set(response.get("headers", {})) - {"Location", "ETag"}
            limits = {"RateLimit", "RateLimit-Policy"} if route.scope != PUBLIC and status != "401" else set()
            assert headers == limits | ({"Retry-After"} if status in ("429", "503") else set()), (route.path, status)
        assert ("429" in operation(document, route)["responses"]) is (route.scope != PUBLIC)


def test_responses_with_a_location_declare_it(document: Any) -> None:
    located = {
        (route.method, route.path, status)
        for route in ROUTES
        for status, response in operation(document, route)["responses"].items()
        if "Location" in response.get("headers", {})
    }
    assert located == {
        ("POST", "/api/connections", "201"),
        ("GET", "/api/oauth/{platform}/callback", "303"),
        ("POST", "/api/sync/{platform}/backfill", "202"),
        ("POST", "/api/sync/log/{run_id}/retry", "202"),
        ("POST", "/api/webhook-endpoints/{endpoint_id}/test", "202"),
    }


def test_the_location_of_a_route_is_declared(database: Database) -> None:
    routes = Routes()

    @routes.post("/api/things", scope=PUBLIC, status=202)
    def make_thing() -> Created[dict[str, str]]:
        return Created({"name": "thing"}, location="/api/things/1")

    @routes.post("/api/others", scope=PUBLIC, status=201)
    def make_other() -> Response[dict[str, str]]:
        return Response({"name": "other"}, status=200)

    described = openapi(list(routes))["paths"]
    assert "Location" in described["/api/things"]["post"]["responses"]["202"]["headers"]
    assert "headers" not in described["/api/others"]["post"]["responses"]["201"]
    app = Chalice("sample", env={})
    mount(app, [routes])
    with Client(app, stage_name="local", project_dir=str(ROOT)) as client:
        assert client.http.post("/api/things").headers["Location"] == "/api/things/1"
        assert "Location" not in client.http.post("/api/others").headers


def test_writes_take_an_idempotency_key_unless_their_response_is_never_stored(document: Any) -> None:
    for route in ROUTES:
        names = [parameter["name"] for parameter in operation(document, route)["parameters"]]
        repeatable = route.method != "GET" and route.scope != PUBLIC and not route.secret
        assert ("Idempotency-Key" in names) == repeatable
