"""The lifetime of Meta's tokens.

developers.facebook.com/docs/facebook-login/guides/access-tokens
"""

from urllib.parse import urlencode

import msgspec

from chalicelib import clock
from chalicelib.errors import ContractChanged
from chalicelib.platforms.core.decoding import decode
from chalicelib.platforms.core.faults import Fault
from chalicelib.platforms.core.transport import Transport
from chalicelib.platforms.core.urls import url_of
from chalicelib.platforms.meta.errors import classify
from chalicelib.platforms.meta.graph import BASE_URL
from chalicelib.secret import Secret

DEBUG_TOKEN_URL = url_of(f"{BASE_URL}/debug_token")


class Inspected(msgspec.Struct, frozen=True):
    """Seconds since 1970; 0 for a token that never expires."""

    expires_at: int | None = None


class Inspection(msgspec.Struct, frozen=True):
    data: Inspected


def find_lifetime(transport: Transport, client_id: str, client_secret: Secret, token: Secret) -> int | None:
    """A token's remaining seconds, None if it never expires, for exchanges that do not report a lifetime."""
    fields = {"input_token": token.reveal(), "access_token": f"{client_id}|{client_secret.reveal()}"}
    response = transport.send("GET", DEBUG_TOKEN_URL.with_query(urlencode(fields)), headers={})
    inspection = decode(response.body, Inspection) if response.ok else classify(response)
    if isinstance(inspection, Fault):
        raise transport.error(inspection, "GET", DEBUG_TOKEN_URL, response)
    if inspection.data.expires_at is None:
        raise transport.error(Fault(ContractChanged, "no expires_at"), "GET", DEBUG_TOKEN_URL, response)
    if inspection.data.expires_at == 0:
        return None
    return max(0, inspection.data.expires_at - int(clock.now().timestamp()))
