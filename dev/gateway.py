"""What Chalice's local gateway lacks compared with API Gateway: errors in our format, and the rest of its event."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec
from chalice import Chalice
from chalice.config import Config
from chalice.local import LocalGateway, RouteMatcher

from chalicelib.errors import AppError, MethodNotAllowed, NotFound
from chalicelib.runtime.problems import CONTENT_TYPE, problem_of
from chalicelib.runtime.security_headers import security_headers

STAGE = "api"


class LengthRequired(AppError):
    status = 411
    code = "length_required"
    title = "The request body needs a Content-Length"


class BadGateway(AppError):
    status = 502
    code = "internal_error"
    title = "The service failed to respond"


class Gateway(LocalGateway):
    """Raises AppError for requests that never reach the application."""

    def __init__(self, app: Chalice, config: Config) -> None:
        super().__init__(app, config)
        self._routes = app.routes
        self._matcher = RouteMatcher(list(app.routes))

    def handle_request(self, method: str, path: str, headers: dict[str, str], body: bytes | None) -> dict[str, Any]:
        self._check_route(method, path)
        response: dict[str, Any] = super().handle_request(method, path, headers, body)
        return response

    def _check_route(self, method: str, path: str) -> None:
        try:
            methods = self._routes[self._matcher.match_route(path).route]
        except ValueError as error:
            raise NotFound("There is nothing at this path") from error
        if method not in methods:
            raise MethodNotAllowed(headers={"Allow": ", ".join(sorted(methods))})

    def _generate_lambda_event(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None
    ) -> dict[str, Any]:
        event: dict[str, Any] = super()._generate_lambda_event(method, path, headers, body)
        query = event["multiValueQueryStringParameters"]
        context = event["requestContext"]
        context |= {"requestId": str(uuid4()), "stage": STAGE, "apiId": "local", "protocol": "HTTP/1.1"}
        context["identity"]["userAgent"] = headers.get("User-Agent")
        event |= {
            "httpMethod": method,
            "resource": context["resourcePath"],
            "path": context["path"],
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": query and {name: values[-1] for name, values in query.items()},
        }
        if not event.setdefault("isBase64Encoded", False):
            # API Gateway turns every body without a binary type into text, and damages what is not UTF-8.
            event["body"] = body.decode(errors="replace") if body else None
        return event


def problem(error: AppError) -> tuple[int, Mapping[str, str], bytes]:
    """A response of the gateway itself. In the cloud, the template's gateway responses have this format."""
    body = msgspec.json.encode(problem_of(error, str(uuid4())))
    return error.status, {"Content-Type": CONTENT_TYPE, **security_headers(), **error.headers}, body
