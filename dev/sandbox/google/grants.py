"""Grants of the sandbox's Google users to its one OAuth client: issued, refreshed, verified and revoked."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from dev.sandbox.tokens import seal, unseal
from dev.sandbox.wire import Json

CLIENT_ID = "sandbox-client.apps.googleusercontent.example"
CLIENT_SECRET = "GOCSPX-sandbox-client-secret"  # useless outside the sandbox
CODE_PREFIX = "4/0"

SCOPE = "https://www.googleapis.com/auth/"
DEFAULT_SCOPES = (
    "openid",
    SCOPE + "userinfo.email",
    SCOPE + "userinfo.profile",
    SCOPE + "calendar.calendarlist.readonly",
    SCOPE + "calendar.events.readonly",
    SCOPE + "gmail.metadata",
)
LIFETIME = 3600
ACCESS_PREFIX, REFRESH_PREFIX = "ya29.", "1//0"


@dataclass(frozen=True)
class Grant:
    """What the client receives through a user's consent."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: int
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Claims:
    """A token's claims: who granted what and when, and for an access token its expiry."""

    account: str
    scopes: tuple[str, ...]
    granted_at: int
    """Nanoseconds since 1970."""
    expires_at: float
    """Seconds since 1970; a refresh token does not expire."""

    def expires_in(self) -> int:
        return int(self.expires_at - time.time())


def issue_token(account: str = "studio", scopes: Iterable[str] = DEFAULT_SCOPES, lifetime: int = LIFETIME) -> Grant:
    """A new grant, as after a completed consent. Any sandbox accepts its tokens; a lifetime of 0 means expired."""
    granted = Claims(account, tuple(scopes), time.time_ns(), 0)
    refresh_token = seal("refresh", _packed(granted), prefix=REFRESH_PREFIX)
    return Grant(access_token(granted, lifetime), refresh_token, lifetime, granted.scopes)


def access_token(granted: Claims, lifetime: int = LIFETIME) -> str:
    """An access token of a grant, valid from now."""
    claims = Claims(granted.account, granted.scopes, granted.granted_at, time.time() + lifetime)
    return seal("access", _packed(claims), prefix=ACCESS_PREFIX)


def _packed(claims: Claims) -> Json:
    return {"a": claims.account, "s": claims.scopes, "g": claims.granted_at, "e": claims.expires_at}


def _unpacked(packed: Json) -> Claims:
    return Claims(packed["a"], tuple(packed["s"]), packed["g"], packed["e"])


class Grants:
    """Distinguishes valid tokens from revoked ones. Revocations are stored in `state_file`, if given."""

    def __init__(self, state_file: Path | None = None) -> None:
        self._file = state_file
        self._lock = Lock()
        self._revoked_at: dict[str, int] = (
            json.loads(state_file.read_text()) if state_file and state_file.exists() else {}
        )

    def access(self, token: str) -> Claims | None:
        """The claims of an access token that is valid now."""
        claims = self._live(unseal("access", token, prefix=ACCESS_PREFIX))
        return claims if claims and claims.expires_at > time.time() else None

    def refresh(self, token: str) -> Claims | None:
        """The claims of a refresh token that is valid now."""
        return self._live(unseal("refresh", token, prefix=REFRESH_PREFIX))

    def revoke(self, account: str) -> None:
        """Ends every grant of the account so far: Google revokes per user and client, not per token."""
        with self._lock:
            self._revoked_at[account] = time.time_ns()
            if self._file:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                partial = self._file.with_suffix(".partial")
                partial.write_text(json.dumps(self._revoked_at))
                partial.replace(self._file)

    def _live(self, packed: Json | None) -> Claims | None:
        if packed is None:
            return None
        claims = _unpacked(packed)
        return claims if claims.granted_at > self._revoked_at.get(claims.account, 0) else None
