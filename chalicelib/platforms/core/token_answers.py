"""Responses of a token endpoint: a grant, or an error and what it means. Consent pages use the same error words."""

import re
from typing import Any

import msgspec

from chalicelib.errors import ContractChanged, Misconfigured, RateLimited, TokenRevoked, TransientFault
from chalicelib.platforms.core.decoding import decode
from chalicelib.platforms.core.error_rules import ErrorRule, Json, Rules, judge, loggable, read_object, text, words_of
from chalicelib.platforms.core.faults import Fault
from chalicelib.platforms.core.transport import PlatformResponse
from chalicelib.secret import Secret


class TokenGrant(msgspec.Struct, frozen=True):
    """Without a `refresh_token` the existing one stays valid; `scopes` is None if the platform does not report them.

    Both lifetimes are in seconds, or None if the platform does not report them; `refresh_expires_in` is the refresh
    token's.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: int | None = None
    scopes: tuple[str, ...] | None = None
    refresh_expires_in: int | None = None


_TEN_YEARS = 10 * 365 * 86400


class _Answer(msgspec.Struct, frozen=True):
    """Lifetimes accept any value: a rotated refresh token must not be lost because of an unreadable number."""

    access_token: str = ""
    refresh_token: str | None = None
    expires_in: Any = None
    refresh_token_expires_in: Any = None
    scope: str | None = None
    error: Any = None


# RFC 6749, 5.2, and 4.1.2.1 for the consent page. The status is a word of its own here, `token 401`: it means something
# else in responses of other endpoints. google-auth treats the last three of the second row as transient.
TOKEN_RULES: Rules = (
    ErrorRule(RateLimited, frozenset({"token 429"})),
    ErrorRule(
        TransientFault,
        frozenset({"token 408", "token 5xx", "temporarily_unavailable", "server_error", "internal_failure"}),
    ),
    ErrorRule(TokenRevoked, frozenset({"invalid_grant", "access_denied"})),
    ErrorRule(
        Misconfigured,
        frozenset(
            {
                "invalid_client",
                "unauthorized_client",
                "redirect_uri_mismatch",
                "unsupported_grant_type",
                "unsupported_response_type",
                "invalid_scope",
            }
        ),
    ),
)


def read_grant(response: PlatformResponse) -> TokenGrant | Fault:
    """The grant of a 2xx response (RFC 6749, 5.1), or a fault whose text quotes nothing."""
    answer = decode(response.body, _Answer)
    if isinstance(answer, Fault):
        return answer
    if answer.error is not None:
        return Fault(ContractChanged, "the token response is a success and an error at once")
    if not answer.access_token:
        return Fault(ContractChanged, "the token response has no access token")
    return TokenGrant(
        access_token=Secret(answer.access_token),
        refresh_token=Secret(answer.refresh_token) if answer.refresh_token else None,
        expires_in=_seconds(answer.expires_in),
        scopes=_scopes(answer.scope),
        refresh_expires_in=_seconds(answer.refresh_token_expires_in),
    )


def is_refusal(response: PlatformResponse) -> bool:
    """Whether an answer names an error and has no token, whatever its status: some platforms refuse with a 200."""
    answer = read_object(response.body)
    return bool(answer.get("error")) and not answer.get("access_token")


def error_of(response: PlatformResponse) -> str:
    """RFC 6749, 5.2; revocation errors have the same shape (RFC 7009, 2.2.1)."""
    return text(read_object(response.body), "error")


def classify_error(response: PlatformResponse, rules: Rules = TOKEN_RULES) -> Fault:
    """The meaning of an error in the format of RFC 6749."""
    errors = named_errors(read_object(response.body))
    rule = judge(rules, {*errors, *statuses(response.status)}, otherwise=ContractChanged)
    return rule.fault(loggable(errors, words_of(rules) | {"invalid_request", "invalid_token"}))


def named_errors(refusal: Json) -> list[str]:
    """Some platforms put the decisive word into the description."""
    return [text(refusal, name) for name in ("error", "error_subtype", "error_description")]


def statuses(status: int) -> tuple[str, str]:
    """The status of a token endpoint as words: the status itself, and its class."""
    return f"token {status}", f"token {status // 100}xx"


def _seconds(value: object) -> int | None:
    """Some platforms write a number as text, or as 3600.0."""
    match = re.fullmatch(r"([0-9]{1,9})(\.0)?", str(value), re.ASCII)
    seconds = int(match[1]) if match else None
    return seconds if seconds is not None and seconds <= _TEN_YEARS else None


def _scopes(value: str | None) -> tuple[str, ...] | None:
    """RFC 6749 separates them by spaces; Pinterest has used commas, too."""
    return None if value is None else tuple(name for name in re.split(r"[ ,]+", value) if name)
