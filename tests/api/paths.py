"""Paths of declared routes, with something in each of their placeholders."""

from typing import Any

from chalicelib.runtime.declare import Route

NO_ID = "00000000-0000-0000-0000-000000000001"
"""Of nothing that there is."""
PLACEHOLDERS = {"platform": "google", "code": "0" * 32} | dict.fromkeys(
    ("account_id", "delivery_id", "run_id", "endpoint_id"), NO_ID
)


def path_of(route: Route, **known: Any) -> str:
    return route.path.format_map({**PLACEHOLDERS, **known})
