"""Unusable responses as data: the generic table of their meanings, and how a fault becomes an error."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from chalicelib.errors import (
    AnswerTooLarge,
    BlockedByAdministrator,
    ContractChanged,
    CursorExpired,
    LimitScope,
    Misconfigured,
    PermissionMissing,
    PlatformError,
    RateLimited,
    ScopeMissing,
    ServiceNotEnabled,
    TokenExpired,
    TokenRevoked,
    TransientFault,
)

REASON_LENGTH = 200

_KINDS: dict[int, type[PlatformError]] = {
    401: TokenExpired,
    403: PermissionMissing,
    408: TransientFault,
    429: RateLimited,
}

_MESSAGES: dict[type[PlatformError], str] = {
    TransientFault: "{title} is not available right now",
    AnswerTooLarge: "{title} could not return this much data at once",
    RateLimited: "{title} is limiting our requests",
    TokenExpired: "{title} no longer accepts the access token",
    TokenRevoked: "{title} no longer accepts this connection",
    PermissionMissing: "{title} did not give this connection permission to read this: reconnect and allow it",
    ScopeMissing: "{title} did not give this connection permission to read this: reconnect and allow it",
    ServiceNotEnabled: "The connected {title} account does not have what this stream reads",
    BlockedByAdministrator: "An administrator of the connected {title} account's organization blocks access",
    Misconfigured: "{title} rejected this application",
    ContractChanged: "{title} returned an unexpected response",
    CursorExpired: "{title} can no longer resume from where the last sync ended",
}


class Fault(msgspec.Struct, frozen=True):
    """What an unusable response means."""

    kind: type[PlatformError]
    reason: str = ""
    """For logs: our own words, or platform codes that `error_rules.loggable` allows. Never the platform's text."""
    resume_at: datetime | None = None
    scope: LimitScope = "account"
    """Whose limit was reached: this application's for all studios, or only the connected account's."""
    code: str = ""
    """Stable, for programs. Empty: the default of its kind."""
    message: str = ""
    """For the studio: what happened, and what to do. Empty: the default of its kind."""


def kind_of(status: int) -> type[PlatformError]:
    """The meaning of a status when the platform gives no further information."""
    return TransientFault if status >= 500 else _KINDS.get(status, ContractChanged)


def platform_error(title: str, fault: Fault, *, where: str) -> PlatformError:
    message = fault.message or _MESSAGES[fault.kind].format(title=title)
    reason = fault.reason[:REASON_LENGTH]
    details = {"internal": f"{where}: {reason}" if reason else where, "code": fault.code}
    if issubclass(fault.kind, RateLimited):
        return fault.kind(message, **details, resume_at=fault.resume_at, scope=fault.scope)
    return fault.kind(message, **details, resume_at=fault.resume_at)


def retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When to retry according to the Retry-After header, seconds or an HTTP date (RFC 9110, 10.2.3); None without
    one."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,7}", value):
        return now + timedelta(seconds=int(value))
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
