"""The headers of every answer, whoever makes it: a route, Chalice, API Gateway or the local server."""

from collections.abc import Callable, Mapping
from typing import Any

from chalice.app import Response

from chalicelib.settings import PLAIN_STAGES, get_stage

SECURITY_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # The URL of a callback holds a code and a state: nobody whom its answer leads to shall see it.
    "Referrer-Policy": "no-referrer",
    # Two years. Not for subdomains: those of a customer's domain are not ours to decide on.
    "Strict-Transport-Security": "max-age=63072000",
}
HTTPS_ONLY = "Strict-Transport-Security"
"""Must not be sent over plain HTTP (RFC 6797, 7.2), where browsers would ignore it."""


def security_headers() -> dict[str, str]:
    """Those of this stage."""
    is_plain = get_stage() in PLAIN_STAGES
    return {name: value for name, value in SECURITY_HEADERS.items() if not (is_plain and name == HTTPS_ONLY)}


def add_security_headers(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Chalice's middleware: what Chalice answers by itself passes through here as well."""
    response = get_response(event)
    response.headers = {**security_headers(), **response.headers}
    return response
