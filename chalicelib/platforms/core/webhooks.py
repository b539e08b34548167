"""Unsolicited events about accounts from platforms, and how a platform declares the webhooks it sends."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

import msgspec

from chalicelib.errors import AppError

BodyT = TypeVar("BodyT")
PayloadT = TypeVar("PayloadT")

AccountId = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,255}\Z")]
"""Printable ASCII, as in the account ids of all platforms; Google promises at most 255 characters. Other signed values
name no account, and some of them, such as NUL, cannot be stored."""

Effect = Literal["revoked", "warning", "erased"]


class AccountEvent(msgspec.Struct, frozen=True):
    """`at` is when it happened, or when the platform says it sent the event. `revoked` means that the account's grants
    have ended, `warning` changes nothing; `erased` revokes the grants as well and has the account's data erased."""

    account_id: str
    at: datetime
    effect: Effect
    code: str
    message: str


class Report(msgspec.Struct, frozen=True):
    """The content of one request: those events about accounts whose kind this product knows."""

    events: tuple[AccountEvent, ...]
    kinds: tuple[str, ...] = ()
    """For the log, unknown kinds included; empty if the sender's name is enough"""


class ErasureReceipt(msgspec.Struct, frozen=True):
    """For one erased account: a code, and the URL at which anyone who has it may read the status."""

    code: str
    status_url: str


class ResponseFormat(msgspec.Struct, frozen=True):
    """The JSON that a vendor expects back."""

    make: Callable[[Sequence[ErasureReceipt]], msgspec.Struct]
    shape: type[msgspec.Struct]


class VendorErrorFormat(msgspec.Struct, frozen=True):
    """The JSON in which a vendor expects to learn why a request was rejected."""

    make: Callable[[AppError], msgspec.Struct]
    shape: type[msgspec.Struct]


class Verifier(Protocol):
    """Checks signatures with what this product and the platform share: the secrets of our client, their public keys.

    Raises BadRequest if the signature is invalid, and Unavailable while the platform's keys cannot be read.
    """

    def open_signed_request(self, text: str) -> bytes:
        """The JSON that was signed with our client's secret: base64url(HMAC-SHA256) "." base64url(JSON)."""
        ...

    def open_security_event(self, token: str, *, issuer: str, keys_url: str) -> Mapping[str, Any]:
        """The claims of a security event token (RFC 8417) that the issuer signed for our client."""
        ...


class WebhookSender(msgspec.Struct, Generic[BodyT, PayloadT], frozen=True, kw_only=True):
    """A part of a platform that sends webhooks of one format, to /api/webhooks/{platform}/{name}.

    A request is verified as it was sent before it is parsed.
    """

    name: str
    summary: str
    """For the OpenAPI document"""
    accepts: str
    """The media type of the body"""
    body: type[BodyT]
    """A struct of the form's fields, or `bytes` for the raw body"""
    verify: Callable[[BodyT, Verifier], PayloadT]
    parse: Callable[[PayloadT, datetime], Report]
    """Parses verified content at this time. Raises BadRequest if it is malformed or too old"""
    status: int
    """The status of the response to an accepted request"""
    response: ResponseFormat | None = None
    """For a sender that has accounts erased: it expects their receipts. None: an empty response"""
    error: VendorErrorFormat | None = None
    """None: problem documents, as on all other routes"""
