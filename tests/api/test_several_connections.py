"""Two accounts of one platform: each is a connection of its own, and a request names the one it is for."""

from typing import Any
from uuid import UUID

import pg8000.native
import pytest

from app import API
from chalicelib.api.openapi_document import openapi
from chalicelib.runtime.declare import PUBLIC, Route
from dev.sandbox import issue_token
from tests.api.paths import BODIES, NO_ID, QUERIES, path_of
from tests.api.seeding import Rows, connect_google, insert, seed_account
from tests.browser import code_of, come_back, complete, consent, decide, walk
from tests.conftest import Answer, Api, Studios

OF_ALL = ("/api/oauth/", "/api/metrics/")
"""Paths that name a platform and no connection: an authorization may reach any, figures add all of them up."""
ROUTES = [route for group in API for route in group if route.scope != PUBLIC]
OF_ONE = [route for route in ROUTES if "{platform}" in route.path and not route.path.startswith(OF_ALL)]
LISTS = ("/api/connections", "/api/sync/status", "/api/sync/log", "/api/sync/set-aside")

every_route_of_one = pytest.mark.parametrize(
    "route", [pytest.param(route, id=f"{route.method} {route.path}") for route in OF_ONE]
)


@pytest.fixture
def two(api: Api, platforms: object) -> list[str]:
    """The ids of a studio's two Google connections, the accounts `empty` and `bulk-3`."""
    return [connect_google(api, account).json["id"] for account in ("empty", "bulk-3")]


def ask(api: Api, route: Route, connection: object = None, **known: Any) -> Answer:
    which = (route.method, route.path)
    query = QUERIES.get(which, "")
    if connection is not None:
        query += f"{'&' if query else '?'}connection={connection}"
    return api.send(route.method, path_of(route, **known) + query, BODIES.get(which))


def accounts(api: Api) -> dict[str, str]:
    """Account names by connection."""
    return {each["id"]: each["accountName"] for each in api.get("/api/connections").json["items"]}


def test_a_second_account_is_connected_next_to_the_first(api: Api, two: list[str]) -> None:
    assert list(accounts(api)) == two
    streams = api.get("/api/sync/status").json["items"]
    assert {(stream["connectionId"], stream["syncType"]) for stream in streams} == {
        (connection, stream) for connection in two for stream in ("bookings", "inquiries")
    }


def test_the_same_account_is_a_conflict_even_if_it_was_not_identified_yet(api: Api, platforms: object) -> None:
    first = connect_google(api, "bulk-3").json
    assert first["accountId"] is None
    grant = issue_token("bulk-3")
    again = api.post("/api/connections", {"platform": "google", "accessToken": grant.access_token})
    assert (again.status, again.json["code"]) == (409, "connection_exists")
    (connection,) = api.get("/api/connections").json["items"]
    assert (connection["id"], connection["accountName"]) == (first["id"], "Bulk Studio")


def test_tokens_rejected_by_the_platform_create_no_second_connection(api: Api, two: list[str]) -> None:
    answer = api.post("/api/connections", {"platform": "google", "accessToken": "ya29.invented"})
    assert (answer.status, answer.json["code"]) == (422, "invalid_input")
    assert [error["field"] for error in answer.json["errors"]] == ["accessToken"]
    assert list(accounts(api)) == two


def test_a_second_yelp_business_is_a_connection_of_its_own(api: Api, platforms: object) -> None:
    business = {"platform": "yelp", "accountId": "linden-and-light-photography-berlin"}
    assert api.post("/api/connections", business).status == 201
    assert api.post("/api/connections", business).json["code"] == "connection_exists"


@every_route_of_one
def test_a_request_naming_no_connection_is_answered_with_a_list_of_them(api: Api, two: list[str], route: Route) -> None:
    answer = ask(api, route)
    assert (answer.status, answer.json["code"]) == (409, "several_connections")
    names = accounts(api)
    assert answer.json["connections"] == [{"id": id, "accountName": names[id]} for id in two]
    assert "?connection=" in answer.json["detail"]


@every_route_of_one
def test_a_request_is_for_the_connection_it_names(
    api: Api, two: list[str], route: Route, superuser: pg8000.native.Connection
) -> None:
    if "{account_id}" in route.path:
        seed_account(superuser, api.studio_id)
        (account,) = api.get(f"/api/connections/google/accounts?connection={two[1]}").json["items"]
        assert ask(api, route, two[0], account_id=account["id"]).status == 404
        assert ask(api, route, two[1], account_id=account["id"]).status == 200
    elif route.path.endswith("/schedule/resume"):
        assert api.post(f"/api/sync/google/schedule/pause?connection={two[1]}", {"syncType": "bookings"}).status == 200
        assert ask(api, route, two[1]).json["connectionId"] == two[1]
    else:
        assert ask(api, route, two[1]).status < 300
    assert two[0] in accounts(api)


@every_route_of_one
def test_an_unknown_or_foreign_connection_is_not_found(
    api: Api, two: list[str], studios: Studios, route: Route
) -> None:
    stranger = studios.new()
    connect_google(stranger, "bulk-4")
    foreign_id = stranger.get("/api/connections/google").json["id"]
    before = stranger.get("/api/connections/google").json
    for unknown in (NO_ID, foreign_id):
        assert ask(api, route, unknown).status == 404, unknown
    assert ask(api, route, "no-id").status == 422
    assert stranger.get("/api/connections/google").json == before


def test_a_connection_of_another_platform_is_not_found(api: Api, two: list[str]) -> None:
    pinterest = api.post("/api/connections", {"platform": "pinterest", "accessToken": "token"}).json["id"]
    answer = api.get(f"/api/connections/google?connection={pinterest}")
    assert (answer.status, answer.json["code"]) == (404, "connection_not_found")
    assert api.get("/api/connections/pinterest").json["id"] == pinterest


@pytest.mark.parametrize("path", LISTS)
def test_lists_show_every_connection_or_the_named_one(
    api: Api, two: list[str], path: str, superuser: pg8000.native.Connection
) -> None:
    for number, connection in enumerate(two):
        own = {"studio_id": api.studio_id, "connection_id": UUID(connection), "platform": "google"}
        insert(superuser, "sync_log", **own, stream="bookings", trigger="schedule", status="succeeded")
        odd = {
            "external_id": str(number),
            "field": "start",
            "reason": "is odd",
            "account_id": UUID(connection),
            "table_name": "booking",
        }
        insert(superuser, "set_aside", **own, stream="bookings", **odd)
    name = "id" if path == "/api/connections" else "connectionId"
    assert {item[name] for item in api.get(path).json["items"]} == set(two)
    assert {item[name] for item in api.get(f"{path}?connection={two[1]}").json["items"]} == {two[1]}
    assert api.get(f"{path}?connection={NO_ID}").json["items"] == []


@pytest.mark.parametrize("path", ["/api/metrics/overview", "/api/metrics/google"])
def test_figures_sum_all_connections_or_show_the_named_one(
    api: Api, two: list[str], path: str, superuser: pg8000.native.Connection
) -> None:
    rows = Rows(superuser, api.studio_id)
    for minor, connection in zip((100, 900), two, strict=True):
        rows.booking(3, minor, connection_id=connection)
    period = "from=2026-03-01&to=2026-03-31"

    def value(query: str) -> int:
        metrics = api.get(f"{path}?{period}{query}").json
        (money,) = (metrics.get("current") or metrics["totals"])["bookings"]["value"]
        return int(money["amountMinor"])

    assert value("") == 1000
    assert [value(f"&connection={connection}") for connection in two] == [100, 900]


def test_after_disconnecting_one_the_other_need_not_be_named(api: Api, two: list[str]) -> None:
    assert api.delete(f"/api/connections/google?connection={two[0]}").status == 204
    assert api.get("/api/connections/google").json["id"] == two[1]
    assert {stream["connectionId"] for stream in api.get("/api/sync/status").json["items"]} == {two[1]}
    kinds = [event["kind"] for event in api.get(f"/api/connections/google/events?connection={two[0]}").json["items"]]
    assert kinds == ["disconnected", "connected"]
    (event, *_) = api.get("/api/connections/google/events").json["items"]
    assert event["kind"] == "connected"
    assert api.delete("/api/connections/google").status == 204
    ended = api.get("/api/connections/google/events")
    assert (ended.status, ended.json["code"]) == (409, "several_connections")


def test_reconnecting_an_account_restores_its_connection(api: Api, two: list[str]) -> None:
    api.delete(f"/api/connections/google?connection={two[1]}")
    assert connect_google(api, "bulk-5").json["id"] not in two
    assert connect_google(api, "bulk-3").json["id"] == two[1]


def test_the_consenting_account_decides_which_connection_is_reconnected(api: Api, two: list[str]) -> None:
    assert consent(api, account="bulk-3").json["connection"]["id"] == two[1]
    third = consent(api, account="bulk-5").json["connection"]
    assert third["id"] not in two
    assert list(accounts(api)) == [*two, third["id"]]


def start(api: Api, connection: str) -> Answer:
    return api.post(f"/api/oauth/google/authorize?connection={connection}")


def test_a_named_connection_is_reconnected_with_its_own_account(api: Api, two: list[str]) -> None:
    path = decide(start(api, two[1]).json["authorizeUrl"], account="bulk-3")
    completed = complete(api, come_back(api, path).json["completionCode"])
    assert completed.json["connection"]["id"] == two[1]


def test_a_named_connection_rejects_another_account(api: Api, two: list[str]) -> None:
    before = api.get("/api/connections").json
    answer = come_back(api, decide(start(api, two[1]).json["authorizeUrl"], account="bulk-9"))
    assert (answer.status, answer.json["code"]) == (400, "another_account")
    assert api.get("/api/connections").json == before


def test_a_disconnected_connection_can_be_named_for_reconnection(api: Api, two: list[str]) -> None:
    api.delete(f"/api/connections/google?connection={two[1]}")
    path = decide(start(api, two[1]).json["authorizeUrl"], account="bulk-3")
    assert complete(api, come_back(api, path).json["completionCode"]).json["connection"]["id"] == two[1]


def test_only_the_studios_own_connections_can_be_named_for_reconnection(
    api: Api, two: list[str], studios: Studios
) -> None:
    stranger = studios.new()
    foreign_id = connect_google(stranger, "bulk-4").json["id"]
    for unknown in (NO_ID, foreign_id):
        answer = start(api, unknown)
        assert (answer.status, answer.json["code"]) == (404, "connection_not_found")


def test_an_authorization_identifies_a_connection_made_with_plain_tokens(api: Api, platforms: object) -> None:
    first = connect_google(api, "empty").json["id"]
    second = consent(api, account="bulk-3").json["connection"]["id"]
    assert second != first
    assert list(accounts(api).values()) == ["Bulk Studio"] * 2
    assert consent(api, account="empty").json["connection"]["id"] == first


def test_a_connection_that_cannot_be_identified_is_assumed_to_be_the_consenting_one(api: Api, platforms: Any) -> None:
    first = connect_google(api, "empty").json["id"]
    platforms.google.revoke("empty")
    assert consent(api, account="bulk-3").json["connection"]["id"] == first


def test_a_completion_that_cannot_identify_the_account_can_be_repeated(api: Api, platforms: Any) -> None:
    first = connect_google(api, "empty").json["id"]
    code = code_of(walk(api, account="bulk-3"))
    platforms.add_fault(kind="status", status=503, host="oauth2.googleapis.com", path="/tokeninfo", times=None)
    assert complete(api, code).status == 502
    platforms.clear_faults()
    assert complete(api, code).json["connection"]["id"] != first


def test_the_document_says_which_routes_take_a_connection() -> None:
    paths = openapi(ROUTES)["paths"]
    for route in OF_ONE:
        described = paths[route.path][route.method.lower()]
        (parameter,) = [each for each in described["parameters"] if each["name"] == "connection"]
        assert (parameter["in"], parameter["required"]) == ("query", False)
        assert "409" in described["responses"], route.path
    for path in (*LISTS, "/api/metrics/overview", "/api/metrics/{platform}"):
        assert "connection" in [each["name"] for each in paths[path]["get"]["parameters"]], path
    assert "connections" in openapi(ROUTES)["components"]["schemas"]["Problem"]["properties"]
