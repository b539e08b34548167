"""The studio of a transaction, and the proof of it that row-level security demands: docs/security.md.

A proof is the HMAC-SHA-256 of a studio's id. The policies verify it with `cross_tenant.current_studio()`, whose key no
login role of the product can read; so a statement that names another studio cannot prove it.
"""

import hmac
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from chalicelib.errors import SettingsError
from chalicelib.secret import Secret
from chalicelib.secret_store import forget_secret, get_secret
from chalicelib.settings import TenantProof, get_settings, parse_proof_keys

FIELD = "TENANT_PROOF_KEYS"
BLOCK_BYTES = 64
"""The block size of SHA-256: HMAC pads a key to it (RFC 2104)."""
SET_STUDIO = (
    "SELECT WHERE set_config('app.studio_id', $1, true) || set_config('app.studio_proof', $2, true)"
    " || set_config('app.actor', $3, true) IS NULL"
)
"""Returns no row. The last one is the actor recorded for the transaction's changes: data/audit.py.

The values are parameters: other sessions of the role can read the text of a running statement.
"""
TRUSTED = timedelta(seconds=30)
"""A key read this recently is not read again because of a rejected proof."""


def studio_settings(studio_id: UUID | None) -> tuple[str, str]:
    """The values of `app.studio_id` and `app.studio_proof`: empty for no studio."""
    if studio_id is None:
        return "", ""
    studio = UUID(str(studio_id))
    return str(studio), proof_of(studio, proof_keys(get_settings().tenant_proof)[0])


def proof_of(studio_id: UUID, key: Secret) -> str:
    return hmac.digest(_key_bytes(key), studio_id.bytes, "sha256").hex()


def proof_keys(source: TenantProof, *, bypass_cache: bool = False) -> tuple[Secret, ...]:
    """The keys that the database should accept; proofs are made with the first. Raises SettingsError or Unavailable."""
    if source.keys:
        return source.keys
    if not source.secret_arn:
        raise SettingsError(f"Neither {FIELD} nor TENANT_PROOF_SECRET_ARN is set")
    fields = get_secret(source.secret_arn, bypass_cache=bypass_cache)
    if FIELD not in fields:
        raise SettingsError(f"The secret {source.secret_arn} has no {FIELD}")
    return parse_proof_keys(fields[FIELD].reveal())


def doubt_proof_keys() -> None:
    """After the database rejected a proof: the next one is made with the secret's current content."""
    if arn := get_settings().tenant_proof.secret_arn:
        forget_secret(arn, older_than=TRUSTED)


def fingerprint_of(key: Secret) -> str:
    """A name for a key that reveals nothing of it."""
    return sha256(b"ansel/tenant-proof-key/v1\0" + _key_bytes(key)).hexdigest()[:16]


def pads_of(key: Secret) -> tuple[bytes, bytes]:
    """What SQL needs to compute the same HMAC with `sha256()` alone: the key, combined with HMAC's two constants."""
    filled = _key_bytes(key).ljust(BLOCK_BYTES, b"\0")
    return bytes(byte ^ 0x36 for byte in filled), bytes(byte ^ 0x5C for byte in filled)


def _key_bytes(key: Secret) -> bytes:
    text = key.reveal().encode()
    return text if len(text) <= BLOCK_BYTES else sha256(text).digest()
