"""The keys for tenant proofs: registering them in the database, replacing them, and comparing both sides."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib import clock, logs
from chalicelib.data.postgres.connect import connect
from chalicelib.data.postgres.driver import PgConnection, sqlstate
from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Row
from chalicelib.data.postgres.tenants import fingerprint_of, pads_of, proof_keys
from chalicelib.data.tenant_keys import APPLY_TENANT_KEYS, LIST_TENANT_KEYS, AppliedKeys, KeyPads, TenantKey
from chalicelib.errors import Conflict, Unavailable
from chalicelib.secret import Secret
from chalicelib.settings import get_owner_login, get_tenant_proof

T = TypeVar("T")

IN_USE_ELSEWHERE = timedelta(minutes=20)
"""After a new key is first in the secret, containers use the old one for five minutes, invocations for fifteen."""
UNDEFINED_TABLE = "42P01"


class TenantKeysStatus(Row):
    """The keys that the configuration lists, the one in use first, and those that the database accepts."""

    listed: list[str]
    accepted: list[TenantKey]
    fits: bool
    """Whether the database accepts the key in use"""


class AppliedTenantKeys(TenantKeysStatus):
    added: int
    removed: int


def get_tenant_keys_status() -> TenantKeysStatus:
    with _as_owner() as owner:
        return _status(_listed(), _list_accepted(owner))


def apply_tenant_keys(*, force: bool = False) -> AppliedTenantKeys:
    """Makes the database accept exactly the listed keys.

    Raises Conflict if this would remove a key that containers may still use, unless forced.
    """
    with _as_owner() as owner:
        listed = _listed()
        if not force:
            _check_unused(listed, _list_accepted(owner))
        applied = _apply(owner, listed, only_these=True)
        status = _status(listed, _list_accepted(owner))
    logs.event("tenant_keys.applied", added=applied.added, removed=applied.removed)
    return AppliedTenantKeys(
        listed=status.listed,
        accepted=status.accepted,
        fits=status.fits,
        added=applied.added,
        removed=applied.removed,
    )


def apply_keys(owner: PgConnection, *, only_these: bool) -> AppliedKeys:
    return _apply(owner, _listed(), only_these=only_these)


def _apply(owner: PgConnection, listed: Sequence[Secret], *, only_these: bool) -> AppliedKeys:
    return _run(owner, APPLY_TENANT_KEYS, keys=[_prepared(key) for key in listed], only_these=only_these)


def _listed() -> Sequence[Secret]:
    """The secret's current keys, the one in use first."""
    return proof_keys(get_tenant_proof(), bypass_cache=True)


def _prepared(key: Secret) -> KeyPads:
    inner, outer = pads_of(key)
    return KeyPads(fingerprint=fingerprint_of(key), inner_pad=inner.hex(), outer_pad=outer.hex())


def _check_unused(listed: Sequence[Secret], accepted: list[TenantKey]) -> None:
    fingerprints = [fingerprint_of(key) for key in listed]
    if all(key.fingerprint in fingerprints for key in accepted):
        return
    since = next((key.in_use_since for key in accepted if key.fingerprint == fingerprints[0]), None)
    if since is None or clock.now() - since < IN_USE_ELSEWHERE:
        minutes = IN_USE_ELSEWHERE // timedelta(minutes=1)
        raise Conflict(
            f"The other key may still be in use: list it second, apply, and remove it {minutes} minutes later",
            code="tenant_key_in_use",
        )


def _status(listed: Sequence[Secret], accepted: list[TenantKey]) -> TenantKeysStatus:
    fingerprints = [fingerprint_of(key) for key in listed]
    fits = any(key.fingerprint == fingerprints[0] for key in accepted)
    return TenantKeysStatus(listed=fingerprints, accepted=accepted, fits=fits)


def _list_accepted(owner: PgConnection) -> list[TenantKey]:
    try:
        return _run(owner, LIST_TENANT_KEYS)
    except DatabaseError as error:
        if sqlstate(error) != UNDEFINED_TABLE:
            raise
        raise Conflict("The database has no table of keys yet: apply the migrations", code="schema_behind") from error


def _run(owner: PgConnection, query: Query[T], **params: Any) -> T:
    return query.decode(owner.pipeline(query.sql, query.values(params)))


@contextmanager
def _as_owner() -> Iterator[PgConnection]:
    try:
        owner = connect(get_owner_login())
        try:
            yield owner
        finally:
            owner.close()
    except (InterfaceError, OSError) as error:
        raise Unavailable("The database cannot be reached", internal=str(error)) from error
