"""API Gateway's own responses, as problem documents in the format of the API's errors."""

from typing import Any, NamedTuple

import msgspec

from chalicelib.errors import (
    AppError,
    BadRequest,
    Forbidden,
    NotFound,
    PayloadTooLarge,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)
from chalicelib.runtime.problems import CONTENT_TYPE, problem_of
from chalicelib.runtime.security_headers import SECURITY_HEADERS

REQUEST_ID = "$context.requestId"
"""The placeholder that the gateway replaces with the request's id"""


class Answer(NamedTuple):
    error: AppError
    retry_after_seconds: int = 0


_NOTHING_THERE = Answer(NotFound("Nothing is available at this path"))

# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
ANSWERS = {
    "MISSING_AUTHENTICATION_TOKEN": _NOTHING_THERE,  # the gateway's type for an unknown path
    "RESOURCE_NOT_FOUND": _NOTHING_THERE,
    "INVALID_SIGNATURE": _NOTHING_THERE,  # or, as it expects a signature in `Authorization`
    "REQUEST_TOO_LARGE": Answer(PayloadTooLarge("A request body may have 10485760 bytes")),
    "UNSUPPORTED_MEDIA_TYPE": Answer(UnsupportedMediaType("The body must be application/json")),
    "THROTTLED": Answer(TooManyRequests("Too many requests"), 1),
    "QUOTA_EXCEEDED": Answer(TooManyRequests("The request quota is used up"), 60),
    "WAF_FILTERED": Answer(Forbidden("The request was refused")),
    "INTEGRATION_TIMEOUT": Answer(Unavailable("The service took too long to respond"), 5),
    "INTEGRATION_FAILURE": Answer(Unavailable("The service could not be reached"), 5),
    "DEFAULT_4XX": Answer(BadRequest("The request cannot be read")),
    "DEFAULT_5XX": Answer(AppError("Something went wrong on our side")),
}


def gateway_responses() -> dict[str, Any]:
    """In the format of the OpenAPI extension x-amazon-apigateway-gateway-responses."""
    return {kind: _response(answer) for kind, answer in ANSWERS.items()}


def _response(answer: Answer) -> dict[str, Any]:
    headers = {"Content-Type": CONTENT_TYPE, **SECURITY_HEADERS}
    if answer.retry_after_seconds:
        headers["Retry-After"] = str(answer.retry_after_seconds)
    body = msgspec.json.encode(problem_of(answer.error, REQUEST_ID)).decode()
    return {
        "statusCode": str(answer.error.status),
        "responseParameters": {f"gatewayresponse.header.{name}": f"'{value}'" for name, value in headers.items()},
        "responseTemplates": {"application/json": body},
    }
