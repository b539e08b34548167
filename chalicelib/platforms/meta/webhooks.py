"""What Meta tells of its users: that one has removed this application, or wants its data deleted.

Sources: developers.facebook.com, "Manually Build a Login Flow" (deauthorize callback) and "Data Deletion Request
Callback".
"""

from datetime import UTC, datetime, timedelta

import msgspec

from chalicelib.errors import BadRequest
from chalicelib.platforms.webhooks import AccountEvent, AccountId

OLDEST = timedelta(days=1)
"""Meta signs its requests as it sends them; an older one is replayed by somebody else."""
CLOCKS_APART = timedelta(minutes=5)


class _SignedRequest(msgspec.Struct):
    user_id: AccountId
    issued_at: int
    expires: int = 0


def parse_event(signed: bytes, now: datetime) -> AccountEvent:
    """The event in a signed request whose signature is good. Raises BadRequest when it is malformed or too old."""
    try:
        request = msgspec.json.decode(signed, type=_SignedRequest)
        issued_at = datetime.fromtimestamp(request.issued_at, UTC)
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError, RecursionError) as error:
        raise _refused("The signed request is malformed") from error
    if not now - OLDEST <= issued_at <= now + CLOCKS_APART or 0 < request.expires <= now.timestamp():
        raise _refused("The signed request has expired")
    return AccountEvent(
        request.user_id, issued_at, "revoked", "deauthorized", "The application was removed in the Meta account"
    )


def _refused(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_signed_request")
