"""Examples for the OpenAPI document: one of each body, by the name of its type. Tests hold them to their schemas."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import errors
from chalicelib.errors import AppError, FieldProblem
from chalicelib.runtime.problems import problem_of

Value = dict[str, Any]

REQUEST_ID = "5608b7e9-504f-4d38-bd4a-c7dcc14598ac"
RUN_ID = "01a2032a-a2b9-7b71-a344-76ae21c86775"
ACCOUNT_ID = "01a203d3-1f0a-7c44-9f52-7b1f6f0e8a21"
DAY = "2026-11-22"

CONNECTION: Value = {
    "id": "01a203d0-8cfe-7d6c-9e46-16aaa85e5bce",
    "platform": "google",
    "status": "active",
    "health": "healthy",
    "accountId": "100000000001244334006",
    "accountName": "Linden & Light Photography",
    "scopes": ["openid", "https://www.googleapis.com/auth/calendar.events.readonly"],
    "hasRefreshToken": True,
    "tokenExpiresAt": f"{DAY}T13:10:54Z",
    "lastSyncAt": f"{DAY}T12:10:55.571874Z",
    "lastError": None,
    "createdAt": "2026-10-02T09:14:03.118204Z",
    "updatedAt": f"{DAY}T12:10:54.902131Z",
    "statusReason": {"code": None, "message": None, "since": "2026-10-02T09:14:03.118204Z", "action": "none"},
}
STREAM_OF_ACCOUNT: Value = {
    "syncType": "bookings",
    "state": "idle",
    "since": None,
    "resumesAt": None,
    "lastSuccessAt": f"{DAY}T12:10:55.571874Z",
    "failuresInRow": 0,
    "refusedDeletions": 0,
    "reason": None,
}
ACCOUNT: Value = {
    "id": ACCOUNT_ID,
    "kind": "calendar",
    "externalId": "studio@example.com",
    "name": "Weddings",
    "timeZone": "Europe/Berlin",
    "currency": None,
    "isPrimary": True,
    "selected": True,
    "goneAt": None,
    "rule": "matching",
    "words": ["mini", "atelier"],
    "seenAt": f"{DAY}T12:10:55.562897Z",
    "streams": [STREAM_OF_ACCOUNT],
}
RUN: Value = {
    "id": RUN_ID,
    "connectionId": CONNECTION["id"],
    "platform": "google",
    "syncType": "bookings",
    "trigger": "manual",
    "status": "succeeded",
    "queuedAt": f"{DAY}T12:10:55.544842Z",
    "startedAt": f"{DAY}T12:10:55.562897Z",
    "finishedAt": f"{DAY}T12:10:55.571874Z",
    "resumeAt": None,
    "durationMs": 9,
    "scheduleLagMs": None,
    "attempts": 1,
    "pages": 1,
    "apiCalls": 2,
    "fullRead": False,
    "records": {"seen": 4, "created": 1, "updated": 2, "unchanged": 1, "deleted": 0, "setAside": 0},
    "skipped": {"no_match": 3},
    "accounts": [{"accountId": ACCOUNT_ID, "status": "succeeded", "error": None}],
    "deletionsRefused": 0,
    "backfill": None,
    "error": None,
}
SCHEDULE: Value = {
    "connectionId": CONNECTION["id"],
    "platform": "google",
    "syncType": "bookings",
    "frequency": "every 30 minutes",
    "nextRunAt": f"{DAY}T12:20:40Z",
    "paused": False,
    "pausedBy": None,
}
STREAM_STATUS: Value = {
    **SCHEDULE,
    "connectionAccountName": CONNECTION["accountName"],
    "state": "idle",
    "resumesAt": f"{DAY}T12:20:40Z",
    "connectionStatus": "active",
    "connectionHealth": "healthy",
    "lastRun": RUN,
    "lastSuccessAt": f"{DAY}T12:10:55.571874Z",
    "running": None,
    "backfill": None,
    "failuresInRow": 0,
    "missedWindows": 0,
    "skipped": {"no_match": 3},
    "setAside": 0,
    "refusedDeletions": 0,
    "reason": None,
    "accounts": [
        {
            **STREAM_OF_ACCOUNT,
            "accountId": ACCOUNT_ID,
            "kind": "calendar",
            "externalId": "studio@example.com",
            "name": "Weddings",
        }
    ],
}
STARTED_RUNS: Value = {"runs": [{"id": RUN_ID, "syncType": "bookings", "status": "queued", "readsAgain": False}]}
EVENT: Value = {
    "id": "01a203d1-0b52-7a0e-8f0b-6a1f0c6d3c11",
    "kind": "failed",
    "code": "token_revoked",
    "message": "Google no longer accepts this connection",
    "at": f"{DAY}T15:02:11.482Z",
}
DELIVERY: Value = {
    "id": "01a203d4-55d0-7b1e-a7a1-0d5c2f4b6e90",
    "eventId": EVENT["id"],
    "type": "connection.failed",
    "connectionId": CONNECTION["id"],
    "platform": "google",
    "occurredAt": EVENT["at"],
    "state": "delivered",
    "attempts": 1,
    "nextAttemptAt": None,
    "deliveredAt": f"{DAY}T15:02:12.104Z",
    "problem": None,
}
WEBHOOK_ENDPOINT: Value = {
    "id": "01a203d2-43c1-7a51-8b1e-0f3a5ad1c7d2",
    "url": "https://studio.example/hooks/ansel",
    "state": "enabled",
    "disabledReason": None,
    "createdAt": f"{DAY}T15:03:30.241Z",
    "deliveries": [DELIVERY],
}
FIGURES: Value = {
    "from": "2026-11-01",
    "to": "2026-11-30",
    "views": 18250,
    "reach": 12840,
    "engagement": {"likes": 812, "comments": 64, "shares": 31, "saves": 118, "total": 1025},
    "engagementRate": 0.0562,
    "ads": {
        "spend": [{"amountMinor": 42050, "currency": "EUR"}],
        "impressions": 51200,
        "clicks": 640,
        "conversions": 9.5,
    },
    "reviews": {"count": 4, "averageRating": 4.75},
    "inquiries": {
        "total": 20,
        "new": 6,
        "contacted": 7,
        "qualified": 2,
        "converted": 4,
        "lost": 1,
        "conversionRate": 0.2,
    },
    "bookings": {"count": 5, "value": [{"amountMinor": 1240000, "currency": "EUR"}]},
}
SET_ASIDE: Value = {
    "id": "01a203d5-7c10-7d2f-8b6a-93d1e0f7a4c8",
    "connectionId": CONNECTION["id"],
    "platform": "google",
    "syncType": "bookings",
    "externalId": "4k2m0v9q1r8s7t6u",
    "field": "start.date",
    "reason": "is not a date",
    "firstSeenAt": f"{DAY}T12:10:55.571874Z",
    "lastSeenAt": f"{DAY}T12:10:55.571874Z",
}
REQUESTS: Mapping[str, Value] = {
    "ConnectWithTokens": {
        "platform": "google",
        "accessToken": "ya29.example",
        "refreshToken": "1//example",
        "expiresIn": 3600,
        "scopes": ["https://www.googleapis.com/auth/calendar.events.readonly"],
    },
    "ConnectYelp": {"platform": "yelp", "accountId": "linden-and-light-photography-berlin"},
    "ConnectWebsite": {"platform": "website"},
    "ConnectionChange": {"accessToken": "ya29.example", "expiresIn": 3600},
    "AccountChange": {"selected": True, "rule": "matching", "words": ["mini", "atelier"]},
    "AuthorizationRequest": {"streams": ["bookings"], "returnTo": "https://app.studio.example/settings"},
    "Completion": {"code": "Qm3nT0y8Zx1c"},
    "NewWebhookEndpoint": {"url": WEBHOOK_ENDPOINT["url"]},
    "SyncOneStream": {"syncType": "bookings"},
    "SyncEveryStream": {},
    "ConfirmDeletions": {"syncType": "bookings", "confirmDeletions": True},
    "BackfillRequest": {"syncType": "bookings", "from": "2025-01-01", "to": "2025-12-31"},
    "ScheduleRequest": {"syncType": "bookings", "frequency": "every 30 minutes"},
    "ScheduledStream": {"syncType": "bookings"},
    "StreamChoice": {"syncType": "bookings"},
    "SignedRequest": {"signed_request": "5ll0x2Zk.eyJ1c2VyX2lkIjoiMSJ9"},
}
BODIES: Mapping[str, Sequence[str]] = {
    "NewConnection": ("ConnectWithTokens", "ConnectYelp", "ConnectWebsite"),
    "SyncRequest": ("SyncOneStream", "SyncEveryStream", "ConfirmDeletions"),
}
"""The examples of a request body, by its type; the one of the type's own name where there is no other."""
RAW_BODIES: Mapping[str, Sequence[str]] = {"application/secevent+jwt": ("SecurityEventToken",)}
"""Of a body that is no JSON and no form, by its media type."""
TEXTS: Mapping[str, str] = {
    "SecurityEventToken": "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20vIn0.c2ln"
}
RESPONSES: Mapping[str, Value] = {
    "Connection": CONNECTION,
    "Event": EVENT,
    "Account": ACCOUNT,
    "ConnectionTest": {
        "valid": True,
        "checkedAt": f"{DAY}T12:10:55.530022Z",
        "account": {"id": CONNECTION["accountId"], "name": CONNECTION["accountName"]},
        "missingScopes": [],
        "error": None,
    },
    "StartedAuthorization": {
        "authorizeUrl": "https://accounts.google.com/o/oauth2/v2/auth?client_id=example&state=example",
        "expiresAt": f"{DAY}T15:10:00Z",
    },
    "PendingAuthorization": {
        "status": "pending",
        "platform": "google",
        "accountName": CONNECTION["accountName"],
        "completionCode": "Qm3nT0y8Zx1c",
        "expiresAt": f"{DAY}T15:12:00Z",
        "instructions": "The account is not connected yet. Return to the application where you started and enter the "
        "completionCode there.",
    },
    "CompletedAuthorization": {"connection": CONNECTION, "missingScopes": [], "streamsOff": [], "warnings": []},
    "WebhookEndpoint": WEBHOOK_ENDPOINT,
    "CreatedWebhookEndpoint": {**WEBHOOK_ENDPOINT, "deliveries": [], "secret": "whsec_ZXhhbXBsZSBvZiBhIHNlY3JldA=="},
    "Delivery": DELIVERY,
    "StartedRuns": STARTED_RUNS,
    "Schedule": SCHEDULE,
    "SetAsideRecord": SET_ASIDE,
    "Retried": {"retried": 3, "stored": 2, "setAside": 1},
    "StreamStatus": STREAM_STATUS,
    "Run": RUN,
    "Overview": {"current": FIGURES, "previous": {**FIGURES, "from": "2026-10-02", "to": "2026-10-31"}},
    "PlatformMetrics": {"platform": "meta", "interval": "month", "totals": FIGURES, "series": [FIGURES]},
    "EventRefused": {"err": "invalid_key", "description": "The token is not signed by a known key"},
    "DeletionReceipt": {
        "url": "https://api.studio.example/api/webhooks/meta/data-deletion/6f1ed002ab5595859014ebf0951522d9",
        "confirmation_code": "6f1ed002ab5595859014ebf0951522d9",
    },
    "DeletionStatus": {
        "state": "done",
        "message": "The tokens and the account's id and name were erased from 1 connections.",
        "requestedAt": f"{DAY}T12:00:00Z",
        "doneAt": f"{DAY}T12:00:01Z",
    },
    "Health": {"status": "ok", "database": "ok", "migrations": "current", "migrationsHead": "0001"},
}
LISTED = ("Connection", "Event", "Account", "WebhookEndpoint", "SetAsideRecord", "StreamStatus", "Run")
NEXT = "TbRpueQisA7EEAGiAyqiuXtxo0R2riHIZ3U"
ERRORS: Sequence[AppError] = (
    errors.BadRequest("The body is not valid JSON", code="malformed_json"),
    errors.Unauthorized(),
    errors.Forbidden("This requires the scope sync:write, which the API key does not have"),
    errors.NotFound("Google is not connected", code="connection_not_found"),
    errors.SeveralConnections(
        "2 accounts of Google are connected: choose one with ?connection=",
        connections=[
            errors.ConnectionChoice(UUID(CONNECTION["id"]), CONNECTION["accountName"]),
            errors.ConnectionChoice(UUID("01a203d0-9a10-7b3c-8f6e-2f1d7a5c0b44"), "Jonas Weber"),
        ],
    ),
    errors.PayloadTooLarge("The body has more than 262144 bytes"),
    errors.UnsupportedMediaType("The body must be application/json"),
    errors.InvalidInput(fields=[FieldProblem("scopes[2]", "expected `str` of length >= 1")]),
    errors.TooManyRequests(),
    errors.AppError("Something went wrong on our side"),
    errors.TransientFault(),
    errors.Unavailable(),
)


def name_of_problem(status: int) -> str:
    return f"Problem{status}"


EXAMPLES: Mapping[str, Value] = {
    name: {"value": value}
    for name, value in {
        **REQUESTS,
        **TEXTS,
        **RESPONSES,
        **{f"{name}List": {"items": [RESPONSES[name]], "nextCursor": None} for name in LISTED},
        "RunList": {"items": [RUN], "nextCursor": NEXT},
        **{name_of_problem(e.status): msgspec.to_builtins(problem_of(e, REQUEST_ID)) for e in ERRORS},
    }.items()
}
"""The components of the document, by name."""
