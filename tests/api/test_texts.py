"""Each text and each list of every request, with all that has a meaning on the way to the database or back."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from app import API
from chalicelib.api.connections import NewConnection
from chalicelib.api.oauth import AuthorizationRequest
from chalicelib.api.openapi import describe
from chalicelib.api.webhook_endpoints import NewWebhookEndpoint
from chalicelib.data.postgres.odd_values import parts_of
from chalicelib.errors import AppError
from chalicelib.runtime.declare import Route
from chalicelib.runtime.decoding import FORM, decode_values
from chalicelib.services.operations.commands import COMMANDS
from chalicelib.services.operations.commands.base import Command
from tests.api.paths import path_of
from tests.conftest import Answer, Api
from tests.services.administration import as_administrator

__all__ = ["as_administrator"]

ROUTES = [route for group in [*API, describe(API)] for route in group]
SPELLINGS = [
    *("null", "NULL", "Null", '"null"', '"NULL"', "'null'", "{null}", "[null]", "undefined", "None", "NaN"),
    *("{", "}", "{}", "{{}}", "[]", "(,)", ",", "a,b", "NULL,NULL", '"', '""', "'", "''", "\\", "\\\\", "\\N", '\\"'),
    *("\0", "a\0", "\\0", "\\u0000", "\x01\x1f\x7f", "\ud800", "\udfffa", "\ufffe", "\u2028", "\U0010ffff"),
    *("", " ", "\n", "a\n", "%00", "%", "$1", ":scopes", "--", ";", "../..", "é日本", "x" * 300),
]
WRONG_LISTS: tuple[Any, ...] = ([None], [["null"]], {}, "null")
BASES: dict[type[Any], list[dict[str, Any]]] = {
    NewConnection: [
        {"platform": "pinterest", "accessToken": "pina_1", "refreshToken": "pinr_1", "scopes": ["boards:read"]},
        {"platform": "yelp", "accountId": "linden-and-light-photography-berlin"},
    ],
    AuthorizationRequest: [{"streams": ["bookings"], "returnTo": "https://app.studio.example/settings"}],
    NewWebhookEndpoint: [{"url": "http://127.0.0.1:9/hook"}],
}
"""Requests that succeed, where the types alone do not say how to make one."""
PLAIN = {"syncType": "bookings", "from": "2026-05-01", "to": "2026-05-02", "frequency": "daily", "platform": "google"}
PATH = {
    "platform": "google",
    "run_id": "01a22ce8-8f1d-7946-a109-04b93da8779a",
    "endpoint_id": "01a22ce8-8f1d-7946-a109-04b93da8779b",
    "delivery_id": "01a22ce8-8f1d-7946-a109-04b93da8779c",
    "account_id": "01a22ce8-8f1d-7946-a109-04b93da8779d",
    "code": "1",
}
GOOGLE = {"platform": "google", "accessToken": "ya29.x", "refreshToken": "1//x", "expiresIn": 3600}


def base_of(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    return BASES.get(kind, [{name: PLAIN[name] for name in names if name in PLAIN}])


def spoiled(kind: type[msgspec.Struct], base: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each field that takes text, and what stands there."""
    for field in msgspec.structs.fields(kind):
        parts = parts_of(field.type)
        if any(part is str for part in parts):
            yield from ((field.encode_name, text) for text in SPELLINGS)
        if any(part in (list[str], tuple[str, ...]) or getattr(part, "__origin__", None) is list for part in parts):
            first = base.get(field.encode_name, ["a"])
            yield from ((field.encode_name, texts) for text in SPELLINGS for texts in ([text], [*first, text]))
            yield from ((field.encode_name, wrong) for wrong in WRONG_LISTS)
        yield field.encode_name, None


def requests_of(route: Route) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Path with query, body, and which field holds what."""
    path = path_of(route, **PATH)
    if isinstance(route.body, type) and issubclass(route.body, msgspec.Struct):
        for base in base_of(route.body):
            for name, value in spoiled(route.body, base):
                yield path, {**base, name: value}, {name: value}
    if route.query is not None:
        base = base_of(route.query)[0]
        for name, value in spoiled(route.query, base):
            if isinstance(value, str):
                yield f"{path}?{urlencode({**base, name: value}, errors='surrogatepass')}", None, {name: value}
    for name in route.params:
        for text in SPELLINGS:
            yield route.path.format_map({**PATH, name: quote(text, safe="", errors="surrogatepass")}), None, {}


def send(api: Api, route: Route, path: str, body: Any) -> Answer:
    if route.accepts == FORM and body is not None:
        form = urlencode({name: value for name, value in body.items() if value is not None}, errors="surrogatepass")
        return api.send(route.method, path, form.encode(), {"Content-Type": FORM})
    return api.send(route.method, path, body)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.handler.__name__)
def test_no_spelling_of_a_text_fails_and_what_is_stored_comes_back_the_same(
    route: Route, api: Api, platforms: object
) -> None:
    assert api.post("/api/connections", GOOGLE).status == 201
    for path, body, given in requests_of(route):
        if route.body is NewConnection:
            api.delete(f"/api/connections/{body['platform']}")
        answer = send(api, route, path, body)
        assert answer.status < 500, (path, body, answer.text)
        stored = json.loads(answer.text) if answer.status in (200, 201) and answer.text else {}
        for name, value in given.items():
            if name in stored and value is not None:
                assert stored[name] == value, (path, body)
    assert api.get("/api/connections").status == 200
    assert api.get("/api/sync/status").status == 200
    assert api.delete("/api/connections/google").status in (204, 404)


@pytest.mark.parametrize("text", SPELLINGS, ids=range(len(SPELLINGS)))
def test_scopes_of_any_spelling_are_refused_or_come_back_the_same(text: str, api: Api) -> None:
    assert api.post("/api/connections", {**GOOGLE, "scopes": ["a"]}).status == 201
    changed = api.put("/api/connections/google", {"scopes": ["a", text, text]})
    assert changed.status in (200, 400, 422)
    expected = ["a", text, text] if changed.status == 200 else ["a"]
    assert api.get("/api/connections/google").json["scopes"] == expected
    assert api.get("/api/connections").json["items"][0]["scopes"] == expected
    assert api.delete("/api/connections/google").status == 204


@pytest.mark.parametrize("text", SPELLINGS, ids=range(len(SPELLINGS)))
def test_an_idempotency_key_of_any_spelling_fails_nothing(text: str, api: Api) -> None:
    answers = [api.post("/api/connections", {"platform": "website"}, Idempotency_Key=text) for _ in range(2)]
    assert {answer.status for answer in answers} in ({201}, {422}, {201, 409})


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_no_spelling_of_a_text_fails_a_command(command: type[Command], api: Api, as_administrator: object) -> None:
    base = {"studioId": str(api.studio_id), "keyId": PATH["run_id"], "name": "A", "scopes": ["sync:read"]}
    names = {field.encode_name for field in msgspec.structs.fields(command)}
    fitting = {name: value for name, value in base.items() if name in names}
    for name, value in spoiled(command, fitting):
        assert status_of(command, {**fitting, name: value}) < 500, (name, value)


def status_of(command: type[Command], fields: dict[str, Any]) -> int:
    try:
        decode_values(fields, command).run(lambda: 900_000)
    except AppError as error:
        return error.status
    return 200
