"""Meta's tokens: how long one lives, and what refusals of its token endpoint mean.

developers.facebook.com/docs/facebook-login/guides/access-tokens, .../guides/advanced/manual-flow
"""

from urllib.parse import urlencode

import msgspec

from chalicelib import clock
from chalicelib.errors import ContractChanged, Misconfigured, ReconnectRequired, TokenRevoked
from chalicelib.platforms.client import decode
from chalicelib.platforms.faults import Fault
from chalicelib.platforms.meta.graph import BASE_URL
from chalicelib.platforms.meta.refusals import classify, read_problem
from chalicelib.platforms.transport import Response, Transport
from chalicelib.secret import Secret

DEBUG_TOKEN_URL = f"{BASE_URL}/debug_token"

# The code of a consent is too old, or was used already.
DEAD_CODES = frozenset({(100, 36007), (100, 36009)})
# The redirect URI is not the one of the dialog; the application is unknown.
OWN_FAULTS = frozenset({(100, 36008), (101, 0)})
# A code that is none: tampered with on its way, say.
NO_CODE = "invalid verification code"
# A wrong secret comes under code 1, which means a passing fault everywhere else.
WRONG_SECRET = "validating client secret"  # noqa: S105 - Meta's words


class Inspected(msgspec.Struct, frozen=True):
    """Seconds since 1970; 0 for a token that never ends."""

    expires_at: int | None = None


class Inspection(msgspec.Struct, frozen=True):
    data: Inspected


def find_lifetime(transport: Transport, client_id: str, client_secret: Secret, token: Secret) -> int | None:
    """The seconds a token has left, None for one that never ends: some exchanges do not tell."""
    fields = {"input_token": token.reveal(), "access_token": f"{client_id}|{client_secret.reveal()}"}
    response = transport.send("GET", f"{DEBUG_TOKEN_URL}?{urlencode(fields)}", headers={})
    told = decode(response.body, Inspection) if response.ok else Fault(classify(response).kind)
    if isinstance(told, Fault):
        raise transport.error(told, "GET", DEBUG_TOKEN_URL, response.status)
    if told.data.expires_at is None:
        raise transport.error(Fault(ContractChanged, "no expires_at"), "GET", DEBUG_TOKEN_URL, response.status)
    if told.data.expires_at == 0:
        return None
    return max(0, told.data.expires_at - int(clock.now().timestamp()))


def classify_token_refusal(response: Response) -> Fault:
    """As of any other answer, but that a code or token that cannot be exchanged any more has ended the grant."""
    fault, problem = classify(response), read_problem(response)
    place, message = (problem.code, problem.error_subcode), problem.message.lower()
    if place in OWN_FAULTS or WRONG_SECRET in message:
        return msgspec.structs.replace(fault, kind=Misconfigured)
    if place in DEAD_CODES or NO_CODE in message or issubclass(fault.kind, ReconnectRequired):
        return msgspec.structs.replace(fault, kind=TokenRevoked)
    return fault
