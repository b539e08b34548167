"""What Google tells of its users' accounts: Cross-Account Protection (RISC).

Source: developers.google.com/identity/protocols/risc. The issuer and the address of the keys stand in
https://accounts.google.com/.well-known/risc-configuration.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from chalicelib.errors import BadRequest
from chalicelib.platforms.webhooks import AccountEvent, AccountId

ISSUER = "https://accounts.google.com/"
KEYS_URL = "https://www.googleapis.com/oauth2/v3/certs"

_RISC = "https://schemas.openid.net/secevent/risc/event-type/"
_OAUTH = "https://schemas.openid.net/secevent/oauth/event-type/"

# What ends a grant, or has Google ask its receivers to behave as if it did; the rest is written down only. Of a
# credential change Google asks to "look out for suspicious activity", and the grant lives on.
EVENTS: Mapping[str, tuple[Literal["revoked", "warning"], str, str]] = {
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
    "bulk-account": "Google disabled the account as one of many made in bulk",
}


class _Subject(msgspec.Struct):
    """Of an event about one token the subject is that token, known by its beginning or hash, and names nobody."""

    sub: AccountId = ""


class _Event(msgspec.Struct):
    subject: _Subject = msgspec.field(default_factory=_Subject)
    reason: str = ""


class _Claims(msgspec.Struct):
    iat: int
    events: dict[str, _Event]


def parse_events(claims: Mapping[str, Any]) -> Iterator[AccountEvent]:
    """The events of a verified token that name an account and that this product knows. Raises BadRequest."""
    try:
        token = msgspec.convert(claims, _Claims)
        at = datetime.fromtimestamp(token.iat, UTC)
    except (msgspec.ValidationError, ValueError, OverflowError, OSError) as error:
        raise BadRequest("The security event token is malformed", code="invalid_request") from error
    for kind, event in token.events.items():
        if kind in EVENTS and event.subject.sub:
            effect, code, message = EVENTS[kind]
            yield AccountEvent(event.subject.sub, at, effect, code, REASONS.get(event.reason, message))
