"""Every response has the same security headers, whatever its status and its source."""

from collections.abc import Iterator
from typing import Any

import pg8000.native
import pytest
from chalice.test import Client

from app import API, app
from chalicelib.api.openapi import describe
from chalicelib.runtime.declare import Route
from chalicelib.runtime.security_headers import HTTPS_ONLY, SECURITY_HEADERS
from chalicelib.services.api_keys import create_api_key
from chalicelib.services.studios import create_studio
from chalicelib.settings import get_settings
from dev.invocation import Context, request_event
from dev.sandbox import Sandbox
from tests.api.seeding import connect_google, renamed
from tests.browser import RETURN_TO, walk
from tests.conftest import ROOT, Answer, Api, Queue, as_operator

ROUTES = [route for group in [*API, describe(API)] for route in group]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")


@pytest.fixture(params=["local", "prod"])
def stage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def api(stage: str, platforms: Sandbox, queue: Queue) -> Iterator[Api]:
    """The API answers as on the stage; its other settings are those of the tests."""
    with as_operator():
        studio_id = create_studio("Studio")
        key = create_api_key(studio_id, "test", ("admin",))
    get_settings()
    with Client(app, stage_name=stage, project_dir=str(ROOT)) as client:
        yield Api(client, studio_id, key.reveal())


def assert_safe(answer: Answer, stage: str) -> None:
    expected = {name: value for name, value in SECURITY_HEADERS.items() if stage == "prod" or name != HTTPS_ONLY}
    assert {name: answer.headers[name] for name in SECURITY_HEADERS if name in answer.headers} == expected


def path_of(route: Route, **values: str) -> str:
    return route.path.format(**{**dict.fromkeys(route.params, "0" * 32), "platform": "google", **values})


def test_the_security_headers_are_known() -> None:
    assert SECURITY_HEADERS == {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Strict-Transport-Security": "max-age=63072000",
    }


@every_route
def test_every_route_has_security_headers_with_and_without_a_key(api: Api, stage: str, route: Route) -> None:
    for headers in ({}, {"Authorization": ""}):
        answer = api.send(route.method, path_of(route), {}, headers)
        assert_safe(answer, stage)


@every_route
def test_every_error_of_a_route_has_security_headers(api: Api, stage: str, route: Route) -> None:
    answers = {
        405: api.send(next(method for method in METHODS if method not in methods_of(route.path)), path_of(route)),
        **({415: api.send(route.method, path_of(route), b"x", {"Content_Type": "a/b"})} if route.body else {}),
        **({413: api.send(route.method, path_of(route), b" " * 300_000)} if route.body else {}),
        **({404: api.send(route.method, path_of(route, platform="x"), {})} if "platform" in route.params else {}),
    }
    for answer in answers.values():
        assert_safe(answer, stage)
    assert answers[405].status == 405
    assert all(answer.status >= 400 for answer in answers.values())


def methods_of(path: str) -> set[str]:
    return {route.method for route in ROUTES if route.path == path}


def test_successful_responses_have_security_headers_even_without_a_body(api: Api, stage: str) -> None:
    answers = [api.post("/api/webhook-endpoints", {"url": "https://studio.example/hook"}), api.get("/api/openapi.json")]
    answers.append(api.delete(f"/api/webhook-endpoints/{answers[0].json['id']}"))
    assert [answer.status for answer in answers] == [201, 200, 204]
    for answer in answers:
        assert_safe(answer, stage)


def test_a_replayed_response_has_security_headers(api: Api, stage: str) -> None:
    answers = [api.post("/api/connections", {"platform": "website"}, Idempotency_Key="key") for _ in range(2)]
    assert "Idempotency-Replayed" in answers[1].headers
    for answer in answers:
        assert_safe(answer, stage)


def test_a_redirect_has_security_headers(api: Api, stage: str) -> None:
    answer = walk(api, wanted={"returnTo": RETURN_TO})
    assert answer.status == 303
    assert_safe(answer, stage)


def test_server_errors_have_security_headers(api: Api, stage: str, superuser: pg8000.native.Connection) -> None:
    connect_google(api)
    with renamed(superuser, "TABLE", "sync_log", "gone"):
        answer = api.get("/api/sync/log")
    assert answer.status == 500
    assert_safe(answer, stage)


def test_rejections_by_chalice_have_security_headers(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """API Gateway forwards no such request."""
    monkeypatch.setenv("ANSEL_STAGE", stage)
    answered: dict[str, Any] = app(request_event("OPTIONS", "/api/connections"), Context("api", 29))
    assert answered["statusCode"] == 405
    assert_safe(Answer(405, answered["headers"], answered["body"]), stage)
