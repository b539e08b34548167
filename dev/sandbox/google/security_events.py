"""Google's Cross-Account Protection: signed security event tokens, and the keys that verify them.

https://developers.google.com/identity/protocols/risc
"""

import base64
import json
import secrets
import time
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from dev.sandbox.routing import PathValues, Route
from dev.sandbox.wire import Json, Request, Response, as_json

HOST, KEYS_HOST, KEYS_PATH = "accounts.google.com", "www.googleapis.com", "/oauth2/v3/certs"
ISSUER = "https://accounts.google.com/"
KEY_ID = "sandbox-key-1"

RISC = "https://schemas.openid.net/secevent/risc/event-type/"
OAUTH = "https://schemas.openid.net/secevent/oauth/event-type/"


def routes() -> dict[str, tuple[Route, ...]]:
    return {
        HOST: (Route("risc.configuration", "GET", "/.well-known/risc-configuration", _configuration),),
        KEYS_HOST: (Route("oauth2.certs", "GET", KEYS_PATH, _keys),),
    }


def sign(claims: Json, *, key_id: str = KEY_ID, algorithm: str = "RS256") -> str:
    """A token with these claims, signed with the sandbox's Google key."""
    header = {"alg": algorithm, "kid": key_id, "typ": "secevent+jwt"}
    signed = f"{_encoded(header)}.{_encoded(claims)}"
    return f"{signed}.{_base64(_key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def claims(event: str, subject: Json, audience: str, **details: str) -> Json:
    """The claims of one event; `event` is its full type."""
    about = {event: {"subject": subject, **details}}
    issued = {"iss": ISSUER, "aud": audience, "iat": int(time.time()), "jti": secrets.token_hex(16)}
    return {**issued, "events": about}


def user_subject(user_id: str) -> Json:
    return {"subject_type": "iss-sub", "iss": ISSUER, "sub": user_id}


def _configuration(request: Request, _: PathValues) -> Response:
    return as_json(
        {
            "issuer": ISSUER,
            "jwks_uri": f"https://{KEYS_HOST}{KEYS_PATH}",
            "delivery_methods_supported": ["https://schemas.openid.net/secevent/risc/delivery-method/push"],
        }
    )


def _keys(request: Request, _: PathValues) -> Response:
    numbers = _key().public_key().public_numbers()
    key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID, "n": _number(numbers.n), "e": _number(numbers.e)}
    return as_json({"keys": [key]}, headers={"Cache-Control": "public, max-age=20000, must-revalidate, no-transform"})


@cache
def _key() -> rsa.RSAPrivateKey:
    """Generated on first use, because it takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _encoded(value: Json) -> str:
    return _base64(json.dumps(value, separators=(",", ":")).encode())


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
