"""Requests that succeed, by route, and the texts that tests put into them."""

from typing import Any

import msgspec

from app import API
from chalicelib.api.connections import NewConnection
from chalicelib.api.oauth import AuthorizationRequest
from chalicelib.api.openapi import describe
from chalicelib.api.webhook_endpoints import NewWebhookEndpoint

ROUTES = [route for group in [*API, describe(API)] for route in group]


SPELLINGS = [
    *("null", "NULL", "Null", '"null"', '"NULL"', "'null'", "{null}", "[null]", "undefined", "None", "NaN"),
    *("{", "}", "{}", "{{}}", "[]", "(,)", ",", "a,b", "NULL,NULL", '"', '""', "'", "''", "\\", "\\\\", "\\N", '\\"'),
    *("\0", "a\0", "\\0", "\\u0000", "\x01\x1f\x7f", "\ud800", "\udfffa", "\ufffe", "\u2028", "\U0010ffff"),
    *("", " ", "\n", "a\n", "%00", "%", "$1", ":scopes", "--", ";", "../..", "é日本", "x" * 300),
]


BASES: dict[type[Any], list[dict[str, Any]]] = {
    NewConnection: [
        {"platform": "pinterest", "accessToken": "pina_1", "refreshToken": "pinr_1", "scopes": ["boards:read"]},
        {"platform": "yelp", "accountId": "linden-and-light-photography-berlin"},
    ],
    AuthorizationRequest: [{"streams": ["bookings"], "returnTo": "https://app.studio.example/settings"}],
    NewWebhookEndpoint: [{"url": "http://127.0.0.1:9/hook"}],
}
"""Requests that succeed, where the types alone do not say how to build one."""


PLAIN = {"syncType": "bookings", "from": "2026-05-01", "to": "2026-05-02", "frequency": "daily", "platform": "google"}


PATH = {
    "platform": "google",
    "run_id": "01a22ce8-8f1d-7946-a109-04b93da8779a",
    "endpoint_id": "01a22ce8-8f1d-7946-a109-04b93da8779b",
    "delivery_id": "01a22ce8-8f1d-7946-a109-04b93da8779c",
    "account_id": "01a22ce8-8f1d-7946-a109-04b93da8779d",
    "code": "1",
}


GOOGLE = {"platform": "google", "accessToken": "ya29.x", "refreshToken": "1//x", "expiresIn": 3600}


def base_of(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    names = [field.encode_name for field in msgspec.structs.fields(kind)]
    return BASES.get(kind, [{name: PLAIN[name] for name in names if name in PLAIN}])
