"""A request's path through the kernel, on a small application that declares one route of each kind."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from chalice.app import Chalice

from app import API, app
from chalicelib.api.openapi import describe
from chalicelib.api.openapi_document import openapi
from chalicelib.errors import AppError, NotFound
from chalicelib.runtime.declare import PUBLIC, Route, RouteFamily, Routes, route_of
from chalicelib.runtime.decoding import JSON, IdOf
from chalicelib.runtime.dispatch import mount
from chalicelib.runtime.paging import ListQuery, Pages
from chalicelib.runtime.responses import Created, Response
from chalicelib.services.authentication import forget_callers
from dev.invocation import Context, request_event
from tests.conftest import Answer, Api, LogLines, Studios

ThingId = Annotated[UUID, IdOf("thing")]
ID = UUID("01a22ce8-8f1d-7946-a109-04b93da8779a")
READ, WRITE = "connections:read", "connections:write"


class Thing(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=20)] = ""
    seen_times: int | None = None


KINDS = ("plain", "csv")


class Delivery(msgspec.Struct):
    signature: Annotated[str, msgspec.Meta(pattern="^sha256=[0-9a-f]{4}$")] = msgspec.field(name="X-Hub-Signature-256")
    attempt: int = msgspec.field(name="X-Attempt", default=1)


def sample_routes(state: dict[str, Any]) -> Routes:
    routes = Routes()

    @routes.post("/api/hooks/{sender}", scope=PUBLIC, status=202, accepts=JSON)
    def receive(sender: str, headers: Delivery, body: bytes) -> None:
        """Take a signed delivery"""
        state["received"] = (sender, headers, body)

    @routes.get("/api/things.csv", scope=READ, produces="text/csv")
    def export_things(studio_id: UUID) -> Response[str]:
        """Things as a table"""
        return Response("name\r\nFjäll\r\n", headers={"Link": '</api/things.csv?page=2>; rel="next"'})

    @routes.get("/api/robots", scope=PUBLIC, produces="text/plain")
    def get_robots() -> str:
        """Text"""
        return '"all"'

    @routes.patch("/api/things/{thing_id}", scope=WRITE)
    def change_thing(studio_id: UUID, thing_id: ThingId, body: Thing) -> Created[Thing]:
        """Change a thing"""
        state["changes"] = state.get("changes", 0) + 1
        thing = Thing(name=body.name, seen_times=state["changes"])
        return Created(thing, headers={"X-Count": "1"}, location=f"/api/things/{thing_id}")

    @routes.get("/api/things/{thing_id}", scope=PUBLIC, etag=True, cross_origin=True)
    def get_thing(thing_id: ThingId) -> Thing:
        """One thing"""
        if "error" in state:
            raise state["error"]
        return Thing(name=state.get("name", "a"))

    @routes.post("/api/things/{thing_id}", scope=PUBLIC, cross_origin=True)
    def touch_thing(thing_id: ThingId, headers: Delivery, body: Thing) -> Thing:
        """Touch a thing"""
        return body

    @routes.delete("/api/things/{thing_id}", scope=WRITE)
    def delete_thing(studio_id: UUID, thing_id: ThingId) -> None:
        """Delete a thing, unless that fails"""
        raise state["error"]

    def notes(kind: str) -> Route:
        def take_note(body: bytes) -> None:
            """Take a note"""
            state["note"] = (kind, body)

        take_note.__name__ = f"take_{kind}_note"
        accepts = f"text/{kind}"
        return route_of(take_note, method="POST", path=f"/api/notes/{kind}", scope=PUBLIC, status=202, accepts=accepts)

    def find_note(kind: str) -> Route:
        if kind not in KINDS:
            raise NotFound
        return notes(kind)

    family = RouteFamily(
        method="POST", path="/api/notes/{kind}", find=find_note, members=lambda: [notes(kind) for kind in KINDS]
    )
    routes.declared.append(family)
    return routes


class Sample:
    """The application, called as API Gateway would."""

    def __init__(self, key: str) -> None:
        self.state: dict[str, Any] = {}
        self.routes = sample_routes(self.state)
        self.key = key
        self._app = Chalice("sample", env={}, configure_logs=False)
        mount(self._app, [self.routes])

    def send(
        self, method: str, path: str, body: str | bytes | None = None, *, route: str = "", **headers: str
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        event = request_event(method, path, sent, body, route=route or path)
        answered: dict[str, Any] = self._app(event, Context("api", 29))
        return Answer(answered["statusCode"], answered["headers"], answered["body"])

    def thing(self, method: str, id: object = ID, body: str | None = None, **headers: str) -> Answer:
        return self.send(method, f"/api/things/{id}", body, route="/api/things/{thing_id}", **headers)


@pytest.fixture
def sample(api: Api) -> Sample:
    return Sample(api.key)


def hook(sample: Sample, body: bytes, **headers: str) -> Answer:
    return sample.send("POST", "/api/hooks/x", body, route="/api/hooks/{sender}", **headers)


def test_a_handler_gets_the_raw_body_and_the_headers_it_declares(sample: Sample) -> None:
    body = b'{"b":1,\r\n "a" : "\xc3\xa9", "a":2}'
    answer = hook(sample, body, x_hub_signature_256="sha256=00ff", X_Other="x")
    assert (answer.status, answer.text) == (202, "")
    assert sample.state["received"] == ("x", Delivery(signature="sha256=00ff"), body)


def test_a_text_body_from_the_gateway_is_the_same_bytes(sample: Sample) -> None:
    sample.send("POST", "/api/hooks/x", '{"a": "é"}', route="/api/hooks/{sender}", X_Hub_Signature_256="sha256=00ff")
    assert sample.state["received"][2] == '{"a": "é"}'.encode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 422),
        ({"X_Hub_Signature_256": "sha256=nope"}, 422),
        ({"X_Hub_Signature_256": "sha256=00ff", "X_Attempt": "many"}, 422),
        ({"X_Hub_Signature_256": "sha256=00ff", "Content_Type": "text/plain"}, 415),
    ],
)
def test_missing_headers_are_rejected_by_name(sample: Sample, headers: dict[str, str], status: int) -> None:
    answer = hook(sample, b"{}", **headers)
    assert answer.status == status
    assert "received" not in sample.state
    if status == 422:
        (problem,) = answer.json["errors"]
        assert problem["field"] == ("X-Attempt" if "X_Attempt" in headers else "X-Hub-Signature-256")


def test_a_route_may_respond_with_its_own_media_type_and_headers(sample: Sample) -> None:
    answer = sample.send("GET", "/api/things.csv")
    assert (answer.status, answer.text) == (200, "name\r\nFjäll\r\n")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Link"] == '</api/things.csv?page=2>; rel="next"'
    assert sample.send("GET", "/api/robots").text == '"all"'
    refused = sample.send("GET", "/api/things.csv", Authorization="")
    assert (refused.status, refused.headers["Content-Type"]) == (401, "application/problem+json")


def test_a_patch_with_an_idempotency_key_is_executed_once(sample: Sample) -> None:
    first, again = (sample.thing("PATCH", body='{"name": "b"}', Idempotency_Key="k") for _ in range(2))
    assert (first.status, first.json) == (200, {"name": "b", "seenTimes": 1})
    assert again.json == first.json
    assert (first.headers["X-Count"], again.headers["Idempotency-Replayed"]) == ("1", "true")
    assert first.headers["Location"] == again.headers["Location"] == f"/api/things/{ID}"
    assert again.headers["Content-Type"] == "application/json"
    assert sample.thing("PATCH", body='{"name": "c"}', Idempotency_Key="k").json["code"] == "idempotency_key_reused"


def test_an_unknown_path_is_a_404_whatever_else_is_wrong(sample: Sample) -> None:
    for method, body in (("GET", None), ("PATCH", '{"unknown": 1}')):
        answer = sample.thing(method, "nonsense", body)
        assert (answer.status, answer.json["code"]) == (404, "thing_not_found")
    assert sample.thing("PATCH", "nonsense", Authorization="").status == 401


def test_an_unchanged_resource_is_a_304(sample: Sample) -> None:
    first = sample.thing("GET")
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    for known in (tag, tag.removeprefix("W/"), f'"x", {tag}', "*"):
        answer = sample.thing("GET", If_None_Match=known)
        assert (answer.status, answer.text, answer.headers["ETag"]) == (304, "", tag)
    for other in ('W/"x"', tag.strip('"'), "", "\xff", f"{tag}x".replace('"', "")):
        assert sample.thing("GET", If_None_Match=other).status == 200
    sample.state["name"] = "b"
    changed = sample.thing("GET", If_None_Match=tag)
    assert (changed.status, changed.json["name"]) == (200, "b")
    assert changed.headers["ETag"] != tag


def test_only_successful_responses_of_declared_routes_have_an_etag(sample: Sample) -> None:
    assert "ETag" not in sample.thing("GET", "nonsense", If_None_Match="*").headers
    assert "ETag" not in sample.send("GET", "/api/things.csv", If_None_Match="*").headers


def test_a_preflight_follows_the_declarations(sample: Sample) -> None:
    answer = sample.thing("OPTIONS", Origin="https://tool.example", Access_Control_Request_Method="POST")
    assert (answer.status, answer.text) == (204, "")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, POST"
    assert answer.headers["Access-Control-Allow-Headers"] == (
        "Content-Type, If-None-Match, X-Hub-Signature-256, X-Attempt"
    )
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_any_origin_may_read_responses_and_errors_alike(sample: Sample) -> None:
    sample.state["name"] = "b"
    for id, status in ((ID, 200), ("nonsense", 404)):
        answer = sample.thing("GET", id, Origin="https://tool.example")
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, "*")
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
    sample.state["error"] = RuntimeError("unforeseen")
    failed = sample.thing("GET")
    assert (failed.status, failed.headers["Access-Control-Allow-Origin"]) == (500, "*")
    for method in ("PATCH", "DELETE"):
        assert "Access-Control-Allow-Origin" not in sample.thing(method, Origin="https://tool.example").headers


def test_an_undeclared_route_answers_no_preflight(sample: Sample) -> None:
    answer = sample.send("OPTIONS", "/api/things.csv")
    assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (405, False)


def test_an_undeclared_method_is_a_405_that_lists_the_declared_ones(sample: Sample) -> None:
    answer = sample.thing("PUT")
    assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, GET, OPTIONS, PATCH, POST")


def test_an_unexpected_failure_is_logged_once_and_never_returned(sample: Sample, log_lines: LogLines) -> None:
    sample.state["error"] = ValueError("a secret")
    answer = sample.thing("DELETE")
    assert (answer.status, answer.json["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert [line["code"] for line in log_lines.named("request.failed")] == ["internal_error"]


@pytest.mark.parametrize("error", [ValueError("x"), AppError("x")])
def test_a_failure_after_the_studio_was_erased_is_a_401(
    sample: Sample, studios: Studios, superuser: Any, error: Exception
) -> None:
    api = studios.new()
    sample.key = api.key
    assert sample.send("GET", "/api/things.csv").status == 200
    superuser.run("DELETE FROM studio WHERE id = :id", id=api.studio_id)
    sample.state["error"] = error
    answer = sample.thing("DELETE")
    assert (answer.status, answer.json["code"]) == (401, "unauthorized")
    forget_callers()


@pytest.mark.parametrize(
    ("kind", "content_type", "status"),
    [("plain", "text/plain", 202), ("csv", "text/csv", 202), ("csv", "text/plain", 415), ("html", "text/html", 404)],
)
def test_a_path_selects_the_member_of_a_route_family(sample: Sample, kind: str, content_type: str, status: int) -> None:
    answer = sample.send("POST", f"/api/notes/{kind}", b"a", route="/api/notes/{kind}", Content_Type=content_type)
    assert answer.status == status
    assert sample.state.get("note") == ((kind, b"a") if status == 202 else None)


def test_a_route_family_is_described_by_its_members(sample: Sample) -> None:
    paths = openapi(list(sample.routes))["paths"]
    described = {path: list(paths[path]["post"]["requestBody"]["content"]) for path in paths if "/notes" in path}
    assert described == {"/api/notes/plain": ["text/plain"], "/api/notes/csv": ["text/csv"]}


def test_the_openapi_document_matches_the_declarations(sample: Sample) -> None:
    document = openapi(list(sample.routes))
    things, hooks = document["paths"]["/api/things/{thing_id}"], document["paths"]["/api/hooks/{sender}"]["post"]
    assert things["get"]["parameters"][0]["schema"] == {"type": "string", "format": "uuid"}
    assert {"304", "404"} <= things["get"]["responses"].keys()
    assert "If-None-Match" in [parameter["name"] for parameter in things["get"]["parameters"]]
    assert "Idempotency-Key" in [parameter["name"] for parameter in things["patch"]["parameters"]]
    named = {each["name"]: each["required"] for each in hooks["parameters"] if each["in"] == "header"}
    assert named == {"X-Hub-Signature-256": True, "X-Attempt": False}
    assert hooks["requestBody"] == {"required": True, "content": {JSON: {"schema": {"type": "string"}}}}
    assert {"415", "422"} <= hooks["responses"].keys()
    table = document["paths"]["/api/things.csv"]["get"]["responses"]["200"]["content"]
    assert table == {"text/csv": {"schema": {"type": "string"}}}


@pytest.fixture
def served(api: Api) -> Iterator[HTTPConnection]:
    """The product itself, over HTTP."""
    from dev.server import make_server

    server = make_server(app)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    connection = HTTPConnection("127.0.0.1", server.server_address[1])
    yield connection
    connection.close()
    server.shutdown()
    thread.join()
    server.server_close()


def test_any_browser_tool_may_read_the_openapi_document(served: HTTPConnection) -> None:
    served.request("OPTIONS", "/api/openapi.json", headers={"Origin": "https://tool.example"})
    preflight = served.getresponse()
    preflight.read()
    assert (preflight.status, preflight.headers["Access-Control-Allow-Methods"]) == (204, "GET")
    assert preflight.headers["X-Content-Type-Options"] == "nosniff"
    served.request("GET", "/api/openapi.json", headers={"Origin": "https://tool.example"})
    first = served.getresponse()
    assert msgspec.json.decode(first.read())["openapi"] == "3.1.0"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    served.request("GET", "/api/openapi.json", headers={"If-None-Match": first.headers["ETag"]})
    again = served.getresponse()
    assert (again.status, again.read()) == (304, b"")


def test_polled_routes_report_when_nothing_changed(api: Api) -> None:
    first = api.get("/api/sync/status")
    again = api.get("/api/sync/status", If_None_Match=first.headers["ETag"])
    assert (again.status, again.text) == (304, "")
    assert "RateLimit" in again.headers
    assert api.post("/api/connections", {"platform": "google", "accessToken": "t"}).status == 201
    changed = api.get("/api/sync/status", If_None_Match=first.headers["ETag"])
    assert (changed.status, changed.headers["ETag"] != first.headers["ETag"]) == (200, True)


def test_every_list_rejects_a_cursor_of_another_list(api: Api) -> None:
    things = [SimpleNamespace(id=ID)] * 2
    cursor = Pages(ListQuery(limit=1), UUID, "things").page_of(things, key=lambda thing: thing.id).next_cursor
    listed = [route for group in [*API, describe(API)] for route in group if route.query]
    paths = [route.path for route in listed if "cursor" in route.query.__struct_fields__]  # type: ignore[union-attr]
    assert len(paths) >= 3
    for path in paths:
        answer = api.get(f"{path.format(platform='google')}?cursor={cursor}")
        assert (answer.status, answer.json["code"]) == (400, "cursor_of_another_list"), path
