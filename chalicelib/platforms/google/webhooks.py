"""Google's reports about its users' accounts: Cross-Account Protection (RISC).

Source: developers.google.com/identity/protocols/risc. The issuer and the address of the keys are in
https://accounts.google.com/.well-known/risc-configuration.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from chalicelib.errors import AppError, BadRequest
from chalicelib.platforms.core.webhooks import (
    AccountEvent,
    AccountId,
    Effect,
    Report,
    VendorErrorFormat,
    Verifier,
    WebhookSender,
)

ISSUER = "https://accounts.google.com/"
KEYS_URL = "https://www.googleapis.com/oauth2/v3/certs"
MEDIA_TYPE = "application/secevent+jwt"
ERROR_CODES = ("invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed")
"""RFC 8935, 2.4; the first one is the fallback"""

_RISC = "https://schemas.openid.net/secevent/risc/event-type/"
_OAUTH = "https://schemas.openid.net/secevent/oauth/event-type/"

# Events that end a grant, or after which Google asks receivers to act as if they did; the rest is only recorded. After
# a credential change Google asks to "look out for suspicious activity", and the grant stays valid.
EVENTS: Mapping[str, tuple[Effect, str, str]] = {
    f"{_RISC}sessions-revoked": ("revoked", "sessions_revoked", "Google ended all sessions of the account"),
    f"{_OAUTH}tokens-revoked": ("revoked", "tokens_revoked", "The account's grants were revoked at Google"),
    f"{_OAUTH}token-revoked": ("revoked", "tokens_revoked", "The grant was revoked at Google"),
    f"{_RISC}account-disabled": ("revoked", "account_disabled", "Google disabled the account"),
    f"{_RISC}account-purged": ("revoked", "account_purged", "The account was deleted at Google"),
    f"{_RISC}account-enabled": ("warning", "account_enabled", "Google enabled the account again"),
    f"{_RISC}account-credential-change-required": (
        "warning",
        "credential_change_required",
        "Google requires the account to change its password or other credentials",
    ),
}
REASONS = {
    "hijacking": "Google disabled the account because it was hijacked",
    "bulk-account": "Google disabled the account because it was created in bulk",
}


class _Subject(msgspec.Struct):
    """For an event about one token, the subject is that token, identified by a prefix or hash, and names no account."""

    sub: AccountId = ""


class _Event(msgspec.Struct):
    subject: _Subject = msgspec.field(default_factory=_Subject)
    reason: str = ""


class _Claims(msgspec.Struct):
    iat: int
    events: dict[str, _Event]


class EventRefused(msgspec.Struct):
    """Why a security event token was rejected (RFC 8935, 2.3)."""

    err: str
    """`invalid_request`, `invalid_key`, `invalid_issuer`, `invalid_audience` or `authentication_failed` (RFC 8935,
    2.4)."""
    description: str
    """What is wrong with the token, in a sentence for a person."""


def verify(body: bytes, verifier: Verifier) -> Mapping[str, Any]:
    """The claims of the token in the body. Raises BadRequest."""
    try:
        token = body.decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise BadRequest("The body is not ASCII text") from error
    return verifier.open_security_event(token, issuer=ISSUER, keys_url=KEYS_URL)


def parse(claims: Mapping[str, Any], _: datetime) -> Report:
    """The events of a verified token that name an account and that this product knows. Raises BadRequest."""
    try:
        token = msgspec.convert(claims, _Claims)
        at = datetime.fromtimestamp(token.iat, UTC)
    except (msgspec.ValidationError, ValueError, OverflowError, OSError) as error:
        raise BadRequest("The security event token is malformed", code="invalid_request") from error
    events = []
    for kind, event in token.events.items():
        if kind in EVENTS and event.subject.sub:
            effect, code, message = EVENTS[kind]
            events.append(AccountEvent(event.subject.sub, at, effect, code, REASONS.get(event.reason, message)))
    return Report(tuple(events), kinds=tuple(kind.rsplit("/", 1)[-1] for kind in token.events))


def refuse(error: AppError) -> EventRefused:
    return EventRefused(err=error.code if error.code in ERROR_CODES else ERROR_CODES[0], description=error.message)


SECURITY_EVENTS = WebhookSender(
    name="security-events",
    summary="Receive a security event token from Google's Cross-Account Protection",
    accepts=MEDIA_TYPE,
    body=bytes,
    verify=verify,
    parse=parse,
    status=202,
    error=VendorErrorFormat(refuse, EventRefused),
)
