"""Who may do what: every route without a key, with a wrong one, with one scope, and with another studio's resources."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pg8000.native
import pytest
from chalice.app import Chalice

from app import API, app
from chalicelib import clock
from chalicelib.api.openapi import describe
from chalicelib.runtime.declare import METHODS, PUBLIC, Route, Routes
from chalicelib.runtime.dispatch import mount
from chalicelib.security.api_keys import ADMIN, SCOPES, new_api_key
from chalicelib.services import api_keys
from chalicelib.services.authentication import CACHE_SECONDS
from tests.api.paths import BODIES, NO_RUN, QUERIES, path_of
from tests.api.seeding import connect_google, insert, seed_figures, seed_runs
from tests.conftest import NOON, Answer, Api, Studios, as_operator

GROUPS = [*API, describe(API)]
ROUTES = [route for group in GROUPS for route in group]
SCOPED = [route for route in ROUTES if route.scope != PUBLIC]
LISTS = ("/api/connections", "/api/webhook-endpoints", "/api/sync/status", "/api/sync/set-aside", "/api/sync/log")
OPEN = {"/api/health", "/api/openapi.json"}
PROVED = {
    "/api/oauth/{platform}/callback": 400,
    "/api/webhooks/google/security-events": 415,
    "/api/webhooks/meta/deauthorize": 415,
    "/api/webhooks/meta/data-deletion": 415,
    "/api/webhooks/meta/data-deletion/{code}": 404,
}
"""Also public, but the request has to prove its sender: the status of a request without proof."""

every_scoped_route = pytest.mark.parametrize(
    "route", [pytest.param(route, id=f"{route.method} {route.path}") for route in SCOPED]
)


def call(api: Api, route: Route, run_id: str = NO_RUN, endpoint_id: str = NO_RUN, **headers: str) -> Answer:
    """A request that is valid except for its caller."""
    which = (route.method, route.path)
    path = path_of(route, run_id=run_id, endpoint_id=endpoint_id) + QUERIES.get(which, "")
    return api.send(route.method, path, BODIES.get(which), headers)


def past_the_declarations(chalice: Chalice, groups: list[Routes]) -> set[str]:
    """The paths that Chalice serves without a declaration."""
    declared = {each.path for group in groups for each in group.declared}
    crossing = {route.path for group in groups for route in group if route.cross_origin}
    made_by_mount = mount.__module__
    return {
        path
        for path, methods in chalice.routes.items()
        if path not in declared
        or set(methods) != {*METHODS, *(["OPTIONS"] if path in crossing else [])}
        or any(entry.view_function.__module__ != made_by_mount for entry in methods.values())
    }


def test_every_served_path_is_declared() -> None:
    assert past_the_declarations(app, GROUPS) == set()
    assert set(app.routes) == {each.path for group in GROUPS for each in group.declared}


def test_an_undeclared_route_is_found() -> None:
    sample, routes = Chalice("sample", env={}), Routes()
    routes.get("/declared", scope=PUBLIC)(lambda: None)
    mount(sample, [routes])
    assert past_the_declarations(sample, [routes]) == set()
    sample.route("/undeclared")(lambda: None)
    assert past_the_declarations(sample, [routes]) == {"/undeclared"}


def test_every_route_names_an_existing_scope_or_is_public() -> None:
    assert {route.path for route in ROUTES if route.scope == PUBLIC} == OPEN | set(PROVED)
    assert {route.scope for route in SCOPED} <= set(SCOPES) - {ADMIN}
    assert all(route.scope.endswith(":read" if route.method == "GET" else ":write") for route in SCOPED)


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_a_route_cannot_be_declared_without_a_scope(method: str) -> None:
    with pytest.raises(TypeError, match="scope"):
        getattr(Routes(), method)("/api/open")


def assert_unauthorized(answer: Answer) -> None:
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="ansel"'
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["code"] == "unauthorized"


@every_scoped_route
def test_a_route_rejects_callers_without_a_valid_key(api: Api, route: Route) -> None:
    id, secret = api.key.split("_")[1:]
    for authorization in (
        "",
        "Bearer",
        "Bearer ansel_",
        f"Basic {api.key}",
        api.key,
        f"Bearer {api.key}0",
        f"Bearer {api.key[:-1]}{'0' if api.key[-1] != '0' else '1'}",
        f"Bearer ansel_{secret[:32]}_{secret}",
        f"Bearer {new_api_key().token.reveal()}",
        f"Bearer ansel_{id.upper()}_{secret}",
        f"Bearer {api.key} {api.key}",
        "Bearer \u0661",
    ):
        assert_unauthorized(call(api, route, Authorization=authorization))


@every_scoped_route
def test_a_route_rejects_an_expired_or_revoked_key(
    studios: Studios, superuser: pg8000.native.Connection, route: Route
) -> None:
    for column, ended in (("expires_at", "now()"), ("revoked_at", "now() - interval '1 day'")):
        api = studios.new()
        superuser.run(f"UPDATE api_key SET {column} = {ended} WHERE studio_id = :id", id=api.studio_id)
        assert_unauthorized(call(api, route))


@every_scoped_route
def test_a_key_without_the_scope_is_forbidden_and_the_scope_is_named(studios: Studios, route: Route) -> None:
    others = set(SCOPES) - {route.scope, ADMIN}
    answer = call(studios.new(*sorted(others)), route)
    assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert route.scope in answer.json["detail"]


@every_scoped_route
@pytest.mark.parametrize("which", ["its scope", "admin"])
def test_a_key_with_only_the_scope_is_accepted(studios: Studios, platforms: Any, route: Route, which: str) -> None:
    api = studios.new(route.scope if which == "its scope" else ADMIN)
    assert call(api, route).status in {200, 201, 400 if route.path.endswith("/complete") else 404}


def test_public_routes_need_no_key(api: Api) -> None:
    for route in ROUTES:
        if route.scope == PUBLIC:
            assert call(api, route, Authorization="Bearer nonsense").status == PROVED.get(route.path, 200)


def test_a_key_of_a_deleted_studio_is_not_valid(api: Api, superuser: pg8000.native.Connection) -> None:
    superuser.run("DELETE FROM studio WHERE id = :id", id=api.studio_id)
    assert_unauthorized(api.get("/api/connections"))


def test_a_revoked_key_stops_working_when_its_cache_entry_expires(
    studios: Studios, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = studios.new()
    assert api.get("/api/connections").status == 200
    with as_operator():
        api_keys.revoke_api_key(api.studio_id, UUID(api.key.split("_")[1]))
    now = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: now + CACHE_SECONDS)
    assert_unauthorized(api.get("/api/connections"))
    assert CACHE_SECONDS <= 5


def test_a_cached_key_stops_working_when_it_expires(studios: Studios, monkeypatch: pytest.MonkeyPatch) -> None:
    api = studios.new()
    with clock.at(NOON):
        ending = NOON + timedelta(seconds=2)
        with as_operator():
            key = api_keys.create_api_key(api.studio_id, "short", [ADMIN], expires_at=ending)
        remembered = {"Authorization": f"Bearer {key.reveal()}"}
        assert api.get("/api/connections", **remembered).status == 200
    monotonic = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: monotonic + 2)
    with clock.at(ending):
        assert_unauthorized(api.get("/api/connections", **remembered))


@pytest.fixture
def rich(studios: Studios, platforms: Any, superuser: pg8000.native.Connection) -> Api:
    """A studio with data of every kind."""
    api = studios.new()
    connect_google(api)
    seed_runs(superuser, api.studio_id, 20)
    seed_figures(superuser, api.studio_id, 20)
    assert api.post("/api/sync/google").status == 202
    assert api.post("/api/webhook-endpoints", {"url": "https://studio.example/hook"}).status == 201
    return api


def everything_of(superuser: pg8000.native.Connection, studio_id: UUID) -> dict[str, Any]:
    tables = superuser.run("SELECT table_name FROM information_schema.columns WHERE column_name = 'studio_id'")
    dump = "SELECT coalesce(json_agg(t ORDER BY t::text), '[]')::text FROM {} AS t WHERE t.studio_id = :id"
    return {name: superuser.run(dump.format(name), id=studio_id)[0][0] for (name,) in tables}


def test_a_studio_can_neither_see_nor_change_another_one(
    rich: Api, studios: Studios, superuser: pg8000.native.Connection
) -> None:
    other = studios.new()
    (run_id, *_) = [run["id"] for run in rich.get("/api/sync/log").json["items"]]
    (endpoint_id,) = [webhook["id"] for webhook in rich.get("/api/webhook-endpoints").json["items"]]
    before = everything_of(superuser, rich.studio_id)
    for route in SCOPED:
        answer = call(other, route, run_id, endpoint_id)
        if route.path in LISTS and route.method == "GET":
            assert answer.json == {"items": [], "nextCursor": None}
        elif route.path.startswith("/api/metrics"):
            own = call(studios.new(), route)
            assert answer.json == own.json, "figures of a studio without rows"
        elif (route.method, route.path) == ("POST", "/api/connections"):
            assert answer.status == 201, "its own Pinterest; nothing of the other studio's"
            other.delete("/api/connections/pinterest")
        elif route.path in ("/api/oauth/{platform}/authorize", "/api/webhook-endpoints"):
            assert answer.status == 201, "an authorization or a webhook endpoint of its own"
        elif route.path == "/api/oauth/{platform}/complete":
            assert answer.json["code"] == "completion_code_invalid", "as for a code that was never issued"
        else:
            assert answer.status == 404, f"{route.method} {route.path}: {answer.text}"
    assert everything_of(superuser, rich.studio_id) == before
    with clock.at(NOON):
        assert rich.get("/api/metrics/overview").json != other.get("/api/metrics/overview").json


def test_another_studios_cursor_or_idempotency_key_has_no_effect(rich: Api, studios: Studios) -> None:
    cursor = rich.get("/api/sync/log?limit=1").json["nextCursor"]
    assert studios.new().get(f"/api/sync/log?cursor={cursor}").json["items"] == []
    mine, body = studios.new(), BODIES["POST", "/api/connections"]
    first = rich.post("/api/connections", body, Idempotency_Key="k")
    second = mine.post("/api/connections", body, Idempotency_Key="k")
    assert first.json["id"] != second.json["id"]


def test_a_row_cannot_be_inserted_into_another_studio(
    rich: Api, studios: Studios, superuser: pg8000.native.Connection
) -> None:
    """The foreign keys include the studio, so a run cannot refer to another studio's connection."""
    connection = UUID(rich.get("/api/connections/google").json["id"])
    with pytest.raises(pg8000.native.DatabaseError, match="foreign key"):
        insert(
            superuser,
            "sync_log",
            studio_id=studios.new().studio_id,
            connection_id=connection,
            platform="google",
            stream="bookings",
            trigger="manual",
        )
