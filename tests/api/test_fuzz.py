"""Odd requests, sent one after the other to one studio: none causes a server error.

`make fuzz` tries many more of them than the tests do.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.valid import GOOGLE, PATH, ROUTES, SPELLINGS, base_of
from tests.conftest import Answer, Studios

EXAMPLES = int(os.environ.get("ANSEL_FUZZ_EXAMPLES", "0"))
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
TEXTS = st.sampled_from(SPELLINGS) | st.text(max_size=40)
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**400, 1e308, -0.0])
RARELY = st.integers(0, 30).map(lambda number: number == 13)
DAYS = st.sampled_from(
    *[["0000-00-00", "0001-01-01", "1999-12-31", "2026-02-29", "2028-02-29", "9999-12-31", "10000-01-01", "infinity"]]
)
MOMENTS = st.sampled_from(
    ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-23:59", "2026-05-04T00:00:60Z", "now"]
)
PLAIN = TEXTS | NUMBERS | DAYS | MOMENTS | st.none() | st.booleans()
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))
HEADERS = {
    "Content-Type": st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain", "a", ""]),
    "Idempotency-Key": st.sampled_from(["a", "b", "null", "x" * 300, "é", ""]),
    "Authorization": st.sampled_from(["", "Bearer", "Bearer null", "Basic YTpi", "Bearer ansel_" + "0" * 97]),
}


CONNECT: dict[str, Any] = {"method": "POST", "path": "/api/connections", "body": json.dumps(GOOGLE).encode()}
SYNC: dict[str, Any] = {"method": "POST", "path": "/api/sync/google", "body": None}
HOOK: dict[str, Any] = {
    "method": "POST",
    "path": "/api/webhook-endpoints",
    "body": b'{"url": "http://127.0.0.1:9/first"}',
}
READS: list[dict[str, Any]] = [
    {"method": "GET", "path": path, "body": None}
    for path in (
        "/api/connections",
        "/api/sync/status",
        "/api/sync/log",
        "/api/webhook-endpoints",
        "/api/metrics/overview",
    )
]


@st.composite
def fields(draw: st.DrawFn, kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A request that would succeed, with some fields replaced."""
    values = dict(draw(st.sampled_from(base_of(kind))))
    for name in draw(st.lists(st.sampled_from([field.encode_name for field in msgspec.structs.fields(kind)]))):
        values[name] = draw(VALUES)
    return {**values, **draw(st.dictionaries(TEXTS, VALUES, max_size=1))} if draw(RARELY) else values


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    route = draw(st.sampled_from(ROUTES))
    wild = draw(RARELY)
    params = {name: quote(draw(TEXTS), safe="", errors="surrogatepass") for name in route.params if wild}
    path = route.path.format_map({**PATH, **params})
    query = draw(fields(route.query)) if route.query is not None else {}
    if query or wild:
        pairs = [(name, value) for name, value in query.items() if not isinstance(value, dict)]
        path += "?" + urlencode(pairs, doseq=True, errors="surrogatepass")
    body: bytes | None = None
    if isinstance(route.body, type) and issubclass(route.body, msgspec.Struct) and not wild:
        body = json.dumps(draw(fields(route.body))).encode()
    elif wild or route.body is not None:
        body = draw(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode()))
    headers = {name: draw(values) for name, values in HEADERS.items() if draw(RARELY)}
    method = draw(st.sampled_from(METHODS)) if draw(RARELY) else route.method
    return {"method": method, "path": path, "body": body, "headers": headers}


@pytest.fixture(scope="module")
def statuses() -> Iterator[Counter[int]]:
    counts: Counter[int] = Counter()
    yield counts
    print(f"{counts.total()} requests answered: {dict(sorted(counts.items()))}")
    assert counts[200] + counts[201] + counts[202] + counts[204] > counts.total() / 20, "too few requests succeeded"


@settings(
    max_examples=EXAMPLES or 10,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(generated=st.lists(requests(), min_size=15, max_size=40))
def test_no_request_causes_a_server_error(
    generated: list[dict[str, Any]], studios: Studios, platforms: object, statuses: Counter[int]
) -> None:
    api, ids = studios.new(), dict(PATH)
    for request in [CONNECT, SYNC, HOOK, *generated, *READS]:
        addressed = {**request, "path": with_ids(request["path"], ids)}
        answer = api.send(**addressed)
        statuses[answer.status] += 1
        assert answer.status < 500 or is_platform_error(answer.json), (addressed, answer.text)
        assert request not in READS or answer.status == 200, (addressed, answer.text)
        ids |= ids_in(answer)


def with_ids(path: str, ids: dict[str, str]) -> str:
    return path.replace(PATH["run_id"], ids["run_id"]).replace(PATH["endpoint_id"], ids["endpoint_id"])


def ids_in(answer: Answer) -> dict[str, str]:
    """Ids of what was created, for later requests."""
    created = answer.json if answer.status in (201, 202) else {}
    runs = {"run_id": created["runs"][0]["id"]} if "runs" in created else {}
    return {**runs, "endpoint_id": created["id"]} if "secret" in created else runs


def is_platform_error(problem: dict[str, Any]) -> bool:
    """A platform that rejects a call: 502."""
    return str(problem.get("code", "")).startswith(("platform_", "token_", "reconnect_"))
