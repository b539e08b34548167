"""Self-contained opaque tokens, so that a restarted sandbox still accepts those it issued before."""

import base64
import hashlib
import hmac
import json

from dev.sandbox.wire import Json

# Not a secret: it only makes a mistyped or invented token fail as a real one would.
KEY = b"ansel platform sandbox"
MAC_BYTES = 12


def seal(kind: str, claims: Json, *, prefix: str = "") -> str:
    """A token of this kind; `unseal` of another kind does not accept it."""
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return prefix + base64.urlsafe_b64encode(_mac(kind, payload) + payload).rstrip(b"=").decode()


def unseal(kind: str, token: str, *, prefix: str = "") -> Json | None:
    """The token's claims, or None if it is not one of ours."""
    if not token.startswith(prefix):
        return None
    text = token.removeprefix(prefix)
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    mac, payload = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(kind, payload)):
        return None
    claims: Json = json.loads(payload)
    return claims


def _mac(kind: str, payload: bytes) -> bytes:
    return hmac.digest(KEY, kind.encode() + b"\0" + payload, hashlib.sha256)[:MAC_BYTES]
