"""The document that clients are generated from: names are plain, everything is described, every example is valid."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from app import API
from chalicelib.api.openapi import describe
from chalicelib.api.openapi_document import openapi
from chalicelib.api.openapi_fields import constant_description, field_descriptions
from chalicelib.api.openapi_texts import ERROR_CODES
from chalicelib.runtime.declare import PUBLIC
from tests.api.error_codes import raised_codes
from tests.conftest import CONSENT, ROOT, Api

ROUTES = [route for group in [*API, describe(API)] for route in group]
DOCUMENT: Any = msgspec.json.decode(msgspec.json.encode(openapi(ROUTES)))
SCHEMAS = DOCUMENT["components"]["schemas"]
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
FIELDS = {
    f"{name}.{field}": schema
    for name, component in SCHEMAS.items()
    for field, schema in component.get("properties", {}).items()
}
PARAMETERS = {
    f"{name} {parameter['name']}": parameter
    for name, operation in OPERATIONS.items()
    for parameter in operation["parameters"]
}
PHRASE = re.compile(r"[A-Z`].*[^.\s]")
SENTENCES = re.compile(r"[A-Z`].*\.", re.DOTALL)


def contents(operation: Any) -> Iterator[tuple[str, Any]]:
    """The bodies of an operation: the location of each, and its media type object."""
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"request {kind}", content
    for status, response in operation["responses"].items():
        for kind, content in response.get("content", {}).items():
            yield f"{status} {kind}", content


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def undescribed(things: dict[str, Any], pattern: re.Pattern[str] = SENTENCES, key: str = "description") -> list[str]:
    return [name for name, thing in things.items() if not pattern.fullmatch(thing.get(key, ""))]


def test_every_component_has_one_plain_name() -> None:
    assert [name for name in SCHEMAS if not re.fullmatch(r"([A-Z][a-z]+)+", name)] == []
    assert [name for name, schema in SCHEMAS.items() if schema["title"] != name] == []


def test_every_component_and_every_field_is_described() -> None:
    assert undescribed(SCHEMAS) == []
    assert undescribed(FIELDS) == []


def test_a_nullable_field_says_what_null_means() -> None:
    answered = {f"{name}.{field}" for name, schema in SCHEMAS.items() for field in schema.get("required", ())}
    nullable = {name: schema for name, schema in FIELDS.items() if {"type": "null"} in schema.get("anyOf", ())}
    silent = [
        name for name, schema in nullable.items() if name in answered and "null" not in schema["description"].lower()
    ]
    assert nullable
    assert silent == []


def test_every_value_of_an_enumeration_is_explained() -> None:
    enums = {name: schema for name, schema in {**SCHEMAS, **FIELDS}.items() if "enum" in schema}
    unsaid = [
        f"{name}: {value}"
        for name, schema in enums.items()
        for value in schema["enum"]
        if name != "Platform" and f"`{value}`" not in schema["description"]
    ]
    assert {"RunStatus", "StreamState", "Action"} <= enums.keys()
    assert unsaid == []


def test_an_enumeration_has_one_name() -> None:
    values = Counter(tuple(sorted(node["enum"])) for node in nodes(DOCUMENT) if isinstance(node.get("enum"), list))
    assert [value for value, times in values.items() if times > 1] == []


def test_a_response_has_all_its_fields() -> None:
    complete = {
        name for name, schema in SCHEMAS.items() if {*schema.get("required", ())} == {*schema.get("properties", ())}
    }
    request_bodies = {
        "NewConnection",
        "ConnectionChange",
        "AccountChange",
        "AuthorizationRequest",
        "SyncRequest",
        "StreamChoice",
    }
    assert SCHEMAS.keys() - complete == request_bodies


def test_every_parameter_is_described() -> None:
    assert undescribed(PARAMETERS) == []


def test_no_parameter_is_nullable() -> None:
    assert [name for name, parameter in PARAMETERS.items() if "null" in str(parameter["schema"])] == []


def test_a_query_parameter_states_its_default() -> None:
    assert PARAMETERS["GET /api/sync/log limit"]["schema"]["default"] == 50
    assert PARAMETERS["GET /api/metrics/{platform} interval"]["schema"]["default"] == "day"


def test_every_operation_has_a_one_line_summary_and_a_description() -> None:
    assert undescribed(OPERATIONS, PHRASE, "summary") == []
    described = {name: operation for name, operation in OPERATIONS.items() if "description" in operation}
    assert len(described) > 20
    assert undescribed(described) == []


def test_every_response_and_every_header_is_described() -> None:
    responses = {
        f"{name} {status}": response
        for name, operation in OPERATIONS.items()
        for status, response in operation["responses"].items()
    }
    headers = {
        f"{name} {header}": described
        for name, response in responses.items()
        for header, described in response.get("headers", {}).items()
        if "$ref" not in described
    }
    assert undescribed(responses) == []
    assert undescribed({**headers, **DOCUMENT["components"]["headers"]}) == []


def test_every_tag_is_described_and_used() -> None:
    used = {tag for operation in OPERATIONS.values() for tag in operation["tags"]}
    assert {tag["name"] for tag in DOCUMENT["tags"]} == used
    assert undescribed({tag["name"]: tag for tag in DOCUMENT["tags"]}) == []


def test_operation_ids_are_unique_and_plain() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len({*ids}) == len(ids)
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)+", each)] == []


def test_the_server_is_this_deployment(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from chalicelib.settings import get_settings

    assert [server["url"] for server in DOCUMENT["servers"]] == ["/"]
    monkeypatch.setenv("PUBLIC_URL", CONSENT["PUBLIC_URL"])
    get_settings.cache_clear()
    try:
        servers = api.get("/api/openapi.json").json["servers"]
    finally:
        monkeypatch.undo()
        get_settings.cache_clear()
    assert [server["url"] for server in servers] == [CONSENT["PUBLIC_URL"]]


def test_the_security_scheme_is_described_and_public_operations_need_none() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert undescribed(schemes) == []
    for route in ROUTES:
        assert bool(OPERATIONS[f"{route.method} {route.path}"]["security"]) is (route.scope != PUBLIC)


def test_every_body_has_an_example() -> None:
    bare = [
        f"{name}: {place}"
        for name, operation in OPERATIONS.items()
        for place, content in contents(operation)
        if "examples" not in content and name != "GET /api/openapi.json"
    ]
    assert bare == ["GET /api/health: 503 application/json"]


def test_every_example_is_valid_and_complete() -> None:
    examples = DOCUMENT["components"]["examples"]
    checked = set()
    for name, operation in OPERATIONS.items():
        for place, content in contents(operation):
            for example in content.get("examples", {}):
                schema = {**content["schema"], "components": DOCUMENT["components"]}
                validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
                errors = [error.message for error in validator.iter_errors(examples[example]["value"])]
                assert errors == [], (name, place, example)
                checked.add(example)
    assert checked == set(examples)


def test_an_invalid_example_is_found() -> None:
    schema = {"$ref": "#/components/schemas/Run", "components": DOCUMENT["components"]}
    run = {**DOCUMENT["components"]["examples"]["Run"]["value"]}
    assert not list(Draft202012Validator(schema).iter_errors(run))
    del run["records"]["seen"]
    assert list(Draft202012Validator(schema).iter_errors(run))


def test_every_error_code_is_listed_in_the_document_and_on_its_page() -> None:
    listed = {(status, code) for status, codes in ERROR_CODES.items() for code in codes}
    assert raised_codes() - listed == set()
    assert all(f"| {status} | `{code}` |" in DOCUMENT["info"]["description"] for status, code in listed)
    page = (ROOT / "docs" / "api.md").read_text("utf-8").partition("## Errors")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", page, re.MULTILINE)
    assert {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)} == listed


class Base(msgspec.Struct, rename="camel"):
    first_field: int
    """Of the
    base."""
    other: int
    """Replaced."""


class Derived(Base):
    other: int
    """Of the derived one."""
    bare: int


CONSTANT = 1
"""Of a constant."""


def test_the_string_under_a_field_or_constant_is_its_description() -> None:
    assert field_descriptions(Derived) == {"firstField": "Of the base.", "other": "Of the derived one."}
    assert constant_description(__name__, "CONSTANT") == "Of a constant."
