"""Paths of declared routes, with a value for each placeholder."""

from typing import Any
from uuid import UUID

from chalicelib.runtime.declare import Route

NO_ID = "00000000-0000-0000-0000-000000000001"
"""The id of nothing that exists."""
PLACEHOLDERS = {"platform": "google", "code": "0" * 32} | dict.fromkeys(
    ("account_id", "delivery_id", "run_id", "endpoint_id"), NO_ID
)


def path_of(route: Route, **known: Any) -> str:
    return route.path.format_map({**PLACEHOLDERS, **known})


BODIES = {
    ("POST", "/api/connections"): {"platform": "pinterest", "accessToken": "token"},
    ("PUT", "/api/connections/{platform}"): {"accessToken": "token"},
    ("PUT", "/api/connections/{platform}/accounts/{account_id}"): {"rule": "all"},
    ("POST", "/api/oauth/{platform}/authorize"): {"streams": ["bookings"]},
    ("POST", "/api/oauth/{platform}/complete"): {"code": "invented"},
    ("POST", "/api/webhook-endpoints"): {"url": "https://studio.example/hook"},
    ("PUT", "/api/sync/{platform}/schedule"): {"syncType": "bookings", "frequency": "hourly"},
    ("POST", "/api/sync/{platform}/backfill"): {"syncType": "bookings", "from": "2026-01-01", "to": "2026-01-31"},
    ("POST", "/api/sync/{platform}/schedule/pause"): {"syncType": "bookings"},
    ("POST", "/api/sync/{platform}/schedule/resume"): {"syncType": "bookings"},
}


NO_RUN = str(UUID(int=0))


QUERIES = {("DELETE", "/api/sync/{platform}/schedule"): "?syncType=bookings"}
