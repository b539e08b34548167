"""Authentication: the caller of a request, what its key allows, and whether it may send another request now."""

from threading import Lock
from typing import TypeVar
from uuid import UUID

import msgspec

from chalicelib import clock, logs
from chalicelib.data import api_keys as rows
from chalicelib.data.api_keys import ChargedApiKey, StoredApiKey
from chalicelib.data.postgres.database import read, write_repeatable
from chalicelib.errors import Forbidden, TooManyRequests, Unauthorized
from chalicelib.security import api_keys
from chalicelib.security.api_keys import ParsedKey
from chalicelib.services.request_limits import Allowance, Balance, limits_of
from chalicelib.settings import get_settings

T = TypeVar("T")
StoredT = TypeVar("StoredT", bound=StoredApiKey)

CACHE_SECONDS = 5.0
"""How long a key is trusted without a new look-up; a revocation takes effect within this time."""
CACHE_SIZE = 1000


class Caller(msgspec.Struct, frozen=True):
    """The studio that a request acts for, the scopes of its key, and its remaining limits."""

    studio_id: UUID
    key_id: UUID
    scopes: frozenset[str]
    balances: tuple[Balance, ...] = ()

    def require(self, scope: str) -> None:
        """Raises Forbidden, naming the scope."""
        if not api_keys.allows(self.scopes, scope):
            raise Forbidden(f"This requires the scope {scope}, which the API key does not have")


def authenticate(authorization: str | None) -> Caller:
    """The caller that the `Authorization: Bearer ...` header names. Counts as a request of the key and its studio.

    Raises Unauthorized without a reason, TooManyRequests if they have reached their limits.
    """
    return _keys.authenticate(authorization)


def reauthenticate(authorization: str | None) -> None:
    """Looks the key up, bypassing the cache, and counts nothing. Raises Unauthorized as `authenticate` does."""
    parsed = _parse(authorization)
    _check(parsed, read(None, rows.FIND_API_KEY, id=parsed.id))


def forget_callers() -> None:
    """Empties the cache: every key is looked up again."""
    _keys.forget()


class _Known(msgspec.Struct):
    """A key that was looked up."""

    caller: Caller
    allowance: Allowance
    trusted_until: float


class ApiKeyCache:
    """The keys that one container has seen, by the hash of the whole key, so that a hit is a match.

    Rejected keys are cached too: sending an invalid key repeatedly causes no look-ups.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}
        self._wrong: dict[bytes, float] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return max(len(self._known), len(self._wrong))

    def forget(self) -> None:
        with self._lock:
            self._known.clear()
            self._wrong.clear()

    def authenticate(self, authorization: str | None) -> Caller:
        parsed = _parse(authorization)
        with self._lock:
            if self._wrong.get(parsed.secret_hash, 0) > clock.monotonic():
                raise _invalid()
            known = self._known.get(parsed.secret_hash)
            if known is not None and (caller := _admitted(known)) is not None:
                return caller
            uncharged = _take_uncharged(known)
        try:
            stored = _charge(parsed, uncharged)
        except Exception:
            with self._lock:
                _return_uncharged(known, uncharged)
            raise
        return self._judge(parsed, stored)

    def _judge(self, parsed: ParsedKey, stored: ChargedApiKey | None) -> Caller:
        try:
            charged = _check(parsed, stored)
            if charged.key is None or charged.studio is None:
                raise _invalid()  # nothing was charged
        except Unauthorized:
            with self._lock:
                self._known.pop(parsed.secret_hash, None)
                _cache(self._wrong, parsed.secret_hash, clock.monotonic() + CACHE_SECONDS)
            raise
        caller = Caller(charged.studio_id, charged.id, frozenset(charged.scopes))
        with self._lock:
            known = self._known.get(parsed.secret_hash)
            if known is None:
                known = _Known(caller, Allowance(limits_of(get_settings().limits)), 0)
                _cache(self._known, parsed.secret_hash, known)
            known.caller, known.trusted_until = caller, clock.monotonic() + _trusted_seconds(charged)
            known.allowance.note((charged.key, charged.studio))
            _require(known)
            return _with_balances(known)


_keys = ApiKeyCache()


def _parse(authorization: str | None) -> ParsedKey:
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("An API key is required: Authorization: Bearer ansel_...")
    parsed = api_keys.parse(token.strip())
    if parsed is None:
        raise _invalid()
    return parsed


def _charge(parsed: ParsedKey, uncharged: int) -> ChargedApiKey | None:
    key, studio = limits_of(get_settings().limits)
    return write_repeatable(
        None,
        rows.CHARGE_API_KEY,
        id=parsed.id,
        secret_hash=parsed.secret_hash,
        calls=uncharged,
        key_rate=key.per_second,
        key_burst=key.burst,
        studio_rate=studio.per_second,
        studio_burst=studio.burst,
    )


def _check(parsed: ParsedKey, stored: StoredT | None) -> StoredT:
    """Raises Unauthorized unless the secret matches and the key is neither revoked nor expired."""
    if not api_keys.matches(parsed, stored.secret_hash if stored else api_keys.UNKNOWN_HASH) or stored is None:
        raise _invalid()
    if stored.revoked_at is not None or (stored.expires_at is not None and stored.expires_at <= clock.now()):
        raise Unauthorized("The API key is no longer valid")
    return stored


def _invalid() -> Unauthorized:
    return Unauthorized("The API key is not valid")


def _admitted(known: _Known) -> Caller | None:
    """None if the key must be looked up."""
    if known.trusted_until <= clock.monotonic():
        return None
    _require(known)
    return _with_balances(known) if known.allowance.admit() else None


def _require(known: _Known) -> None:
    """Raises TooManyRequests while the key or its studio may not send; the log names the studio."""
    try:
        known.allowance.require()
    except TooManyRequests:
        logs.bind(studio_id=known.caller.studio_id)
        raise


def _with_balances(known: _Known) -> Caller:
    return msgspec.structs.replace(known.caller, balances=known.allowance.balances())


def _take_uncharged(known: _Known | None) -> int:
    """Requests that were admitted but not charged yet: the coming look-up charges them."""
    if known is None:
        return 0
    uncharged, known.allowance.uncharged = known.allowance.uncharged, 0
    return uncharged


def _return_uncharged(known: _Known | None, uncharged: int) -> None:
    if known is not None:
        known.allowance.uncharged += uncharged


def _trusted_seconds(stored: StoredApiKey) -> float:
    if stored.expires_at is None:
        return CACHE_SECONDS
    return min(CACHE_SECONDS, (stored.expires_at - clock.now()).total_seconds())


def _cache(entries: dict[bytes, T], key: bytes, value: T) -> None:
    if len(entries) >= CACHE_SIZE:
        entries.clear()
    entries[key] = value
