"""Yelp: a business that anyone may look up, asked for with one key of this product for all studios.

Sources: docs.developer.yelp.com (Places API v3: authentication, rate limiting), Yelp/yelp-python for the error codes.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from chalicelib.errors import (
    ContractChanged,
    Misconfigured,
    PermissionMissing,
    PlatformError,
    RateLimited,
    TokenRevoked,
)
from chalicelib.platforms.base import Account, Platform
from chalicelib.platforms.client import Client, decode
from chalicelib.platforms.faults import Fault, kind_of
from chalicelib.platforms.quota import Usage
from chalicelib.platforms.text import clean
from chalicelib.platforms.transport import Response

HOST = "api.yelp.com"
BASE_URL = f"https://{HOST}/v3"

# By the code, or by the status where Yelp names none. A refused key is ours, so it ends no studio's connection.
KINDS: dict[str, type[PlatformError]] = {
    "401": Misconfigured,
    "UNAUTHORIZED_ACCESS_TOKEN": Misconfigured,
    "TOKEN_INVALID": Misconfigured,
    "TOKEN_MISSING": Misconfigured,
    "INVALID_AUTHORIZATION_METHOD": Misconfigured,
    "TOO_MANY_REQUESTS_PER_SECOND": RateLimited,
    "ACCESS_LIMIT_REACHED": RateLimited,
    # The studio has to name its business again.
    "BUSINESS_NOT_FOUND": TokenRevoked,
    # Yelp does not show it by its API for now: too few reviews, say.
    "BUSINESS_UNAVAILABLE": PermissionMissing,
    "VALIDATION_ERROR": ContractChanged,
}


class Business(msgspec.Struct, frozen=True):
    id: str
    name: str = ""


class Problem(msgspec.Struct, frozen=True):
    code: str = ""
    description: str = ""


class Refusal(msgspec.Struct, frozen=True):
    error: Problem = Problem()


def identify(client: Client) -> Account:
    """An alias, the end of the business's page on Yelp, is good for asking, but may change: the answer has the id."""
    business = client.get(f"{BASE_URL}/businesses/{quote(client.account_id, safe='')}", into=Business)
    return Account(business.id, clean(business.name) or "Yelp business")


def classify(response: Response) -> Fault:
    refusal = decode(response.body, Refusal)
    problem = refusal.error if isinstance(refusal, Refusal) else Problem()
    kind = KINDS.get(problem.code) or KINDS.get(str(response.status)) or kind_of(response.status)
    reason = " ".join(part for part in (problem.code, problem.description) if part)
    # A second's limit is over before anything could wait for it; the day's is not.
    resume_at = _resets_at(response.headers) if problem.code == "ACCESS_LIMIT_REACHED" else None
    return Fault(kind, reason, resume_at, "app")


def usage(headers: Mapping[str, str], now: datetime) -> list[Usage]:
    """The day's calls, which all studios share."""
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
