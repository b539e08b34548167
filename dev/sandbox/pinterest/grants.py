"""Grants of the sandbox's Pinterest users: issued, verified, revoked, and refreshed with a new refresh token each time.

https://developers.pinterest.com/docs/getting-started/set-up-authentication-and-authorization/
"""

import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from dev.sandbox.tokens import seal, unseal
from dev.sandbox.wire import Json

APP_ID, APP_SECRET = "1500000", "sandbox-pinterest-app-secret"  # useless outside the sandbox
DEFAULT_SCOPES = ("user_accounts:read", "boards:read", "pins:read", "ads:read")
LIFETIME, REFRESH_LIFETIME = 30 * 86_400, 60 * 86_400
ACCESS_PREFIX, REFRESH_PREFIX = "pina_", "pinr_"


@dataclass(frozen=True)
class Grant:
    """What the application receives through a user's consent, or through a refresh."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    refresh_token_expires_in: int
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Claims:
    """A token's claims; `turn` counts refreshes; times are seconds since 1970, `granted_at` in nanoseconds."""

    account: str
    scopes: tuple[str, ...]
    grant_id: str
    granted_at: int
    turn: int
    expires_at: float

    def grant(self, lifetime: int = LIFETIME, refresh_lifetime: int = REFRESH_LIFETIME) -> Grant:
        """Both tokens of this turn, valid from now."""
        access = replace(self, expires_at=time.time() + lifetime)
        refresh = replace(self, expires_at=time.time() + refresh_lifetime)
        return Grant(
            seal("pina", access.packed(), prefix=ACCESS_PREFIX),
            seal("pinr", refresh.packed(), prefix=REFRESH_PREFIX),
            lifetime,
            refresh_lifetime,
            self.scopes,
        )

    def packed(self) -> Json:
        return {
            "a": self.account,
            "s": self.scopes,
            "i": self.grant_id,
            "g": self.granted_at,
            "t": self.turn,
            "e": self.expires_at,
        }


def issue_token(
    account: str = "studio",
    scopes: Iterable[str] = DEFAULT_SCOPES,
    lifetime: int = LIFETIME,
    refresh_lifetime: int = REFRESH_LIFETIME,
) -> Grant:
    """A new grant, as after a completed consent. Any sandbox accepts its tokens; a lifetime of 0 means expired."""
    claims = Claims(account, tuple(scopes), secrets.token_hex(8), time.time_ns(), 0, 0)
    return claims.grant(lifetime, refresh_lifetime)


class Grants:
    """Distinguishes valid tokens from dead ones; stored in `state_file`, if given."""

    def __init__(self, state_file: Path | None = None) -> None:
        self._file = state_file
        self._lock = Lock()
        kept = json.loads(state_file.read_text()) if state_file and state_file.exists() else {}
        self._revoked_at: dict[str, int] = kept.get("revoked_at", {})
        self._turns: dict[str, int] = kept.get("turns", {})
        """The current turn of each grant."""

    def access(self, token: str) -> Claims | None:
        """The claims of an access token that is valid now; a refresh does not end the previous one."""
        return self._live(unseal("pina", token, prefix=ACCESS_PREFIX))

    def refresh(self, token: str) -> Grant | None:
        """Issues both tokens again; the refresh token used is dead from then on, like all earlier ones."""
        claims = self._live(unseal("pinr", token, prefix=REFRESH_PREFIX))
        if claims is None:
            return None
        with self._lock:
            if claims.turn < self._turns.get(claims.grant_id, 0):
                return None
            self._turns[claims.grant_id] = claims.turn + 1
            self._keep()
        return replace(claims, turn=claims.turn + 1).grant()

    def revoke(self, account: str) -> None:
        """The user removes the application: every earlier grant of the account is dead."""
        with self._lock:
            self._revoked_at[account] = time.time_ns()
            self._keep()

    def _keep(self) -> None:
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial = self._file.with_suffix(".partial")
            partial.write_text(json.dumps({"revoked_at": self._revoked_at, "turns": self._turns}))
            partial.replace(self._file)

    def _live(self, packed: Json | None) -> Claims | None:
        if packed is None:
            return None
        claims = Claims(packed["a"], tuple(packed["s"]), packed["i"], packed["g"], packed["t"], packed["e"])
        revoked = claims.granted_at <= self._revoked_at.get(claims.account, 0)
        return None if revoked or claims.expires_at <= time.time() else claims
