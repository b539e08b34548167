"""Pinterest: who is connected, how its grants are kept alive, and what its refusals and headers mean.

Sources: Pinterest's OpenAPI description 5.23.0 (github.com/pinterest/api-description), developers.pinterest.com/docs.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from chalicelib import clock
from chalicelib.errors import (
    Misconfigured,
    PermissionMissing,
    PlatformError,
    RateLimited,
    TokenRevoked,
    TransientFault,
)
from chalicelib.platforms.base import Account, Platform
from chalicelib.platforms.client import Client, decode
from chalicelib.platforms.faults import Fault, kind_of
from chalicelib.platforms.oauth2 import OAuth2
from chalicelib.platforms.quota import Usage
from chalicelib.platforms.text import clean
from chalicelib.platforms.token_answers import classify_refusal
from chalicelib.platforms.transport import Response

HOST = "api.pinterest.com"
BASE_URL = f"https://{HOST}/v5"

# Windows are a minute long, but for the daily budget of Trial access, which all studios share.
LONGEST_ACCOUNT_WINDOW = timedelta(hours=1)
SPAM_PAUSE = timedelta(hours=4)
"""Whoever is blocked for spam has to be silent for hours."""


# The first row that shares a word with a refusal (`status N`, `status N/code`) tells what it means.
SIGNALS: tuple[tuple[type[PlatformError], frozenset[str]], ...] = (
    # Not a dead token: the pin is somebody else's.
    (PermissionMissing, frozenset({"status 401/7", "status 403"})),
    (RateLimited, frozenset({"status 429", "spam", "retry after"})),
    # `Something went wrong on our end`
    (TransientFault, frozenset({"status 400/12"})),
)


class User(msgspec.Struct, frozen=True):
    id: str
    username: str = ""
    business_name: str | None = None


class Refusal(msgspec.Struct, frozen=True):
    """`code` is not the status: 2 means `Authentication failed` with a 401, and other things elsewhere."""

    code: int = 0
    message: str = ""


def identify(client: Client) -> Account:
    user = client.get(f"{BASE_URL}/user_account", into=User)
    return Account(user.id, clean(user.business_name) or clean(user.username) or "Pinterest account")


def classify(response: Response) -> Fault:
    """By the status first, then by the code and the message."""
    refusal = _read(response)
    kind, reason = _kind(response.status, refusal), _reason(response, refusal)
    if kind is not RateLimited:
        return Fault(kind, reason)
    now = clock.now()
    resets = [each for each in usage(response.headers, now) if each.resets_at]
    resume_at = _resume_at(refusal.message, now) or (resets[0].resets_at if resets else None)
    return Fault(kind, reason, resume_at, resets[0].scope if resets else "account")


def classify_token_refusal(response: Response) -> Fault:
    """A dead refresh token is a 401 with code 283 (pinterest/pinterest-python-sdk, issue 114), which is documented
    nowhere: any 4xx that is not known to mean something else counts as one.
    """
    refusal, worded = _read(response), classify_refusal(response)
    if (response.status, refusal.code) == (401, 2):
        # `Authentication failed`, of the client's id and secret in the header
        return Fault(Misconfigured, _reason(response, refusal))
    if issubclass(worded.kind, Misconfigured | TransientFault | RateLimited | TokenRevoked):
        return worded
    fault = classify(response)
    dead = 400 <= response.status < 500 and not issubclass(fault.kind, RateLimited | TransientFault)
    return Fault(TokenRevoked, fault.reason) if dead else fault


def usage(headers: Mapping[str, str], now: datetime) -> list[Usage]:
    """x-ratelimit-limit may list several limits (`100, 100;w=1, 1000;w=60`): the first is the one that counts down."""
    names = ("limit", "remaining", "reset")
    limit, remaining, seconds = (_number(headers.get(f"x-ratelimit-{name}", "")) for name in names)
    if not limit or remaining is None:
        return []
    left = timedelta(seconds=seconds or 0)
    scope: Literal["app", "account"] = "app" if left > LONGEST_ACCOUNT_WINDOW else "account"
    return [Usage(scope, max(0.0, 1 - remaining / limit), now + left if seconds is not None else None)]


def _kind(status: int, refusal: Refusal) -> type[PlatformError]:
    message = refusal.message.lower()
    words = {f"status {status}", f"status {status}/{refusal.code}"}
    words |= {phrase for phrase in ("spam", "retry after") if status == 400 and phrase in message}
    return next((kind for kind, signals in SIGNALS if words & signals), kind_of(status))


def _reason(response: Response, refusal: Refusal) -> str:
    """Pinterest's support asks for the request's id."""
    code = str(refusal.code) if refusal.code else ""
    return " ".join(part for part in (code, response.headers.get("x-pinterest-rid", ""), refusal.message) if part)


def _read(response: Response) -> Refusal:
    refusal = decode(response.body, Refusal)
    return refusal if isinstance(refusal, Refusal) else Refusal()


def _resume_at(message: str, now: datetime) -> datetime | None:
    """Analytics names the seconds in the message of a 400."""
    if "spam" in message.lower():
        return now + SPAM_PAUSE
    match = re.search(r"retry after ([0-9]{1,6}) sec", message, re.ASCII | re.IGNORECASE)
    return now + timedelta(seconds=int(match[1])) if match else None


def _number(value: str) -> int | None:
    match = re.match(r"[0-9]{1,9}", value.strip(), re.ASCII)
    return int(match[0]) if match else None


OAUTH = OAuth2(
    authorize_url="https://www.pinterest.com/oauth/",
    token_url=f"{BASE_URL}/oauth/token",
    # Applications from before 25 September 2025 get lasting grants only when they ask; others get them anyway.
    code_params=(("continuous_refresh", "true"),),
    identity_scopes=("user_accounts:read",),
    scope_separator=",",
    client_auth="basic",
    # The description does not name PKCE, and the revocation it names is for system users alone.
    pkce=False,
    # An access token works for 30 days. The refresh token is another one after each use, and dies 60 days after it.
    renew_before=timedelta(days=5),
    renew_every=timedelta(days=20),
    classify=classify_token_refusal,
)

PINTEREST = Platform(
    name="pinterest",
    title="Pinterest",
    hosts=frozenset({HOST}),
    identify=identify,
    classify=classify,
    usage=usage,
    oauth=OAUTH,
)
