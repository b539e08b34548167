"""Yelp in the sandbox: its host, the studio's business, and the day's calls.

https://docs.developer.yelp.com/reference/v3_business_info
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from dev.sandbox.routing import Control, PathValues, Route
from dev.sandbox.wire import Json, Refusal, Request, Response, as_json

HOST = "api.yelp.com"
API_KEY = "sandbox-yelp-api-key"  # useless outside the sandbox
DAILY_LIMIT = 300

BUSINESS_ID, BUSINESS_ALIAS = "L1nd3nAndL1ghtB3rl1n01", "linden-and-light-photography-berlin"
BUSINESS: Json = {
    "id": BUSINESS_ID,
    "alias": BUSINESS_ALIAS,
    "name": "Linden & Light Photography",
    "url": f"https://www.yelp.com/biz/{BUSINESS_ALIAS}?adjust_creative=sandbox",
    "is_claimed": True,
    "is_closed": False,
    "rating": 4.5,
    "review_count": 38,
    "categories": [{"alias": "photographers", "title": "Photographers"}],
    "location": {"city": "Berlin", "country": "DE", "display_address": ["Example Str. 1", "10999 Berlin"]},
}

FAILURES = {
    400: ("VALIDATION_ERROR", "A field is not valid."),
    401: ("TOKEN_INVALID", "Invalid API key or authorization header."),
    403: ("AUTHORIZATION_ERROR", "The plan does not include this."),
    404: ("NOT_FOUND", "Resource could not be found."),
    429: ("TOO_MANY_REQUESTS_PER_SECOND", "You have exceeded the queries-per-second limit for this endpoint."),
}


class Yelp:
    def __init__(self) -> None:
        self.remaining = DAILY_LIMIT
        self.api_key = API_KEY

    def hosts(self) -> Mapping[str, Sequence[Route]]:
        return {HOST: (Route("businesses.get", "GET", "/v3/businesses/{business}", self._business),)}

    def failure(self, host: str, status: int) -> Response:
        code, description = FAILURES.get(status, FAILURES[400] if status < 500 else ("INTERNAL_ERROR", "Try again."))
        return _refused(status, code, description)

    def controls(self) -> Sequence[Control]:
        return (
            Control("POST", "/yelp/usage", self.set_usage),
            Control("POST", "/yelp/api-key", self.set_api_key),
        )

    def set_usage(self, remaining: int = DAILY_LIMIT) -> None:
        """Sets how many of the day's calls are left; each request uses one."""
        self.remaining = remaining

    def set_api_key(self, api_key: str = API_KEY) -> None:
        """Sets the valid key."""
        self.api_key = api_key

    def _business(self, request: Request, path: PathValues) -> Response:
        if request.headers.get("authorization", "") != f"Bearer {self.api_key}":
            raise Refusal(_refused(401, *FAILURES[401]))
        if self.remaining <= 0:
            message = "You have reached the access limit for this client."
            raise Refusal(_refused(429, "ACCESS_LIMIT_REACHED", message, headers=self._limits()))
        self.remaining -= 1
        if path["business"] not in (BUSINESS_ID, BUSINESS_ALIAS):
            message = "The requested business could not be found."
            raise Refusal(_refused(404, "BUSINESS_NOT_FOUND", message, headers=self._limits()))
        return as_json(BUSINESS, headers=self._limits())

    def _limits(self) -> Mapping[str, str]:
        """The day ends at midnight UTC."""
        tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return {
            "RateLimit-DailyLimit": str(DAILY_LIMIT),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-ResetTime": tomorrow.isoformat(),
        }


def _refused(status: int, code: str, description: str, *, headers: Mapping[str, str] | None = None) -> Response:
    return as_json({"error": {"code": code, "description": description}}, status=status, headers=headers)
