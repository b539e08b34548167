"""Requests of a stranger, passed to the application as API Gateway would, and how many statements they cause."""

from collections.abc import Mapping
from typing import Any

from chalice.local import RouteMatcher
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from app import app
from chalicelib.data.postgres.driver import query_statistics
from dev.invocation import Context, request_event
from tests.conftest import Answer

TRIED = settings(derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
DEEP = "[" * 60_000
ODD = (
    *("", " ", "null", "true", "\0", "a\0b", "\n", "\ud800", "\udc00x", "\ufeff", "\u202e", "caf\u00e9", "\U0001f4f7"),
    *("%00", "%2f..%2f", "../../etc/passwd", "{", "}", "a.b", ".", "..", "=", "&", "';--", "\\", '"'),
    *("9" * 5_000, "-1", "1e400", "x" * 20_000, DEEP, '{"a":' * 5_000),
)
"""Texts that have each broken some program."""
SERVED = RouteMatcher(list(app.routes))

texts = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_categories=())))
numbers = st.one_of(st.integers(), st.sampled_from([0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**20, 10**400]))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)
"""Any JSON, and what Python's own encoder makes of NaN and infinities."""


def one_odd(fields: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """One field with an odd value: two would hide each other."""
    return st.sampled_from(sorted(fields)).flatmap(lambda name: fields[name].map(lambda value: {name: value}))


def ask(
    method: str,
    route: str,
    *,
    params: Mapping[str, str] | None = None,
    query: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
    body: str | bytes | None = None,
) -> tuple[Answer, int]:
    """The answer, and how many statements were sent to the database for it. `route` is a path as declared or as in the
    OpenAPI document; `params` are the values of its parameters."""
    match = SERVED.match_route(route)
    event: dict[str, Any] = request_event(method, route, headers, body, route=match.route, query=query)
    event["pathParameters"] = {**match.captured, **(params or {})} or None
    with query_statistics() as statistics:
        answered = app(event, Context("api", 29))
    headers = {**answered["headers"], **{name: values[-1] for name, values in answered["multiValueHeaders"].items()}}
    return Answer(answered["statusCode"], headers, answered["body"]), len(statistics.statements)
