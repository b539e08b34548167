"""What the OpenAPI document says beside its schemas: conventions, tags, statuses, headers and error codes."""

from collections.abc import Mapping
from typing import Any

SECURITY = "apiKey"
SECURITY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key of a studio, `ansel_{id}_{secret}`, sent as `Authorization: Bearer {key}`. It carries "
    "scopes; an operation names the one it needs, and `admin` stands for all of them.",
}
INTRODUCTION = """\
Connections, syncs and metrics for photography studios.

A studio connects platforms such as Google and Meta. Streams of records, such as bookings and inquiries, are synced on \
a schedule, and the metrics add up what was synced. Every request acts for the studio that its \
API key belongs to.

**Conventions.** Names are camelCase, ids UUIDs, times RFC 3339 in UTC, days ISO 8601 dates of a stated time zone, and \
money whole minor units beside an ISO 4217 currency. Unknown request fields are refused. New fields, and new values of \
codes, may be added to responses at any time. No response contains a token.

**Lists** have `items` and `nextCursor`; send it as `cursor` for the next page.

**Writes** take an `Idempotency-Key` unless their response contains a secret.

**Errors** are problem documents (`application/problem+json`, RFC 9457). Branch on `code`, which is stable; `title` \
and `detail` are for people. `errors` names every invalid field. 429 and 503 have a `Retry-After`.
"""
ERROR_CODES: Mapping[int, Mapping[str, str]] = {
    400: {
        "bad_request": "The request cannot be read.",
        "malformed_json": "The body is not valid JSON.",
        "not_repeatable": "The response contains a secret and is never stored: send no `Idempotency-Key`.",
        "cursor_of_another_list": "The cursor belongs to another list, or to other filters.",
        "invalid_signed_request": "A platform's signed request has no valid signature, is malformed or too old.",
        "authorization_invalid": "The state is unknown: used before, expired, or another platform's. Start again.",
        "authorization_denied": "The user declined.",
        "authorization_failed": "The platform ended the authorization for a reason we do not know. Start again.",
        "completion_code_invalid": "The code is wrong, used, expired, or another studio's or platform's. Start again.",
        "code_refused": "The platform did not accept its own code: expired or used. Start again.",
        "scopes_missing": "No permission was granted that a stream needs. Start again and grant them.",
        "no_refresh_token": "The grant would end within the hour. Remove the application at Google, then start again.",
        "another_account": "Another account consented than that of the connection to reconnect. Choose that one.",
        "account_connected_twice": "Another connection uses this account. Reconnect that one, or disconnect one.",
        "no_ad_account": "Meta shared no ad account. Start again and choose one.",
        "blocked_by_administrator": "An administrator of the account's organization blocks this application.",
        "platform_misconfigured": "The platform rejects this application. Contact support.",
        "platform_unavailable": "The platform could not respond during the authorization. Start again later.",
        "platform_rate_limited": "The platform's rate limit was reached during the authorization. Start again later.",
    },
    401: {"unauthorized": "The API key is missing, unknown, expired or revoked."},
    403: {"forbidden": "The API key lacks the scope that `detail` names."},
    404: {
        "not_found": "There is no such path, or nothing under this id.",
        "unknown_platform": "There is no platform of this name.",
        "connection_not_found": "The platform is not connected, or not by the connection that was named.",
        "account_not_found": "The connection has no such account.",
        "schedule_not_found": "The stream has no schedule.",
        "run_not_found": "There is no such run.",
        "webhook_endpoint_not_found": "There is no such webhook endpoint.",
        "delivery_not_found": "The webhook endpoint has no such delivery.",
        "webhook_not_found": "The platform sends no such webhook.",
        "deletion_not_found": "There is no data deletion with this code.",
    },
    405: {"method_not_allowed": "The path does not have this method; `Allow` names those it has."},
    409: {
        "several_connections": "The studio has several connections of the platform; name one of `connections`.",
        "connection_exists": "This account of the platform is already connected.",
        "concurrent_request": "Another request stored the same at this moment. Try again.",
        "connection_changed": "The connection was changed by another request. Try again.",
        "connection_not_active": "The connection has ended. Reconnect the account first.",
        "authorization_not_supported": "The platform is not connected in a browser.",
        "platform_not_configured": "This deployment has no credentials for the platform.",
        "public_url_missing": "This deployment does not know its own URL. Contact support.",
        "platform_not_supported": "The platform cannot do this: it has no such stream or test.",
        "no_tokens": "The platform is connected without tokens.",
        "tokens_unreadable": "The stored tokens cannot be decrypted. Send new ones, or reconnect.",
        "decryption_failed": "What was stored for this authorization cannot be decrypted. Start again.",
        "run_ended": "The run has already ended.",
        "run_not_failed": "Only a run that failed or was cancelled can be retried.",
        "run_under_way": "Another run of the stream is in progress.",
        "backfill_under_way": "Another backfill of the stream is in progress.",
        "backfill_not_supported": "The stream cannot read past days.",
        "webhook_endpoint_exists": "There is a webhook endpoint for this URL.",
        "too_many_webhook_endpoints": "The studio has as many webhook endpoints as it may have.",
        "request_in_progress": "A request with this `Idempotency-Key` is still in progress.",
    },
    413: {"payload_too_large": "The body has more than 256 KiB."},
    415: {"unsupported_media_type": "The body has another media type than the operation takes."},
    422: {
        "invalid_input": "Some values are invalid; `errors` names each field.",
        "idempotency_key_reused": "The `Idempotency-Key` was used for another request.",
    },
    429: {
        "too_many_requests": "The key or the studio has sent too many requests.",
        "platform_calls_exceeded": "The studio has made too many requests that wait for a platform.",
        "too_many_authorizations": "Too many authorizations were started and not completed.",
        "too_many_runs": "Too many runs of the stream were started on request within a day.",
        "too_many_idempotency_keys": "Too many `Idempotency-Key`s were used within a day.",
    },
    500: {
        "internal_error": "Something failed on our side. Quote `requestId` to support.",
        "misconfigured": "This deployment lacks a setting. Contact support.",
        "unreadable": "A stored value could not be read. Contact support.",
        "decryption_failed": "A stored secret could not be decrypted. Contact support.",
    },
    502: {
        "platform_unavailable": "The platform did not respond, or not properly. Try again later.",
        "platform_misconfigured": "The platform rejects this application. Contact support.",
        "platform_contract_changed": "The platform sent an unexpected response. Contact support.",
        "platform_error": "The request to the platform failed.",
        "token_expired": "The access token has expired. Reconnect the account.",
        "token_revoked": "The platform no longer accepts the connection. Reconnect the account.",
        "token_being_refreshed": "The access token is being refreshed. Try again in a few seconds.",
        "reconnect_required": "Reconnect the account to continue.",
        "another_account": "The tokens belong to another account than the connection.",
        "account_connected_twice": "Another connection uses the account that the tokens belong to.",
        "permission_missing": "The connection lacks a permission.",
        "service_not_enabled": "The connected account lacks what the request needs.",
        "blocked_by_administrator": "An administrator of the account's organization blocks this application.",
        "report_pending": "The platform is still preparing a report.",
        "report_overdue": "The platform did not finish preparing a report. The next sync requests a new one.",
    },
    503: {
        "unavailable": "The service is not available right now.",
        "platform_rate_limited": "The platform's rate limit is reached.",
        "platform_down": "The platform is not responding; it is not asked until `Retry-After` has passed.",
        "quota_spent": "The platform's quota is nearly used up; the rest is reserved for syncs.",
    },
}
"""Every code that a problem document may have, by its status. docs/api.md lists the same codes."""
STATUSES = {
    200: "The request succeeded.",
    201: "Created.",
    202: "Accepted; it is done in the background.",
    204: "Done; there is no body.",
    303: "The browser is sent on.",
    304: "Nothing has changed since the response with this `ETag`.",
    400: "The request cannot be read or carried out as it is.",
    401: "A valid API key is required.",
    403: "The API key lacks the scope.",
    404: "Not found.",
    409: "The request conflicts with the present state.",
    413: "The body is too large.",
    415: "The media type is not supported.",
    422: "Some values in the request are invalid.",
    429: "A limit is reached; try again after `Retry-After` seconds.",
    500: "Something failed on our side.",
    502: "The platform failed, or refused the request.",
    503: "Not available right now; try again after `Retry-After` seconds.",
}
LIMITS: Mapping[str, Any] = {
    "RateLimit": {
        "description": "What is left: `r` requests of the key and of the studio, for the next `t` seconds "
        "(draft-ietf-httpapi-ratelimit-headers).",
        "schema": {"type": "string", "examples": ['"key";r=99;t=5, "studio";r=299;t=5']},
    },
    "RateLimit-Policy": {
        "description": "The limits: `q` requests at once, available again after `w` seconds without any.",
        "schema": {"type": "string", "examples": ['"key";q=100;w=5, "studio";q=300;w=5']},
    },
}
RETRY_AFTER: Mapping[str, Any] = {
    "Retry-After": {"description": "Seconds until the request may be sent again.", "schema": {"type": "integer"}}
}
LOCATION = {
    "description": "Where the result is found, or where the browser is sent.",
    "schema": {"type": "string"},
    "required": True,
}
ETAG = {
    "description": "Send it as `If-None-Match` to get a 304 while nothing has changed.",
    "schema": {"type": "string"},
    "required": True,
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the last response: while nothing has changed, the response is a 304 without a body.",
    "schema": {"type": "string"},
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes the request safe to repeat: for a day, a repeat with the same key gets the first response "
    "and does nothing. Any text of your choice, such as a UUID; never a secret.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
}


def description() -> str:
    """The introduction, with a table of the error codes."""
    rows = [
        f"| {status} | `{code}` | {text} |" for status, codes in ERROR_CODES.items() for code, text in codes.items()
    ]
    return "\n".join([INTRODUCTION, "| Status | `code` | Meaning |", "|---|---|---|", *rows])
