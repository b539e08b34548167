"""API keys: `ansel_<id>_<secret>`, of which only a hash is stored, and the scopes they carry."""

import hmac
import re
import secrets
from collections.abc import Collection
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec

from chalicelib.secret import Secret

ADMIN = "admin"
SCOPES = ("connections:read", "connections:write", "sync:read", "sync:write", "metrics:read", ADMIN)

UNKNOWN_HASH = bytes(32)
"""Compared with when the key id is unknown, so that it takes as long as a wrong secret; no key hashes to it."""

_GRAMMAR = re.compile(r"ansel_([0-9a-f]{32})_([0-9a-f]{64})")


class NewApiKey(NamedTuple):
    """`token` is shown once, `secret_hash` is stored."""

    id: UUID
    token: Secret
    secret_hash: bytes


class ParsedKey(msgspec.Struct, frozen=True):
    id: UUID
    secret_hash: bytes

    def __repr__(self) -> str:
        return f"ParsedKey({self.id})"


def new_api_key(id: UUID | None = None) -> NewApiKey:
    id = id or uuid4()
    secret = secrets.token_hex(32)
    return NewApiKey(id, Secret(f"ansel_{id.hex}_{secret}"), _hash(id, secret))


def parse(text: str) -> ParsedKey | None:
    """None unless it is exactly in the format of `new_api_key`; a bearer credential has one spelling."""
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        return None
    id = UUID(hex=match[1])
    return ParsedKey(id, _hash(id, match[2]))


def matches(parsed: ParsedKey, stored_hash: bytes) -> bool:
    """In constant time. Compare with UNKNOWN_HASH if the key does not exist."""
    return hmac.compare_digest(parsed.secret_hash, stored_hash)


def allows(granted: Collection[str], needed: str) -> bool:
    """Whether a key with these scopes may do what requires `needed`; no key has a scope that does not exist."""
    return needed in SCOPES and (ADMIN in granted or needed in granted)


def _hash(id: UUID, secret: str) -> bytes:
    # A fast hash is enough: slow ones make guessing passwords expensive, but 256 random bits cannot be guessed.
    # The prefix separates it from every other SHA-256 in the product; the id binds the hash to its row.
    return sha256(b"ansel/api-key/v1\0" + id.bytes + secret.encode()).digest()
