"""What a token endpoint answers: a grant, or a refusal and what it means."""

import re
from typing import Any

import msgspec

from chalicelib import clock
from chalicelib.errors import ContractChanged, Misconfigured, PlatformError, RateLimited, TokenRevoked, TransientFault
from chalicelib.platforms.client import decode
from chalicelib.platforms.faults import Fault, retry_after
from chalicelib.platforms.transport import Response
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


class Refusal(msgspec.Struct, frozen=True):
    """RFC 6749, 5.2; revocation answers in the same shape (RFC 7009, 2.2.1)."""

    error: str = ""
    error_description: str = ""


# Looked up by `error`, then by `error_description`: google-auth treats the last three as passing in either place.
_REFUSALS: dict[str, type[PlatformError]] = {
    "invalid_grant": TokenRevoked,
    "invalid_client": Misconfigured,
    "unauthorized_client": Misconfigured,
    "redirect_uri_mismatch": Misconfigured,
    "unsupported_grant_type": Misconfigured,
    "temporarily_unavailable": TransientFault,
    "server_error": TransientFault,
    "internal_failure": TransientFault,
}


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


def read_refusal(response: Response) -> Refusal:
    refusal = decode(response.body, Refusal)
    return Refusal() if isinstance(refusal, Fault) else refusal


def classify_refusal(response: Response) -> Fault:
    """What a refusal in RFC 6749's words means."""
    refusal = read_refusal(response)
    reason = f"{refusal.error} {refusal.error_description}".strip()
    return Fault(_kind(response.status, refusal), reason, retry_after(response.headers, clock.now()))


def _kind(status: int, refusal: Refusal) -> type[PlatformError]:
    if status == 429:
        return RateLimited
    named = _REFUSALS.get(refusal.error) or _REFUSALS.get(refusal.error_description)
    if status == 408 or status >= 500 or named is TransientFault:
        return TransientFault
    return named or ContractChanged


def _seconds(told: object) -> int | None:
    """Some platforms tell a number as text, or as 3600.0."""
    match = re.fullmatch(r"([0-9]{1,9})(\.0)?", str(told), re.ASCII)
    seconds = int(match[1]) if match else None
    return seconds if seconds is not None and seconds <= _TEN_YEARS else None


def _scopes(told: str | None) -> tuple[str, ...] | None:
    """RFC 6749 joins them by spaces; Pinterest has done so by commas, too."""
    return None if told is None else tuple(name for name in re.split(r"[ ,]+", told) if name)
