"""Signatures between servers: webhooks signed for a studio, and the requests that Meta and Google sign for us."""

import base64
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Annotated, Any

import msgspec

from chalicelib import clock
from chalicelib.errors import BadRequest
from chalicelib.secret import Secret

SECRET_PREFIX = "whsec_"  # noqa: S105  how the secrets of Standard Webhooks begin
SECRET_BYTES = 32
LEEWAY = timedelta(minutes=5)
"""How far another system's clock may be ahead of ours."""
EVENT_ALGORITHM = "RS256"
MAX_TOKEN_LENGTH = 32 * 1024
"""Characters; a token of a few events has one or two thousand."""
MAX_HEADER_LENGTH = 2048
"""Characters of a token's header, which has to be parsed before the signature is verified."""

_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""Errors of decoding Base64 and JSON, including invalid UTF-8 and excessive nesting."""


class _SignedPayload(msgspec.Struct):
    algorithm: str


class _TokenHeader(msgspec.Struct):
    alg: str
    kid: str


class _Claims(msgspec.Struct):
    """`events` also distinguishes a security event from an ID token, which the same keys sign (RFC 8417, 4.5)."""

    iss: str
    aud: str | list[str]
    iat: Annotated[int, msgspec.Meta(ge=0)]
    jti: str
    events: dict[str, dict[str, Any]]


def new_webhook_secret() -> Secret:
    """In the format of Standard Webhooks: `whsec_` and the Base64 of 24 to 64 bytes."""
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

    Any of the keys may have signed it, and the payload is not decoded before that is verified. Raises BadRequest.
    Source: developers.facebook.com, "Data Deletion Request Callback".
    """
    signature, _, payload = text.partition(".")
    try:
        mac, signed = _from_base64url(signature), payload.encode("ascii")
    except ValueError as error:
        raise _bad_request("The signed request is malformed") from error
    expected = [hmac.digest(key.reveal().encode(), signed, sha256) for key in keys]
    matches = [hmac.compare_digest(mac, each) for each in expected]  # all, so that timing does not reveal which one
    if not any(matches):
        raise _bad_request("The signature does not match the signed request")
    try:
        opened = _from_base64url(payload)
        algorithm = msgspec.json.decode(opened, type=_SignedPayload).algorithm
    except _UNREADABLE as error:
        raise _bad_request("The signed request is malformed") from error
    if algorithm.upper() != "HMAC-SHA256":
        raise _bad_request("The signed request is not signed with HMAC-SHA256")
    return opened


def key_id_of(token: str) -> str:
    """The key that a token claims to be signed with. Nothing is verified yet, so only the header is parsed, up to a
    limit. Raises BadRequest, as `open_security_event` does."""
    header = token.partition(".")[0]
    if len(token) > MAX_TOKEN_LENGTH or len(header) > MAX_HEADER_LENGTH:
        raise _bad_event("The security event token is too long")
    try:
        parsed = msgspec.json.decode(_from_base64url(header), type=_TokenHeader)
    except _UNREADABLE as error:
        raise _bad_event("The security event token is malformed") from error
    if parsed.alg != EVENT_ALGORITHM:
        raise _bad_event("The token is not signed with RS256", code="authentication_failed")
    return parsed.kid


def open_security_event(token: str, key: Mapping[str, Any], *, issuer: str, audiences: Sequence[str]) -> dict[str, Any]:
    """The claims of a security event token (RFC 8417) that `key`, a JSON Web Key, has signed with RS256.

    It reports a past event and does not expire. Raises BadRequest with the error code of RFC 8935, 2.4.
    """
    payload = _verified(token, key)
    try:
        opened = msgspec.json.decode(payload, type=dict[str, Any])
        claims = msgspec.convert(opened, _Claims)
    except _UNREADABLE as error:
        raise _bad_event("The security event token is malformed") from error
    if claims.iss != issuer:
        raise _bad_event("The issuer is not the expected one", code="invalid_issuer")
    if set(audiences).isdisjoint([claims.aud] if isinstance(claims.aud, str) else claims.aud):
        raise _bad_event("The audience is not one of ours", code="invalid_audience")
    if claims.iat > (clock.now() + LEEWAY).timestamp():
        raise _bad_event("The security event token is dated in the future")
    return opened


def _verified(token: str, key: Mapping[str, Any]) -> bytes:
    """The signed payload, not parsed yet."""
    import jwt

    try:
        public_key = jwt.PyJWK.from_dict(dict(key), algorithm=EVENT_ALGORITHM)
    except (jwt.PyJWKError, jwt.InvalidKeyError, ValueError) as error:
        raise _bad_event("The key cannot be used", code="invalid_key") from error
    verifier = jwt.PyJWS(algorithms=[EVENT_ALGORITHM], options={"enforce_minimum_key_length": True})
    try:
        payload: bytes = verifier.decode_complete(token, public_key, algorithms=[EVENT_ALGORITHM])["payload"]
    except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as error:
        raise _bad_event("The signature does not match the token", code="authentication_failed") from error
    except (jwt.InvalidTokenError, ValueError) as error:
        raise _bad_event("The security event token is malformed") from error
    except jwt.InvalidKeyError as error:
        raise _bad_event("The key cannot be used", code="invalid_key") from error
    return payload


def _from_base64url(text: str) -> bytes:
    if not text:
        raise ValueError("there is nothing to decode")
    return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)


def _bad_request(message: str) -> BadRequest:
    return BadRequest(message, code="invalid_signed_request")


def _bad_event(message: str, *, code: str = "invalid_request") -> BadRequest:
    return BadRequest(message, code=code)
