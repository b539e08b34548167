"""Graph's error envelope. Almost every error is a 400 of type OAuthException; code and subcode distinguish them.

https://developers.facebook.com/docs/graph-api/guides/error-handling
"""

from dev.sandbox.wire import Refusal, Response, as_json

TRACE_ID = "AaBbSandboxTrace01"

FAILURES = {
    400: (100, 0, "(#100) Invalid parameter"),
    401: (190, 467, "Error validating access token: The session is invalid."),
    403: (200, 0, "(#200) Ad account owner has NOT grant ads_management or ads_read permission"),
    404: (2500, 0, "Unknown path components"),
    429: (4, 0, "(#4) Application request limit reached"),
    500: (1, 0, "An unknown error occurred"),
    503: (2, 0, "An unexpected error has occurred. Please retry your request later."),
}


def failure(status: int) -> Response:
    code, subcode, message = FAILURES.get(status, FAILURES[400 if status < 500 else 500])
    return envelope(code, message, subcode=subcode, status=status)


def refusal(code: int, message: str, *, subcode: int = 0, status: int = 400) -> Refusal:
    return Refusal(envelope(code, message, subcode=subcode, status=status))


def envelope(code: int, message: str, *, subcode: int = 0, status: int = 400) -> Response:
    error = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": TRACE_ID}
    if subcode:
        error["error_subcode"] = subcode
    if code == 2:
        error["is_transient"] = True
    return as_json({"error": error}, status=status)


def no_token() -> Refusal:
    return refusal(2500, "An active access token must be used to query information about the current user.")


def malformed_token(token: str) -> Refusal:
    """Meta quotes a malformed token."""
    return refusal(190, f"Malformed access token {token}")


def expired_token() -> Refusal:
    return refusal(190, "Error validating access token: Session has expired.", subcode=463)


def removed_application() -> Refusal:
    message = "Error validating access token: The user has not authorized application 1000."
    return refusal(190, message, subcode=458)


def no_object(object_id: str) -> Refusal:
    message = (
        f"Unsupported get request. Object with ID '{object_id}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation"
    )
    return refusal(100, message, subcode=33)


def invalid_parameter(message: str, *, subcode: int = 0) -> Refusal:
    return refusal(100, f"(#100) {message}", subcode=subcode)


def invalid_cursor() -> Refusal:
    return refusal(2642, "(#2642) Invalid cursors values")
