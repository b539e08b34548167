"""Authentication: who is asking, what the key allows, and whether it may send another request now."""

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
"""How long a key that was just seen is trusted unseen; a revocation takes effect within it."""
CACHE_SIZE = 1000


class Caller(msgspec.Struct, frozen=True):
    """The studio a request acts for, the scopes of its key, and what it may still send."""

    studio_id: UUID
    key_id: UUID
    scopes: frozenset[str]
    balances: tuple[Balance, ...] = ()

    def require(self, scope: str) -> None:
        """Raises Forbidden naming the scope."""
        if not api_keys.allows(self.scopes, scope):
            raise Forbidden(f"This needs the scope {scope}, which the API key does not have")


def authenticate(authorization: str | None) -> Caller:
    """Who the `Authorization: Bearer ...` header speaks for. Counts as a request of the key and its studio.

    Raises Unauthorized without telling why it does not, TooManyRequests when they may send no more for now.
    """
    return _keys.authenticate(authorization)


def reauthenticate(authorization: str | None) -> None:
    """Looks the key up whatever was just seen, and counts nothing. Raises Unauthorized as `authenticate` does."""
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

    Keys that were refused are remembered as well: whoever sends a wrong one again and again costs no look-ups.
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
            uncharged = _taken(known)
        try:
            stored = _charge(parsed, uncharged)
        except Exception:
            with self._lock:
                _give_back(known, uncharged)
            raise
        return self._judge(parsed, stored)

    def _judge(self, parsed: ParsedKey, stored: ChargedApiKey | None) -> Caller:
        try:
            found = _check(parsed, stored)
            if found.key is None or found.studio is None:
                raise _invalid()  # nothing was charged
        except Unauthorized:
            with self._lock:
                self._known.pop(parsed.secret_hash, None)
                _keep(self._wrong, parsed.secret_hash, clock.monotonic() + CACHE_SECONDS)
            raise
        caller = Caller(found.studio_id, found.id, frozenset(found.scopes))
        with self._lock:
            known = self._known.get(parsed.secret_hash)
            if known is None:
                known = _Known(caller, Allowance(limits_of(get_settings().limits)), 0)
                _keep(self._known, parsed.secret_hash, known)
            known.caller, known.trusted_until = caller, clock.monotonic() + _trusted_seconds(found)
            known.allowance.note((found.key, found.studio))
            _require(known)
            return _with_balances(known)


_keys = ApiKeyCache()


def _parse(authorization: str | None) -> ParsedKey:
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("An API key is needed: Authorization: Bearer ansel_...")
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
    """Raises Unauthorized unless the secret is right and the key has not ended."""
    if not api_keys.matches(parsed, stored.secret_hash if stored else api_keys.UNKNOWN_HASH) or stored is None:
        raise _invalid()
    if stored.revoked_at is not None or (stored.expires_at is not None and stored.expires_at <= clock.now()):
        raise Unauthorized("The API key is not valid any more")
    return stored


def _invalid() -> Unauthorized:
    return Unauthorized("The API key is not valid")


def _admitted(known: _Known) -> Caller | None:
    """None if the key has to be looked up."""
    if known.trusted_until <= clock.monotonic():
        return None
    _require(known)
    return _with_balances(known) if known.allowance.admit() else None


def _require(known: _Known) -> None:
    """Raises TooManyRequests while the key or its studio may send nothing; the log says who it was."""
    try:
        known.allowance.require()
    except TooManyRequests:
        logs.bind(studio_id=known.caller.studio_id)
        raise


def _with_balances(known: _Known) -> Caller:
    return msgspec.structs.replace(known.caller, balances=known.allowance.balances())


def _taken(known: _Known | None) -> int:
    """The requests that were admitted and not charged yet: the look-up at hand charges them."""
    if known is None:
        return 0
    uncharged, known.allowance.uncharged = known.allowance.uncharged, 0
    return uncharged


def _give_back(known: _Known | None, uncharged: int) -> None:
    if known is not None:
        known.allowance.uncharged += uncharged


def _trusted_seconds(stored: StoredApiKey) -> float:
    if stored.expires_at is None:
        return CACHE_SECONDS
    return min(CACHE_SECONDS, (stored.expires_at - clock.now()).total_seconds())


def _keep(kept: dict[bytes, T], key: bytes, value: T) -> None:
    if len(kept) >= CACHE_SIZE:
        kept.clear()
    kept[key] = value
