"""Signatures between servers: webhooks signed for a studio, and the requests that Meta and Google sign for us."""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec

from chalicelib.errors import BadRequest
from chalicelib.secret import Secret

SECRET_PREFIX = "whsec_"  # noqa: S105  how the secrets of Standard Webhooks begin
SECRET_BYTES = 32
LEEWAY = timedelta(minutes=5)
"""How far somebody else's clock may be ahead of ours."""
REQUIRED_CLAIMS = ["iss", "aud", "iat", "jti", "events"]
"""`events` also tells a security event from an ID token, which the same keys sign (RFC 8417, 4.5)."""


class _SignedHead(msgspec.Struct):
    algorithm: str


def new_webhook_secret() -> Secret:
    """As Standard Webhooks writes symmetric secrets: `whsec_` and the Base64 of 24 to 64 bytes."""
    return Secret(SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def sign_webhook(secret: Secret, *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that prove a webhook's origin and age: github.com/standard-webhooks, spec/standard-webhooks.md."""
    timestamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.reveal().removeprefix(SECRET_PREFIX))
    signature = hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def open_signed_request(text: str, keys: Sequence[Secret]) -> bytes:
    """The JSON inside Meta's `signed_request`: base64url(HMAC-SHA256 of the payload as sent) "." base64url(payload).

    Any of the keys may have signed it. Raises BadRequest. Source: developers.facebook.com, "Data Deletion Request
    Callback".
    """
    signature, _, payload = text.partition(".")
    try:
        given, opened = _from_base64url(signature), _from_base64url(payload)
        algorithm = msgspec.json.decode(opened, type=_SignedHead).algorithm
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise _bad_request("The signed request is malformed") from error
    if algorithm.upper() != "HMAC-SHA256":
        raise _bad_request("The signed request is not signed with HMAC-SHA256")
    made = (hmac.digest(key.reveal().encode(), payload.encode(), sha256) for key in keys)
    if not any(hmac.compare_digest(given, each) for each in made):
        raise _bad_request("The signature does not fit the signed request")
    return opened


def key_id_of(token: str) -> str:
    """Which key a signed token says it was signed with; nothing of it is proved yet. Raises BadRequest."""
    import jwt

    try:
        return str(jwt.get_unverified_header(token)["kid"])
    except (jwt.InvalidTokenError, KeyError) as error:
        raise BadRequest("The security event token is malformed", code="invalid_request") from error


def open_security_event(token: str, key: Mapping[str, Any], *, issuer: str, audiences: Sequence[str]) -> dict[str, Any]:
    """The claims of a security event token (RFC 8417) that `key`, a JSON Web Key, has signed with RS256.

    It tells of the past and does not expire. Raises BadRequest with the error code that RFC 8935, 2.4 has for it.
    """
    import jwt

    try:
        return jwt.decode(
            token,
            jwt.PyJWK.from_dict(dict(key), algorithm="RS256"),
            algorithms=["RS256"],
            audience=list(audiences),
            issuer=issuer,
            leeway=LEEWAY,
            options={"verify_exp": False, "require": REQUIRED_CLAIMS},
        )
    except jwt.InvalidAudienceError as error:
        raise BadRequest("The audience is not one of ours", code="invalid_audience") from error
    except jwt.InvalidIssuerError as error:
        raise BadRequest("The issuer is not the one expected", code="invalid_issuer") from error
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
        raise BadRequest("The signature does not fit the token", code="authentication_failed") from error
    except jwt.InvalidTokenError as error:
        raise BadRequest("The security event token is malformed", code="invalid_request") from error
    except (jwt.PyJWKError, jwt.InvalidKeyError, ValueError) as error:
        raise BadRequest("The key cannot be used", code="invalid_key") from error


def _from_base64url(text: str) -> bytes:
    if not text:
        raise ValueError("there is nothing to decode")
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)


def _bad_request(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_signed_request")
