"""Google's error envelopes: the one of the APIs, with a list of reasons, and the one of OAuth 2.0.

https://developers.google.com/workspace/calendar/api/guides/errors
"""

from collections.abc import Mapping

from dev.sandbox.wire import Refusal, Response, as_json

REALM = 'Bearer realm="https://accounts.google.com/"'

FAILURES = {
    400: ("global", "badRequest", "Bad Request"),
    401: ("global", "authError", "Invalid Credentials"),
    403: ("usageLimits", "rateLimitExceeded", "Rate Limit Exceeded"),
    404: ("global", "notFound", "Not Found"),
    410: ("calendar", "fullSyncRequired", "Sync token is no longer valid, a full sync is required."),
    429: ("usageLimits", "rateLimitExceeded", "Rate Limit Exceeded"),
    500: ("global", "backendError", "Backend Error"),
    503: ("global", "backendError", "Backend Error"),
}
OAUTH_FAILURES = {
    400: ("invalid_grant", "Token has been expired or revoked."),
    401: ("invalid_client", "The OAuth client was not found."),
    429: ("rate_limit_exceeded", "Rate Limit Exceeded"),
    500: ("internal_failure", "Backend Error"),
    503: ("temporarily_unavailable", "The service is temporarily unavailable."),
}


def failure(status: int) -> Response:
    domain, reason, message = FAILURES.get(status, FAILURES[400 if status < 500 else 500])
    return _envelope(status, reason, message, domain=domain)


def oauth_failure(status: int) -> Response:
    error, description = OAUTH_FAILURES.get(status, OAUTH_FAILURES[400 if status < 500 else 500])
    return as_json({"error": error, "error_description": description}, status=status)


def refusal(status: int, reason: str, message: str, *, domain: str = "global") -> Refusal:
    return Refusal(_envelope(status, reason, message, domain=domain))


def oauth_error(status: int, error: str, description: str) -> Refusal:
    return Refusal(as_json({"error": error, "error_description": description}, status=status))


def invalid_parameter(name: str, message: str) -> Refusal:
    place = {"location": name, "locationType": "parameter"}
    return Refusal(_envelope(400, "invalid", message, place=place))


def no_credentials() -> Refusal:
    place = {"location": "Authorization", "locationType": "header"}
    challenge = {"WWW-Authenticate": REALM}
    return Refusal(_envelope(401, "required", "Login Required.", place=place, headers=challenge))


def invalid_credentials() -> Refusal:
    place = {"location": "Authorization", "locationType": "header"}
    challenge = {"WWW-Authenticate": f'{REALM}, error="invalid_token"'}
    return Refusal(_envelope(401, "authError", "Invalid Credentials", place=place, headers=challenge))


def insufficient_scope(accepted: tuple[str, ...]) -> Refusal:
    challenge = {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{" ".join(accepted)}"'}
    message = "Request had insufficient authentication scopes."
    return Refusal(_envelope(403, "insufficientPermissions", message, headers=challenge))


def _envelope(
    status: int,
    reason: str,
    message: str,
    *,
    domain: str = "global",
    place: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    detail = {"domain": domain, "reason": reason, "message": message, **(place or {})}
    return as_json({"error": {"code": status, "message": message, "errors": [detail]}}, status=status, headers=headers)
