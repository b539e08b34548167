"""Every error is a problem document: with a stable code and a request id, without internals."""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pg8000.native
import pytest

from app import API
from chalicelib.runtime.declare import PUBLIC
from chalicelib.settings import get_settings
from dev.ports import find_free_port
from tests.api.paths import path_of
from tests.api.seeding import connect_google, renamed
from tests.conftest import Answer, Api, LogLines

SCOPED = [route for group in API for route in group if route.scope != PUBLIC]
INTERNALS = ("sync_log", "relation", "42P01", "Traceback", "pg8000", "SELECT")
PINTEREST = {"platform": "pinterest", "accessToken": "token"}


def assert_problem(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json"), answer.text
    problem = answer.json
    assert set(problem) == {"type", "title", "status", "detail", "code", "requestId", "errors", "connections"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:ansel:problem:{code}"
    assert str(UUID(problem["requestId"])) == problem["requestId"]
    assert problem["title"]
    assert problem["detail"]


def wrong_fields(answer: Answer) -> list[str]:
    assert_problem(answer, 422, "invalid_input")
    return [error["field"] for error in answer.json["errors"]]


def test_each_kind_of_error_is_a_problem_document(api: Api) -> None:
    assert_problem(api.post("/api/connections", b"{"), 400, "malformed_json")
    assert_problem(api.get("/api/connections", Authorization=""), 401, "unauthorized")
    assert_problem(api.get("/api/connections/google"), 404, "connection_not_found")
    assert_problem(api.post("/api/sync/pinterest"), 409, "platform_not_supported")
    assert_problem(api.post("/api/connections", b" " * 262_145), 413, "payload_too_large")
    assert_problem(api.post("/api/connections", PINTEREST, Content_Type="text/plain"), 415, "unsupported_media_type")
    assert_problem(api.post("/api/connections", {}), 422, "invalid_input")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/connections", "GET, POST"),
        ("DELETE", "/api/sync/log", "GET"),
        ("GET", "/api/sync/google", "POST"),
        ("POST", "/api/health", "GET"),
    ],
)
def test_an_unsupported_method_is_rejected_with_the_allowed_ones(
    api: Api, method: str, path: str, allowed: str
) -> None:
    answer = api.send(method, path)
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


def over_http(url: str, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request(method, path, body, dict(headers or {}))
    response = connection.getresponse()
    answer = Answer(response.status, dict(response.headers), response.read().decode())
    connection.close()
    return answer


@pytest.mark.parametrize("path", ["/", "/api", "/api/nothing", "/api/connections/google/nothing", "/api/../etc/passwd"])
def test_an_unknown_path_is_a_problem_document_over_http(http_server: str, path: str) -> None:
    assert_problem(over_http(http_server, "GET", path), 404, "not_found")


def test_errors_over_http_are_the_same(http_server: str, api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.key}", "Content-Type": "application/json"}
    assert over_http(http_server, "GET", "/api/connections", headers).json == {"items": [], "nextCursor": None}
    assert_problem(over_http(http_server, "GET", "/api/connections"), 401, "unauthorized")
    assert_problem(over_http(http_server, "PATCH", "/api/connections", headers), 405, "method_not_allowed")
    assert_problem(
        over_http(http_server, "POST", "/api/connections", headers, b" " * 300_000), 413, "payload_too_large"
    )


def test_an_internal_error_hides_internals_and_is_logged_with_its_request_id(
    api: Api, superuser: pg8000.native.Connection, log_lines: LogLines
) -> None:
    connect_google(api)
    with renamed(superuser, "TABLE", "sync_log", "gone"):
        answers = [
            api.get("/api/sync/log"),
            api.get("/api/sync/status"),
            api.get(f"/api/sync/log/{UUID(int=1)}"),
            api.post("/api/sync/google"),
            api.delete("/api/connections/google"),
        ]
    for answer in answers:
        assert_problem(answer, 500, "internal_error")
        assert not any(word in answer.text for word in INTERNALS)
    failures = {line["request_id"]: line for line in log_lines.named("request.failed")}
    assert set(failures) == {answer.json["requestId"] for answer in answers}
    assert all("sync_log" in failure["error"] for failure in failures.values())
    assert api.get("/api/connections/google").json["status"] == "active", "a failed request changes nothing"


def test_a_failing_key_lookup_authorizes_no_one(api: Api, superuser: pg8000.native.Connection) -> None:
    with renamed(superuser, "FUNCTION", "cross_tenant.charge_api_key", "gone"):
        for route in SCOPED:
            assert_problem(api.send(route.method, path_of(route)), 500, "internal_error")


@pytest.fixture
def without_database(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    from chalicelib.data.postgres.database import close_pool

    close_pool()
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ansel_joint:x@127.0.0.1:{find_free_port()}/ansel")
    get_settings.cache_clear()
    yield api
    close_pool()
    get_settings.cache_clear()


def test_without_a_database_every_scoped_route_is_unavailable(without_database: Api) -> None:
    for route in SCOPED:
        path = path_of(route)
        answer = without_database.send(route.method, path)
        assert_problem(answer, 503, "unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in answer.text


def test_without_a_database_health_says_so_and_the_document_is_served(without_database: Api) -> None:
    answer = without_database.get("/api/health", Authorization="")
    assert answer.status == 503
    assert answer.json == {
        "status": "degraded",
        "database": "unreachable",
        "migrations": "unknown",
        "migrationsHead": None,
    }
    assert without_database.get("/api/openapi.json").status == 200


def test_a_database_connection_that_was_cut_is_replaced(api: Api, superuser: pg8000.native.Connection) -> None:
    assert api.get("/api/connections").status == 200
    superuser.run(
        """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE usename LIKE 'ansel%' AND datname = current_database()
        """
    )
    while (answer := api.get("/api/connections")).status != 200:
        assert_problem(answer, 503, "unavailable")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/sync/log?limit=0", "limit"),
        ("/api/sync/log?limit=201", "limit"),
        ("/api/sync/log?limit=-1", "limit"),
        ("/api/sync/log?limit=ten", "limit"),
        ("/api/sync/log?limit=", "limit"),
        ("/api/sync/log?limit=1e400", "limit"),
        (f"/api/sync/log?limit={'9' * 5000}", "limit"),
        ("/api/sync/log?limit=1&limit=2", "limit"),
        ("/api/sync/log?status=done", "status"),
        ("/api/sync/log?status=null", "status"),
        ("/api/sync/log?status=", "status"),
        ("/api/sync/log?syncType=%00", "syncType"),
        (f"/api/sync/log?syncType={'a' * 50_000}", "syncType"),
        ("/api/sync/log?platform=%ED%A0%80", "platform"),
        ("/api/sync/log?platform=goo%00gle", "platform"),
        ("/api/sync/log?cursor=x", "cursor"),
        ("/api/sync/log?cursor=", "cursor"),
        (f"/api/sync/log?cursor={'_' * 22}", "cursor"),
        ("/api/sync/log?surprise=1", "surprise"),
        ("/api/sync/log?Limit=1", "Limit"),
        ("/api/metrics/overview?from=yesterday", "from"),
        ("/api/metrics/overview?from=2026-02-30", "from"),
        ("/api/metrics/overview?from=1999-12-31&to=2026-01-01", "from"),
        ("/api/metrics/overview?from=0001-01-01&to=0001-01-01", "from"),
        ("/api/metrics/overview?to=9999-12-31", "to"),
        ("/api/metrics/overview?to=0001-01-01", "to"),
        ("/api/metrics/overview?from=9999-12-31", "from"),
        ("/api/metrics/overview?from=2026-01-02&to=2026-01-01", "from"),
        ("/api/metrics/overview?from=2020-01-01&to=2026-01-01", "from"),
        ("/api/metrics/overview?from=null", "from"),
        ("/api/metrics/overview?interval=day", "interval"),
        ("/api/metrics/google?interval=year", "interval"),
        ("/api/metrics/google?from=2025-01-01&to=2026-11-01&interval=day", "interval"),
    ],
)
def test_an_invalid_query_parameter_is_named(api: Api, path: str, field: str) -> None:
    assert wrong_fields(api.get(path)) == [field]


def test_a_huge_name_of_an_unknown_parameter_is_truncated(api: Api) -> None:
    answer = api.get(f"/api/sync/log?{'x' * 50_000}=1")
    assert wrong_fields(answer) == ["x" * 100 + "..."]


@pytest.mark.parametrize("run_id", ["1", "%00", "null", "x" * 5000, f"{{{UUID(int=0)}", "%ED%A0%80"])
def test_a_malformed_id_is_not_found(api: Api, run_id: str) -> None:
    assert_problem(api.get(f"/api/sync/log/{run_id}"), 404, "run_not_found")


@pytest.mark.parametrize("platform", ["Google", "google%00", "%67oogle", "google%0a", "x" * 5000, "%ED%A0%80"])
def test_a_misspelled_platform_is_not_found(api: Api, platform: str) -> None:
    assert_problem(api.get(f"/api/connections/{platform}"), 404, "unknown_platform")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"accessToken": "to\u0000ken"}, "accessToken"),
        ({"refreshToken": "\u0000"}, "refreshToken"),
        ({"scopes": ["\u0000"]}, "scopes[0]"),
        ({"scopes": ["line\n"]}, "scopes[0]"),
        ({"expiresAt": "0001-01-01T00:00:00+23:59"}, "expiresAt"),
        ({"expiresAt": "9999-12-31T23:59:59-23:59"}, "expiresAt"),
        ({"expiresAt": "0001-01-01T00:00:00Z"}, "expiresAt"),
        ({"expiresAt": "2026-01-01T00:00:00"}, "expiresAt"),
        ({"\u0000": 1}, "\u0000"),
    ],
)
def test_an_invalid_value_in_a_body_is_named_and_stores_nothing(api: Api, changes: dict[str, Any], field: str) -> None:
    assert wrong_fields(api.post("/api/connections", {**PINTEREST, **changes})) == [field]
    assert api.get("/api/connections").json["items"] == []


@pytest.mark.parametrize("field", ["platform", "accessToken", "refreshToken", "expiresAt", "surprise"])
def test_a_lone_surrogate_anywhere_is_malformed_json(api: Api, field: str) -> None:
    body = json.dumps({**PINTEREST, field: "\ud800"}).encode()
    assert_problem(api.post("/api/connections", body), 400, "malformed_json")


@pytest.mark.parametrize("frequency", ["every 15 minutes\u0000", "", "every 4 minutes", "* * * * *", "x" * 50_000])
def test_an_invalid_frequency_is_named(api: Api, frequency: str) -> None:
    connect_google(api)
    answer = api.put("/api/sync/google/schedule", {"syncType": "bookings", "frequency": frequency})
    assert wrong_fields(answer) == ["frequency"]


@pytest.mark.parametrize("key", ["\u0000", "two\nlines", " " * 256])
def test_an_invalid_idempotency_key_is_rejected_before_any_work(api: Api, key: str) -> None:
    assert_problem(api.post("/api/connections", PINTEREST, Idempotency_Key=key), 422, "invalid_input")
    assert api.get("/api/connections").json["items"] == []


def test_the_request_id_of_a_problem_finds_its_log_line(api: Api, log_lines: LogLines) -> None:
    answer = api.get("/api/connections/google")
    (done,) = log_lines.named("request.done")
    assert (done["request_id"], done["status"]) == (answer.json["requestId"], 404)


def test_an_unconfigured_service_does_not_say_which_setting_is_missing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ENCRYPTION_KEY")
    get_settings.cache_clear()
    answer = api.get("/api/connections")
    assert (answer.status, answer.json["code"]) == (500, "misconfigured")
    assert "ENCRYPTION_KEY" not in answer.text
