"""What a token endpoint answers: a grant, or a refusal and what it means. Consent pages refuse in the same words."""

import re
from typing import Any

import msgspec

from chalicelib.errors import ContractChanged, Misconfigured, RateLimited, TokenRevoked, TransientFault
from chalicelib.platforms.core.decoding import decode
from chalicelib.platforms.core.error_rules import Json, Rule, Rules, judge, loggable, read_object, text, words_of
from chalicelib.platforms.core.faults import Fault
from chalicelib.platforms.core.transport import Response
from chalicelib.secret import Secret


class TokenGrant(msgspec.Struct, frozen=True):
    """Without a `refresh_token` the present one stays; `scopes` is None when the platform does not tell them.

    Both lifetimes are in seconds, and None when the platform does not tell them; `refresh_expires_in` is the refresh
    token's.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    expires_in: int | None = None
    scopes: tuple[str, ...] | None = None
    refresh_expires_in: int | None = None


_TEN_YEARS = 10 * 365 * 86400


class _Answer(msgspec.Struct, frozen=True):
    """Lifetimes are anything: a rotated refresh token must not be lost over a number that cannot be read."""

    access_token: str = ""
    refresh_token: str | None = None
    expires_in: Any = None
    refresh_token_expires_in: Any = None
    scope: str | None = None
    error: Any = None


# RFC 6749, 5.2, and 4.1.2.1 for the consent page. The status is a word of its own here, `token 401`: it means something
# else in answers of other endpoints. google-auth takes the last three of the second row for passing.
TOKEN_RULES: Rules = (
    Rule(RateLimited, frozenset({"token 429"})),
    Rule(
        TransientFault,
        frozenset({"token 408", "token 5xx", "temporarily_unavailable", "server_error", "internal_failure"}),
    ),
    Rule(TokenRevoked, frozenset({"invalid_grant", "access_denied"})),
    Rule(
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


def read_grant(response: Response) -> TokenGrant | Fault:
    """The grant of a 2xx answer (RFC 6749, 5.1), or what is wrong with it in words that quote nothing."""
    answer = decode(response.body, _Answer)
    if isinstance(answer, Fault):
        return answer
    if answer.error is not None:
        return Fault(ContractChanged, "the token answer is a success and a refusal at once")
    if not answer.access_token:
        return Fault(ContractChanged, "the token answer has no access token")
    return TokenGrant(
        access_token=Secret(answer.access_token),
        refresh_token=Secret(answer.refresh_token) if answer.refresh_token else None,
        expires_in=_seconds(answer.expires_in),
        scopes=_scopes(answer.scope),
        refresh_expires_in=_seconds(answer.refresh_token_expires_in),
    )


def is_refusal(response: Response) -> bool:
    """Whether an answer names an error and has no token, whatever its status: some platforms refuse with a 200."""
    answer = read_object(response.body)
    return bool(answer.get("error")) and not answer.get("access_token")


def error_of(response: Response) -> str:
    """RFC 6749, 5.2; revocation answers in the same shape (RFC 7009, 2.2.1)."""
    return text(read_object(response.body), "error")


def classify_error(response: Response, rules: Rules = TOKEN_RULES) -> Fault:
    """What a refusal in RFC 6749's words means."""
    said = named_errors(read_object(response.body))
    rule = judge(rules, {*said, *statuses(response.status)}, otherwise=ContractChanged)
    return rule.fault(loggable(said, words_of(rules) | {"invalid_request", "invalid_token"}))


def named_errors(refusal: Json) -> list[str]:
    """Some platforms put the word that matters into the description."""
    return [text(refusal, name) for name in ("error", "error_subtype", "error_description")]


def statuses(status: int) -> tuple[str, str]:
    """The status of a token endpoint as words: its own, and its class."""
    return f"token {status}", f"token {status // 100}xx"


def _seconds(told: object) -> int | None:
    """Some platforms tell a number as text, or as 3600.0."""
    match = re.fullmatch(r"([0-9]{1,9})(\.0)?", str(told), re.ASCII)
    seconds = int(match[1]) if match else None
    return seconds if seconds is not None and seconds <= _TEN_YEARS else None


def _scopes(told: str | None) -> tuple[str, ...] | None:
    """RFC 6749 joins them by spaces; Pinterest has done so by commas, too."""
    return None if told is None else tuple(name for name in re.split(r"[ ,]+", told) if name)
