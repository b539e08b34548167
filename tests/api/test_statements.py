"""The database cost of a request: a fixed number of statements and round trips, whatever the number of rows.

Counted as the driver sends them, including the lookup of the API key; BEGIN with the studio's setting counts as a
statement, and so does COMMIT.
"""

import re
from typing import Any, NamedTuple

import pg8000.native
import pytest

from app import API
from chalicelib.api.openapi import describe
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.services.authentication import forget_callers
from tests.api.seeding import connect_google, seed_account, seed_figures, seed_runs
from tests.browser import ask, code_of, decide, walk
from tests.conftest import Api, Studios

MAX_READ_ROUND_TRIPS = 4
META = (("platform", "meta"), ("accessToken", "token"))
WEBSITE = (("platform", "website"),)
HOOK = (("url", "http://127.0.0.1:9/nobody-listens"),)
OTHERS = (
    {"platform": "pinterest", "accessToken": "token"},
    {"platform": "yelp", "accountId": "linden-and-light-photography-berlin"},
)
BOOKINGS = (("syncType", "bookings"),)
MAY = (*BOOKINGS, ("from", "2026-05-01"), ("to", "2026-05-31"))
DAILY = (*BOOKINGS, ("frequency", "daily"))
ALL = (("rule", "all"),)


class Cost(NamedTuple):
    statements: int
    round_trips: int


class Call(NamedTuple):
    """A request that succeeds after those before it in the table.

    `path` may name the newest run of any status, `{run_id}`, or of one status, as in `{queued}`; the first
    `{endpoint_id}` and its `{delivery_id}`; `{consent}` stands for the parameters of a platform's redirect. In the body
    `{code}` is the completion code of an authorization.
    """

    method: str
    path: str
    body: tuple[tuple[str, str], ...] = ()
    idempotency_key: str = ""
    note: str = ""


COSTS = {
    Call("GET", "/api/connections"): Cost(6, 2),
    Call("GET", "/api/connections/google"): Cost(6, 2),
    Call("GET", "/api/sync/status"): Cost(6, 2),
    Call("GET", "/api/sync/set-aside"): Cost(6, 2),
    Call("GET", "/api/sync/log?limit=200"): Cost(6, 2),
    Call("GET", "/api/sync/log?limit=2&platform=google&syncType=bookings&status=failed"): Cost(6, 2),
    Call("GET", "/api/sync/log/{run_id}"): Cost(6, 2),
    Call("GET", "/api/metrics/overview?from=2026-10-20&to=2026-11-18"): Cost(9, 3),
    Call("GET", "/api/metrics/overview?asOf=2026-01-31"): Cost(9, 3),
    Call("GET", "/api/metrics/google?from=2026-10-20&to=2026-11-18"): Cost(12, 4),
    Call("GET", "/api/metrics/google?asOf=2026-01-31"): Cost(12, 4),
    Call("GET", "/api/metrics/google?from=2025-01-01&to=2026-01-31&interval=day"): Cost(12, 4),
    Call("GET", "/api/health"): Cost(3, 1),
    Call("GET", "/api/openapi.json"): Cost(0, 0),
    Call("GET", "/api/connections/google/events"): Cost(9, 3),
    Call("GET", "/api/connections/google/accounts"): Cost(6, 2),
    Call("PUT", "/api/connections/google/accounts/{account_id}", ALL): Cost(6, 2),
    Call("POST", "/api/connections/google/test"): Cost(12, 5),
    Call("POST", "/api/sync/google"): Cost(10, 5),
    Call("PUT", "/api/sync/google/schedule", DAILY): Cost(9, 3),
    Call("POST", "/api/sync/google/schedule/pause", BOOKINGS): Cost(6, 2),
    Call("POST", "/api/sync/google/schedule/resume", BOOKINGS): Cost(7, 4),
    Call("DELETE", "/api/sync/google/schedule?syncType=bookings"): Cost(6, 2),
    Call("DELETE", "/api/sync/log/{queued}"): Cost(7, 4),
    Call("POST", "/api/sync/google/set-aside/retry"): Cost(6, 2),
    Call("POST", "/api/sync/log/{cancelled}/retry"): Cost(13, 6),
    Call("POST", "/api/sync/google/backfill", MAY): Cost(9, 3),
    Call("POST", "/api/connections", META): Cost(11, 3),
    Call("PUT", "/api/connections/meta", (("accessToken", "other"),)): Cost(10, 3),
    Call("POST", "/api/connections", WEBSITE, "a key"): Cost(17, 5),
    Call("POST", "/api/connections", WEBSITE, "a key", "a repeat"): Cost(9, 3),
    Call("POST", "/api/oauth/google/authorize"): Cost(12, 4),
    Call("GET", "/api/oauth/google/callback?{consent}"): Cost(12, 4),
    Call("POST", "/api/oauth/google/complete", (("code", "{code}"),)): Cost(30, 15),
    Call("DELETE", "/api/connections/google"): Cost(12, 4),
    Call("POST", "/api/webhook-endpoints", HOOK): Cost(11, 6),
    Call("GET", "/api/webhook-endpoints"): Cost(6, 2),
    Call("POST", "/api/webhook-endpoints/{endpoint_id}/test"): Cost(6, 2),
    Call("GET", "/api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}"): Cost(6, 2),
    Call("DELETE", "/api/webhook-endpoints/{endpoint_id}"): Cost(6, 2),
}


def newest_runs(api: Api) -> dict[str, str]:
    runs = api.get("/api/sync/log?limit=200").json["items"]
    return {run["status"]: run["id"] for run in reversed(runs)} | {"run_id": runs[0]["id"]}


def placeholders(api: Api, call: Call) -> dict[str, str]:
    if "{account_id}" in call.path:
        return {"account_id": api.get("/api/connections/google/accounts").json["items"][0]["id"]}
    if "{endpoint_id}" in call.path:
        (webhook, *_) = api.get("/api/webhook-endpoints").json["items"]
        (delivery, *_) = webhook["deliveries"] or [{"id": "none yet"}]
        return {"endpoint_id": webhook["id"], "delivery_id": delivery["id"]}
    return (
        {"consent": decide(ask(api), account="empty").partition("?")[2]}
        if "{consent}" in call.path
        else newest_runs(api)
    )


def measure(api: Api, call: Call) -> Cost:
    path = call.path.format(**placeholders(api, call)) if "{" in call.path else call.path
    body = {name: code_of(walk(api, account="empty")) if value == "{code}" else value for name, value in call.body}
    headers = {"Idempotency-Key": call.idempotency_key} if call.idempotency_key else {}
    forget_callers()
    with query_statistics() as statistics:
        answer = api.send(call.method, path, body or None, headers)
    assert answer.status < 300, answer.text
    return Cost(len(statistics.statements), statistics.round_trips)


@pytest.mark.parametrize("rows", [1, 300])
def test_a_request_costs_the_same_with_few_rows_and_with_many(
    studios: Studios, platforms: Any, superuser: pg8000.native.Connection, rows: int
) -> None:
    api = studios.new()
    connect_google(api)
    for body in OTHERS if rows > 1 else ():
        assert api.post("/api/connections", body).status == 201
    seed_account(superuser, api.studio_id)
    seed_runs(superuser, api.studio_id, rows)
    seed_figures(superuser, api.studio_id, rows)
    assert {call: measure(api, call) for call in COSTS} == COSTS


def test_a_read_takes_at_most_four_round_trips() -> None:
    for call, cost in COSTS.items():
        reads = call.method == "GET" and "{consent}" not in call.path
        assert not reads or cost.round_trips <= MAX_READ_ROUND_TRIPS, call


def test_every_route_is_measured() -> None:
    routes = [route for group in [*API, describe(API)] for route in group]
    for route in routes:
        if route.path.startswith("/api/webhooks"):
            continue  # signed by platforms: measured in test_webhooks.py
        pattern = re.sub(r"{platform}", "(google|meta)", route.path)
        pattern = re.sub(r"{(run|webhook|delivery|account)_id}", r"\\{\\w+\\}", pattern)
        assert any(
            call.method == route.method and re.fullmatch(pattern, call.path.partition("?")[0]) for call in COSTS
        ), f"{route.method} {route.path}"


def test_a_cached_key_is_not_looked_up(api: Api) -> None:
    first = measure(api, Call("GET", "/api/connections"))
    with query_statistics() as statistics:
        assert api.get("/api/connections").status == 200
    assert (len(statistics.statements), statistics.round_trips) == (first.statements - 3, first.round_trips - 1)
