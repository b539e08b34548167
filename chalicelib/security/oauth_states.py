"""The secrets of an authorization, 256 random bits each: the state, the PKCE verifier, and the completion code.

State and code are stored as hashes only.
"""

import re
import secrets
from hashlib import sha256
from typing import NamedTuple

from chalicelib.secret import Secret

_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


class NewState(NamedTuple):
    """`state` travels through the browser, `hash` is stored."""

    state: Secret
    hash: bytes


class NewCode(NamedTuple):
    """`code` is shown once, `hash` is stored."""

    code: Secret
    hash: bytes


def new_state() -> NewState:
    state = secrets.token_urlsafe(32)
    return NewState(Secret(state), _hash(b"oauth-state", state))


def parse_state(text: str) -> bytes | None:
    """The hash to look it up by; None for anything that `new_state` cannot have generated."""
    return _hash(b"oauth-state", text) if _STATE.fullmatch(text) else None


def new_verifier() -> Secret:
    """43 characters, as RFC 7636, 4.1 recommends."""
    return Secret(secrets.token_urlsafe(32))


def new_completion_code() -> NewCode:
    code = Secret(secrets.token_urlsafe(32))
    return NewCode(code, hash_completion_code(code))


def hash_completion_code(code: Secret) -> bytes:
    return _hash(b"completion-code", code.reveal())


def _hash(purpose: bytes, text: str) -> bytes:
    # The prefix separates it from every other SHA-256 in the product.
    return sha256(b"ansel/" + purpose + b"/v1\0" + text.encode("utf-8", "surrogatepass")).digest()
