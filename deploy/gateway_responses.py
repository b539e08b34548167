"""What API Gateway answers by itself, as problem documents in the shape of the API's own errors."""

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
"""What the gateway puts the request's id in place of"""


class Answer(NamedTuple):
    error: AppError
    retry_after_seconds: int = 0


_NOTHING_THERE = Answer(NotFound("There is nothing at this path"))

# https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
ANSWERS = {
    "MISSING_AUTHENTICATION_TOKEN": _NOTHING_THERE,  # what the gateway says of an unknown path
    "RESOURCE_NOT_FOUND": _NOTHING_THERE,
    "INVALID_SIGNATURE": _NOTHING_THERE,  # or, for it takes our callers' `Authorization` there for a signature
    "REQUEST_TOO_LARGE": Answer(PayloadTooLarge("A request body may have 10485760 bytes")),
    "UNSUPPORTED_MEDIA_TYPE": Answer(UnsupportedMediaType("The body must be application/json")),
    "THROTTLED": Answer(TooManyRequests("There are too many requests at the moment"), 1),
    "QUOTA_EXCEEDED": Answer(TooManyRequests("The quota of requests is used up"), 60),
    "WAF_FILTERED": Answer(Forbidden("The request was refused")),
    "INTEGRATION_TIMEOUT": Answer(Unavailable("The service took too long to answer"), 5),
    "INTEGRATION_FAILURE": Answer(Unavailable("The service could not be reached"), 5),
    "DEFAULT_4XX": Answer(BadRequest("The request cannot be read")),
    "DEFAULT_5XX": Answer(AppError("Something went wrong on our side")),
}


def gateway_responses() -> dict[str, Any]:
    """As the OpenAPI extension x-amazon-apigateway-gateway-responses has them."""
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
