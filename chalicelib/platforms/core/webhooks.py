"""What a platform reports of accounts by itself, without being asked, and how it declares the webhooks it sends."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar

import msgspec

from chalicelib.errors import AppError

BodyT = TypeVar("BodyT")
PayloadT = TypeVar("PayloadT")

AccountId = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,255}\Z")]
"""Printable ASCII, as all platforms name accounts; Google promises at most 255 characters. What else is signed names no
account, and some of it, such as NUL, no column could hold."""

Effect = Literal["revoked", "warning", "erased"]


class AccountEvent(msgspec.Struct, frozen=True):
    """`at` is when it happened, or when the platform says that it told of it. The grants of the account are `revoked`,
    or it is merely `warning` of something; `erased` revokes them as well, and what is known of the account is to go."""

    account_id: str
    at: datetime
    effect: Effect
    code: str
    message: str


class Report(msgspec.Struct, frozen=True):
    """What one request says: events about accounts, as far as this product knows their kind."""

    events: tuple[AccountEvent, ...]
    kinds: tuple[str, ...] = ()
    """For the log, unknown ones included; empty where the sender's name says it all"""


class ErasureReceipt(msgspec.Struct, frozen=True):
    """Of one account that was erased: a code, and where anyone who has it may read the status."""

    code: str
    status_url: str


class ResponseFormat(msgspec.Struct, frozen=True):
    """The JSON that a vendor expects back."""

    make: Callable[[Sequence[ErasureReceipt]], msgspec.Struct]
    shape: type[msgspec.Struct]


class VendorErrorFormat(msgspec.Struct, frozen=True):
    """The JSON in which a vendor expects to be told why a request was refused."""

    make: Callable[[AppError], msgspec.Struct]
    shape: type[msgspec.Struct]


class Verifier(Protocol):
    """Checks signatures with what this product and the platform share: the secrets of our client, their public keys.

    Raises BadRequest for whatever is not signed, and Unavailable while the platform's keys cannot be read.
    """

    def open_signed_request(self, text: str) -> bytes:
        """The JSON that was signed with our client's secret: base64url(HMAC-SHA256) "." base64url(JSON)."""
        ...

    def open_security_event(self, token: str, *, issuer: str, keys_url: str) -> Mapping[str, Any]:
        """The claims of a security event token (RFC 8417) that the issuer signed for our client."""
        ...


class WebhookSender(msgspec.Struct, Generic[BodyT, PayloadT], frozen=True, kw_only=True):
    """A part of a platform that sends webhooks of one format, to /api/webhooks/{platform}/{name}.

    A request is first verified, over what was sent, and only then parsed.
    """

    name: str
    summary: str
    """For the OpenAPI document"""
    accepts: str
    """The media type of the body"""
    body: type[BodyT]
    """A struct of the form's fields, or `bytes` for the body as it was sent"""
    verify: Callable[[BodyT, Verifier], PayloadT]
    parse: Callable[[PayloadT, datetime], Report]
    """Of what was verified, at this time. Raises BadRequest when it is malformed or too old"""
    status: int
    """Of the response to a request that was taken"""
    response: ResponseFormat | None = None
    """Of a sender that has accounts erased: it expects their receipts. None: an empty response"""
    error: VendorErrorFormat | None = None
    """None: problem documents, as everywhere"""
