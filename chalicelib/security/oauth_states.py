"""The state and the PKCE verifier of a consent: 256 random bits each, of which a state is stored as a hash only."""

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


def new_state() -> NewState:
    state = secrets.token_urlsafe(32)
    return NewState(Secret(state), _hash(state))


def parse_state(text: str) -> bytes | None:
    """The hash to find it by; None for what `new_state` never makes, which need not be looked for."""
    return _hash(text) if _STATE.fullmatch(text) else None


def new_verifier() -> Secret:
    """43 characters, as RFC 7636, 4.1 recommends."""
    return Secret(secrets.token_urlsafe(32))


def _hash(state: str) -> bytes:
    # The prefix keeps it apart from every other SHA-256 of the product.
    return sha256(b"ansel/oauth-state/v1\0" + state.encode()).digest()
