"""Meta's reports about its users: one has removed this application, or wants their data deleted.

Sources: developers.facebook.com, "Manually Build a Login Flow" (deauthorize callback) and "Data Deletion Request
Callback".
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from chalicelib.errors import BadRequest
from chalicelib.platforms.core.webhooks import (
    AccountEvent,
    AccountId,
    Effect,
    ErasureReceipt,
    Report,
    ResponseFormat,
    Verifier,
    WebhookSender,
)

MEDIA_TYPE = "application/x-www-form-urlencoded"

OLDEST = timedelta(days=1)
"""Meta signs its requests when it sends them; an older one is a replay."""
CLOCKS_APART = timedelta(minutes=5)


class SignedRequest(msgspec.Struct):
    """The form that Meta posts. Other fields are ignored."""

    signed_request: str
    """Base64url of the HMAC-SHA256 under the app's secret, a dot, and base64url of the signed JSON."""


class DeletionReceipt(msgspec.Struct):
    """Where the user can follow the status of the request, in the format that Meta requires."""

    url: str
    """Where the status of the deletion can be read, without a key."""
    confirmation_code: str
    """The code at the end of that URL."""


class _Payload(msgspec.Struct):
    user_id: AccountId
    issued_at: int
    expires: int = 0


def verify(form: SignedRequest, verifier: Verifier) -> bytes:
    """The JSON of a signed request with a valid signature. Raises BadRequest."""
    return verifier.open_signed_request(form.signed_request)


def parse_deauthorization(signed: bytes, now: datetime) -> Report:
    """Raises BadRequest if it is malformed or too old."""
    return _parse(signed, now, "revoked")


def parse_deletion(signed: bytes, now: datetime) -> Report:
    """Raises BadRequest if it is malformed or too old."""
    return _parse(signed, now, "erased")


def make_receipt(receipts: Sequence[ErasureReceipt]) -> DeletionReceipt:
    """A request is about one user."""
    (receipt,) = receipts
    return DeletionReceipt(url=receipt.status_url, confirmation_code=receipt.code)


def _parse(signed: bytes, now: datetime, effect: Effect) -> Report:
    try:
        request = msgspec.json.decode(signed, type=_Payload)
        issued_at = datetime.fromtimestamp(request.issued_at, UTC)
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise _refused("The signed request is malformed") from error
    if not now - OLDEST <= issued_at <= now + CLOCKS_APART or 0 < request.expires <= now.timestamp():
        raise _refused("The signed request has expired")
    message = "This application was removed from the Meta account"
    return Report((AccountEvent(request.user_id, issued_at, effect, "deauthorized", message),))


def _refused(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_signed_request")


DEAUTHORIZE = WebhookSender(
    name="deauthorize",
    summary="Receive Meta's deauthorize callback: a user has removed the application",
    accepts=MEDIA_TYPE,
    body=SignedRequest,
    verify=verify,
    parse=parse_deauthorization,
    status=204,
)
DATA_DELETION = WebhookSender(
    name="data-deletion",
    summary="Receive Meta's data deletion request: tokens and the account's id and name are erased",
    accepts=MEDIA_TYPE,
    body=SignedRequest,
    verify=verify,
    parse=parse_deletion,
    status=200,
    response=ResponseFormat(make_receipt, DeletionReceipt),
)
