"""User tokens of the sandbox's Meta users: issued, verified and revoked. There are no refresh tokens."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from dev.sandbox.tokens import seal, unseal

DEFAULT_SCOPES = ("public_profile", "ads_read", "business_management")
# The lifetime of a token exchanged for a short-lived one: about 60 days.
LIFETIME = 5_183_944
PREFIX = "EAAG"


@dataclass(frozen=True)
class Grant:
    """What the application receives through a user's consent, after the exchange for a long-lived token."""

    access_token: str = field(repr=False)
    expires_in: int
    scopes: tuple[str, ...]


@dataclass(frozen=True)
class Claims:
    """A token's claims; times are seconds since 1970, `granted_at` in nanoseconds."""

    account: str
    scopes: tuple[str, ...]
    granted_at: int
    expires_at: float
    declined: tuple[str, ...] = ()
    """Permissions that were requested but not granted."""


def issue_token(
    account: str = "studio",
    scopes: Iterable[str] = DEFAULT_SCOPES,
    lifetime: int = LIFETIME,
    declined: Iterable[str] = (),
) -> Grant:
    """A new grant. Any sandbox accepts its token; with a lifetime of 0 it is expired."""
    granted = tuple(scopes)
    claims = {
        "a": account,
        "s": granted,
        "g": time.time_ns(),
        "e": time.time() + lifetime,
        "d": tuple(declined),
    }
    return Grant(seal("meta", claims, prefix=PREFIX), lifetime, granted)


def read(token: str) -> Claims | None:
    """The claims of one of our tokens, valid or not."""
    packed = unseal("meta", token, prefix=PREFIX)
    if packed is None:
        return None
    return Claims(packed["a"], tuple(packed["s"]), packed["g"], packed["e"], tuple(packed.get("d", ())))


class Removals:
    """When each user last removed the application; stored in `state_file`, if given."""

    def __init__(self, state_file: Path | None = None) -> None:
        self._file = state_file
        self._lock = Lock()
        self._removed_at: dict[str, int] = (
            json.loads(state_file.read_text()) if state_file and state_file.exists() else {}
        )

    def remove(self, account: str) -> None:
        """Revokes every token issued to the user so far."""
        with self._lock:
            self._removed_at[account] = time.time_ns()
            if self._file:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                partial = self._file.with_suffix(".partial")
                partial.write_text(json.dumps(self._removed_at))
                partial.replace(self._file)

    def covers(self, claims: Claims) -> bool:
        return claims.granted_at <= self._removed_at.get(claims.account, 0)
