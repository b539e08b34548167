"""Each text and list of every request, with all that has a special meaning on the way to the database or back."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from chalicelib.api.connections import NewConnection
from chalicelib.data.postgres.odd_values import parts_of
from chalicelib.errors import AppError
from chalicelib.runtime.declare import Route
from chalicelib.runtime.decoding import FORM, decode_values
from chalicelib.services.operations.commands import COMMANDS
from chalicelib.services.operations.commands.base import Command
from tests.api.paths import path_of
from tests.api.valid import GOOGLE, PATH, ROUTES, SPELLINGS, base_of
from tests.conftest import Answer, Api
from tests.services.administration import as_administrator

__all__ = ["as_administrator"]

WRONG_LISTS: tuple[Any, ...] = ([None], [["null"]], {}, "null")


def spoiled(kind: type[msgspec.Struct], base: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each field that takes text, and its value."""
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
    """Path with query, body, and the value of the field under test."""
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
def test_every_spelling_of_a_text_is_handled_and_stored_unchanged(route: Route, api: Api, platforms: object) -> None:
    assert api.post("/api/connections", GOOGLE).status == 201
    for path, body, fields in requests_of(route):
        if route.body is NewConnection:
            api.delete(f"/api/connections/{body['platform']}")
        answer = send(api, route, path, body)
        assert answer.status < 500, (path, body, answer.text)
        stored = json.loads(answer.text) if answer.status in (200, 201) and answer.text else {}
        for name, value in fields.items():
            if name in stored and value is not None:
                assert stored[name] == value, (path, body)
    assert api.get("/api/connections").status == 200
    assert api.get("/api/sync/status").status == 200
    assert api.delete("/api/connections/google").status in (204, 404)


@pytest.mark.parametrize("text", SPELLINGS, ids=range(len(SPELLINGS)))
def test_scopes_of_any_spelling_are_rejected_or_stored_unchanged(text: str, api: Api) -> None:
    assert api.post("/api/connections", {**GOOGLE, "scopes": ["a"]}).status == 201
    changed = api.put("/api/connections/google", {"scopes": ["a", text, text]})
    assert changed.status in (200, 400, 422)
    expected = ["a", text, text] if changed.status == 200 else ["a"]
    assert api.get("/api/connections/google").json["scopes"] == expected
    assert api.get("/api/connections").json["items"][0]["scopes"] == expected
    assert api.delete("/api/connections/google").status == 204


@pytest.mark.parametrize("text", SPELLINGS, ids=range(len(SPELLINGS)))
def test_idempotency_keys_of_any_spelling_are_handled(text: str, api: Api) -> None:
    answers = [api.post("/api/connections", {"platform": "website"}, Idempotency_Key=text) for _ in range(2)]
    assert {answer.status for answer in answers} in ({201}, {422}, {201, 409})


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands_handle_every_spelling_of_a_text(command: type[Command], api: Api, as_administrator: object) -> None:
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
