"""Yelp: a business that anyone may look up, with one key of this product for all studios.

Sources: docs.developer.yelp.com (Places API v3: authentication, rate limiting), Yelp/yelp-python for the error codes.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from chalicelib.errors import (
    ContractChanged,
    Misconfigured,
    RateLimited,
    ServiceNotEnabled,
    TokenRevoked,
)
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity, Platform
from chalicelib.platforms.core.error_rules import ErrorRule, judge, loggable, member, read_object, text, words_of
from chalicelib.platforms.core.faults import Fault, kind_of
from chalicelib.platforms.core.quota import Usage
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.core.urls import url_of

HOST = "api.yelp.com"
BASE_URL = f"https://{HOST}/v3"

# The words of an error: its code, and its status. The key is ours, so its rejection ends no studio's connection.
RULES = (
    ErrorRule(RateLimited, frozenset({"TOO_MANY_REQUESTS_PER_SECOND", "ACCESS_LIMIT_REACHED"}), scope="app"),
    ErrorRule(
        TokenRevoked,
        frozenset({"BUSINESS_NOT_FOUND"}),
        code="business_not_found",
        message="Yelp does not know this business: disconnect it, then connect it with the URL of its Yelp page",
    ),
    ErrorRule(
        TokenRevoked,
        frozenset({"BUSINESS_MIGRATED"}),
        code="business_moved",
        message="Yelp has moved this business to another page: disconnect it, then connect it with its new URL",
    ),
    # For example because of too few reviews, or removed.
    ErrorRule(
        ServiceNotEnabled,
        frozenset({"BUSINESS_UNAVAILABLE"}),
        code="business_not_shown",
        message="Yelp does not show this business to other services for now: it may have too few reviews",
    ),
    ErrorRule(
        Misconfigured,
        frozenset(
            {
                *("401", "UNAUTHORIZED_ACCESS_TOKEN", "TOKEN_INVALID", "TOKEN_MISSING", "INVALID_AUTHORIZATION_METHOD"),
                # Our plan does not include the request.
                *("403", "AUTHORIZATION_ERROR"),
            }
        ),
    ),
    ErrorRule(RateLimited, frozenset({"429"}), scope="app"),
    ErrorRule(ContractChanged, frozenset({"VALIDATION_ERROR"})),
)
VOCABULARY = words_of(RULES) | {"INTERNAL_ERROR", "INVALID_LOCALE", "LOCATION_NOT_FOUND", "NOT_FOUND"}


class Business(msgspec.Struct, frozen=True):
    id: str
    name: str = ""


def identify(client: Client) -> Identity:
    """An alias, the end of the business's Yelp URL, works for look-ups but may change: the response has the id."""
    business = client.get(url_of(BASE_URL + "/businesses/{business}", business=client.account_id), into=Business)
    return Identity(business.id, clean(business.name) or "Yelp business")


def classify(response: PlatformResponse) -> Fault:
    code = text(member(read_object(response.body), "error"), "code")
    rule = judge(RULES, {code, str(response.status)}, otherwise=kind_of(response.status))
    # A per-second limit is over before anything could wait for it; the daily one is not.
    resume_at = _resets_at(response.headers) if code == "ACCESS_LIMIT_REACHED" else None
    return rule.fault(loggable([code], VOCABULARY), resume_at)


def usage(headers: Mapping[str, str], now: datetime) -> list[Usage]:
    """The daily calls, which all studios share."""
    limit, remaining = (_number(headers.get(f"ratelimit-{name}", "")) for name in ("dailylimit", "remaining"))
    if not limit or remaining is None:
        return []
    return [Usage("app", max(0.0, 1 - remaining / limit), _resets_at(headers))]


def _resets_at(headers: Mapping[str, str]) -> datetime | None:
    """ISO 8601 with an offset, `2026-11-23T00:00:00+00:00`."""
    try:
        moment = datetime.fromisoformat(headers.get("ratelimit-resettime", ""))
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _number(value: str) -> float | None:
    """Yelp has written it both as 300 and as 300.0."""
    return float(value) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", value.strip(), re.ASCII) else None


YELP = Platform(
    name="yelp",
    title="Yelp",
    hosts=frozenset({HOST}),
    identify=identify,
    classify=classify,
    usage=usage,
    credential="api_key",
)
