"""API keys: creating, listing, rotating and revoking them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from chalicelib import clock
from chalicelib.data import api_keys as rows
from chalicelib.data.api_keys import ApiKey, LockedApiKey
from chalicelib.data.postgres.database import Transaction, read, transaction, write
from chalicelib.data.studios import NEW_ID
from chalicelib.errors import Conflict, FieldProblem, InvalidInput, NotFound
from chalicelib.secret import Secret
from chalicelib.security import api_keys
from chalicelib.security.api_keys import NewApiKey


def create_api_key(studio_id: UUID, name: str, scopes: Sequence[str], *, expires_at: datetime | None = None) -> Secret:
    """Creates a key and returns it; this is the only time it can be read."""
    return make_api_key(studio_id, name, scopes, expires_at).token


def make_api_key(studio_id: UUID, name: str, scopes: Sequence[str], expires_at: datetime | None) -> NewApiKey:
    """The same, with the key's id."""
    for index, scope in enumerate(scopes):
        if scope not in api_keys.SCOPES:
            known = ", ".join(api_keys.SCOPES)
            raise InvalidInput(fields=[FieldProblem(f"scopes[{index}]", f"must be one of {known}")])
    key = new_api_key()
    with transaction(studio_id) as tx:
        add_api_key(tx, key, studio_id, name, scopes, expires_at)
    return key


def new_api_key() -> NewApiKey:
    return api_keys.new_api_key(read(None, NEW_ID).id)


def add_api_key(
    tx: Transaction, key: NewApiKey, studio_id: UUID, name: str, scopes: Sequence[str], expires_at: datetime | None
) -> None:
    """Raises InvalidInput for an expiry in the past."""
    if expires_at is not None and expires_at <= clock.now():
        raise InvalidInput(fields=[FieldProblem("expiresAt", "must be in the future")])
    tx.run(
        rows.INSERT_API_KEY,
        id=key.id,
        studio_id=studio_id,
        name=name,
        secret_hash=key.secret_hash,
        scopes=list(scopes),
        expires_at=expires_at,
    )


def list_api_keys(studio_id: UUID) -> list[ApiKey]:
    return read(studio_id, rows.LIST_API_KEYS)


def rotate_api_key(
    studio_id: UUID, key_id: UUID, *, grace_hours: int, expires_at: datetime | None = None
) -> tuple[NewApiKey, ApiKey]:
    """Creates a key with the name and scopes of this one, which expires after the grace period; returns both.

    Raises Conflict if the old key is no longer valid, InvalidInput if it has an expiry and the new one has none.
    """
    key = new_api_key()
    with transaction(studio_id) as tx:
        old = tx.run(rows.LOCK_API_KEY, id=key_id)
        ending = tx.run(rows.END_API_KEY, id=key_id, hours=grace_hours)
        if old is None or ending is None:
            raise NotFound("API key not found")
        _check_replaceable(old, expires_at)
        add_api_key(tx, key, studio_id, old.name, old.scopes, expires_at)
    return key, ending


def _check_replaceable(key: LockedApiKey, expires_at: datetime | None) -> None:
    if key.ended:
        raise Conflict("The API key is no longer valid; create another one", code="api_key_ended")
    if key.expires_at is not None and expires_at is None:
        raise InvalidInput(fields=[FieldProblem("expiresAt", "is required, because the old key has an expiry too")])


def revoke_api_key(studio_id: UUID, key_id: UUID) -> None:
    if write(studio_id, rows.REVOKE_API_KEY, id=key_id) is None:
        raise NotFound("API key not found")
