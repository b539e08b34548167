"""Requests with a valid key and an odd header, path or query: never a server error."""

import json

import pytest

from app import API
from chalicelib.runtime.declare import PUBLIC, Route
from tests.api.hostile import ODD, ask
from tests.api.paths import BODIES, NO_RUN
from tests.conftest import Api

SCOPED = [route for group in API for route in group if route.scope != PUBLIC]
HEADERS = ("Authorization", "Content-Type", "Idempotency-Key")
SOME = (*ODD[:13], "9" * 5_000, "x" * 20_000)
PARAMETERS = ("cursor", "limit", "platform", "syncType", "status", "from", "asOf", "\ud800", "\0")

every_scoped_route = pytest.mark.parametrize("route", SCOPED, ids=lambda route: f"{route.method} {route.path}")


class Studio:
    """Sends requests to one route, valid except for what a test changes."""

    def __init__(self, api: Api, route: Route) -> None:
        self._route = route
        self._headers = {"Authorization": f"Bearer {api.key}"}
        self._params = {name: "google" if name == "platform" else NO_RUN for name in route.params}
        self._body = json.dumps(BODIES.get((route.method, route.path), {}))

    def ask(
        self,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        query: dict[str, list[str]] | None = None,
    ) -> int:
        answer, _ = ask(
            self._route.method,
            self._route.path,
            headers={**self._headers, **(headers or {})},
            params={**self._params, **(params or {})},
            query=query,
            body=self._body,
        )
        return answer.status


@every_scoped_route
def test_an_odd_header_causes_no_server_error(api: Api, route: Route) -> None:
    studio = Studio(api, route)
    for odd in SOME:
        for name in HEADERS:
            status = studio.ask(headers={name: odd})
            assert status < 500, (name, odd[:50])


@every_scoped_route
def test_an_odd_path_is_not_found(api: Api, route: Route) -> None:
    studio = Studio(api, route)
    for odd in SOME:
        for name in route.params:
            status = studio.ask(params={name: odd})
            assert status in (404, 405, 422), (name, odd[:50])


@every_scoped_route
def test_an_odd_parameter_causes_no_server_error(api: Api, route: Route) -> None:
    studio = Studio(api, route)
    for odd in SOME:
        for name in PARAMETERS:
            status = studio.ask(query={name: [odd]})
            assert status < 500, (name, odd[:50])
        assert studio.ask(query={"limit": [odd, odd]}) < 500, odd[:50]
