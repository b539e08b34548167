"""Pinterest: account identity, how grants are kept alive, and what errors and headers mean.

Sources: Pinterest's OpenAPI description 5.23.0 (github.com/pinterest/api-description), developers.pinterest.com/docs.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec
from msgspec.structs import replace

from chalicelib import clock
from chalicelib.errors import (
    ContractChanged,
    Misconfigured,
    PermissionMissing,
    PlatformError,
    RateLimited,
    TokenRevoked,
    TransientFault,
)
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity, Platform
from chalicelib.platforms.core.error_rules import ErrorRule, Json, judge, loggable, number, read_object, text, words_of
from chalicelib.platforms.core.faults import Fault, kind_of
from chalicelib.platforms.core.oauth2 import OAuth2
from chalicelib.platforms.core.quota import Usage
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.core.token_answers import TOKEN_RULES, named_errors, statuses
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.platforms.core.urls import url_of

HOST = "api.pinterest.com"
BASE_URL = f"https://{HOST}/v5"

# Windows last a minute, except the daily budget of Trial access, which all studios share.
LONGEST_ACCOUNT_WINDOW = timedelta(hours=1)
SPAM_PAUSE = timedelta(hours=4)
"""An account blocked for spam must send nothing for hours."""

# The words of an error: its status, the status followed by the `code` (which means different things in different
# places: 2 is `Authentication failed` with a 401), and phrases of a 400's message. Errors of the token endpoint have
# each word again with the prefix `token`.
RULES = (
    # `Authentication failed`, for the client's id and secret in the header
    ErrorRule(Misconfigured, frozenset({"token 401/2"})),
    *TOKEN_RULES,
    ErrorRule(RateLimited, frozenset({"429", "spam", "retry after"})),
    # `Something went wrong on our end`
    ErrorRule(TransientFault, frozenset({"400/12"})),
    # A dead refresh token is a 401 with code 283 (pinterest/pinterest-python-sdk, issue 114), which is not documented:
    # any 4xx that is not known to mean something else counts as one.
    ErrorRule(TokenRevoked, frozenset({"token 4xx"})),
    # Not a dead token: the pin belongs to another user.
    ErrorRule(
        PermissionMissing,
        frozenset({"401/7"}),
        message="Pinterest shows this only to its owner: connect the account that it belongs to",
    ),
    ErrorRule(PermissionMissing, frozenset({"403"})),
)


class User(msgspec.Struct, frozen=True):
    id: str
    username: str = ""
    business_name: str | None = None


def identify(client: Client) -> Identity:
    user = client.get(url_of(f"{BASE_URL}/user_account"), into=User)
    return Identity(user.id, clean(user.business_name) or clean(user.username) or "Pinterest account")


def classify(response: PlatformResponse) -> Fault:
    refusal = read_object(response.body)
    return _judged(refusal, response, _words(refusal, response.status))


def classify_token_error(response: PlatformResponse) -> Fault:
    refusal = read_object(response.body)
    words = _words(refusal, response.status)
    own = {f"token {word}" for word in words} | {*statuses(response.status), *named_errors(refusal)}
    return _judged(refusal, response, words | own, otherwise=ContractChanged)


def _judged(
    refusal: Json, response: PlatformResponse, words: set[str], *, otherwise: type[PlatformError] | None = None
) -> Fault:
    rule = judge(RULES, words, otherwise=otherwise or kind_of(response.status))
    code, error = number(refusal, "code"), text(refusal, "error")
    # Pinterest's support asks for the request's id.
    reason = loggable(
        [str(code) if code else "", error], words_of(RULES), trace_id=response.headers.get("x-pinterest-rid", "")
    )
    if rule.kind is not RateLimited:
        return rule.fault(reason)
    now = clock.now()
    resets = [each for each in usage(response.headers, now) if each.resets_at]
    resume_at = _resume_at(text(refusal, "message"), now) or (resets[0].resets_at if resets else None)
    return replace(rule.fault(reason, resume_at), scope=resets[0].scope if resets else "account")


def usage(headers: Mapping[str, str], now: datetime) -> list[Usage]:
    """x-ratelimit-limit may list several limits (`100, 100;w=1, 1000;w=60`): the first one counts down."""
    names = ("limit", "remaining", "reset")
    limit, remaining, seconds = (_number(headers.get(f"x-ratelimit-{name}", "")) for name in names)
    if not limit or remaining is None:
        return []
    time_left = timedelta(seconds=seconds or 0)
    scope: Literal["app", "account"] = "app" if time_left > LONGEST_ACCOUNT_WINDOW else "account"
    return [Usage(scope, max(0.0, 1 - remaining / limit), now + time_left if seconds is not None else None)]


def _words(refusal: Json, status: int) -> set[str]:
    message = text(refusal, "message").lower()
    phrases = (phrase for phrase in ("spam", "retry after") if status == 400 and phrase in message)
    return {str(status), f"{status}/{number(refusal, 'code')}", *phrases}


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
    # Applications from before 25 September 2025 get continuous grants only on request; others always get them.
    code_params=(("continuous_refresh", "true"),),
    identity_scopes=("user_accounts:read",),
    scope_separator=",",
    client_auth="basic",
    # The description does not mention PKCE, and its revocation is for system users only.
    pkce=False,
    # An access token is valid for 30 days. Each use replaces the refresh token, which expires 60 days later.
    refresh_before=timedelta(days=5),
    refresh_every=timedelta(days=20),
    classify=classify_token_error,
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
