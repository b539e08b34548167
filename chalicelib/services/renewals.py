"""Renewals: an authorised client for a connection, its token renewed under a lease, also when nobody needs it.

No connection or lock is held while a platform is asked. `token_generation` is the fence: a renewal is stored only over
the generation it started from, and `invalid_grant` is believed only if that generation is still the one in the table.
"""

import time
from collections.abc import Callable
from uuid import UUID, uuid4

from msgspec.structs import replace

from chalicelib import logs, telemetry
from chalicelib.data import grants as rows
from chalicelib.data.connections import DEAD, FIND_CONNECTION_TO_RENEW, FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.database import read, write
from chalicelib.doorbell import Message
from chalicelib.errors import (
    AppError,
    Misconfigured,
    PlatformError,
    ReconnectRequired,
    SealBroken,
    TokenExpired,
    TokenRevoked,
    TransientFault,
    Unavailable,
)
from chalicelib.platforms import oauth2
from chalicelib.platforms.base import Platform
from chalicelib.platforms.client import Client
from chalicelib.platforms.oauth2 import TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.services.bells import ring_due
from chalicelib.services.grants import break_connection, heal, replace_tokens
from chalicelib.services.platform_credentials import find_oauth_client, find_platform_key
from chalicelib.services.retries import backoff
from chalicelib.services.tokens import Tokens, open_access_token, open_tokens
from chalicelib.settings import get_settings

LEASE_SECONDS = 180
"""Longer than a renewal may take: every secret of ours may be tried, each within the client's total timeout."""
STILL_GOOD_SECONDS = 30
"""A token that cannot be renewed just now is used for as long as it has more than this left."""
WAIT_SECONDS = 0.25
WAITS = 40
STORE_WAITS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
"""A platform that rotates gives a token only once: a database that is away for a moment must not lose it."""
WARN_AFTER = 6
"""Renewals that fail in a row before the studio is told."""


def client_for(stored: StoredConnection, *, pulse: Callable[[], None] = lambda: None) -> Client:
    """An authorised client. It renews the token when that is due and when the platform refuses it, and calls `pulse`
    before each request.

    Raises TokenExpired or TokenRevoked when only the studio can help.
    """
    platform, settings = get_platform(stored.platform), get_settings()
    session = Session(stored) if platform.credential == "oauth" else None
    return Client(
        platform,
        session.access_token() if session else platform_key(platform),
        renew=session.renew_refused if session else None,
        pulse=pulse,
        account_id=stored.account_id or "",
        sandbox_url=settings.platform_sandbox_url,
    )


def platform_key(platform: Platform) -> Secret:
    """Ours, for all studios; a platform that wants none is never asked with it."""
    if platform.credential != "api_key":
        return Secret("")
    key = find_platform_key(platform.name)
    if key is None:
        raise Misconfigured(f"There is no API key for {platform.title}")
    return key


def ring_due_renewals() -> int:
    """Sends a message for each grant that is due for a renewal; returns how many."""
    return ring_due(rows.CLAIM_DUE_RENEWALS, lambda due: Message(renewal_of=due.connection_id, studio_id=due.studio_id))


def renew_idle(studio_id: UUID, connection_id: UUID) -> str:
    """Renews a grant that nobody may have needed for long, so that it does not die of old age.

    Returns what became of it: dropped, renewed, failed (the tick tries again) or broke.
    """
    with logs.bound(studio_id=studio_id, connection_id=connection_id):
        stored = read(studio_id, FIND_CONNECTION_TO_RENEW, id=connection_id)
        if stored is None:
            logs.event("message.dropped", reason="not_due")
            return "dropped"
        outcome = _renew_idle(Session(stored))
        logs.event("renewal.stopped", outcome=outcome, platform=stored.platform)
        return outcome


def _renew_idle(session: "Session") -> str:
    try:
        session.renew()
    except (ReconnectRequired, SealBroken) as error:
        break_connection(session.stored, error)
        return "broke"
    except PlatformError:
        return "failed"
    return "renewed"


class Session:
    """The tokens of a connection while it is used: after a renewal, those of the next generation, in `stored`."""

    def __init__(self, stored: StoredConnection) -> None:
        self.stored = stored
        oauth = get_platform(stored.platform).oauth
        self._exchanges = oauth is not None and not oauth.needs_refresh_token
        self._early = oauth.renew_early.total_seconds() if oauth else 0

    def access_token(self) -> Secret:
        """One that works, renewed if it ends soon; where that fails for now, the present one while it lives."""
        left = self.stored.expires_in
        if left is not None and left <= self._early:
            if self._renewable():
                return self._renew_early(left)
            if left <= 0:
                raise TokenExpired("The access token has expired, and there is no refresh token to renew it with")
        access = open_access_token(self.stored)
        if self.stored.status == "error":
            heal(self.stored)
        return access

    def renew_refused(self) -> Secret:
        """After the platform has refused the access token."""
        if self._exchanges and not self._renewed_elsewhere():
            raise TokenExpired("The platform refused the access token, and only a living one can be renewed")
        return open_access_token(self.stored) if self._exchanges else self.renew()

    def renew(self) -> Secret:
        """One worker holds the lease and renews; the others wait a little and read what came of it."""
        if not self._renewable():
            raise TokenExpired("The platform refused the access token, and there is no refresh token to renew it with")
        for _ in range(WAITS):
            owner = uuid4()
            if self._lease(owner):
                return self._renew_as(owner)
            if self._renewed_elsewhere():
                return open_access_token(self.stored)
            time.sleep(WAIT_SECONDS)
        raise TransientFault("The access token is being renewed elsewhere", code="token_being_renewed")

    def _renewable(self) -> bool:
        if self._exchanges:
            return self.stored.expires_in is None or self.stored.expires_in > 0
        return self.stored.refresh_token is not None

    def _renew_early(self, left: float) -> Secret:
        try:
            return self.renew()
        except ReconnectRequired:
            raise
        except PlatformError:
            if left <= STILL_GOOD_SECONDS:
                raise
            return open_access_token(self.stored)

    def _renew_as(self, owner: UUID) -> Secret:
        try:
            tokens = open_tokens(self.stored)
            grant = self._ask(tokens)
        except TokenRevoked:
            if self._renewed_elsewhere():
                self._count("superseded")
                return open_access_token(self.stored)
            self._count("revoked")
            self._fail(owner, "The platform no longer accepts this connection")
            raise
        except AppError as error:
            self._count("failed")
            self._fail(owner, error.message)
            if isinstance(error, Misconfigured):
                break_connection(self.stored, error)
            raise
        self._count("renewed")
        self._store(_renewed(tokens, grant), same_refresh_token=grant.refresh_token is None)
        return open_access_token(self.stored)

    def _count(self, outcome: str) -> None:
        telemetry.count("TokenRefreshes", platform=self.stored.platform, outcome=outcome)

    def _ask(self, tokens: Tokens) -> TokenGrant:
        platform = get_platform(self.stored.platform)
        try:
            client = find_oauth_client(platform.name)
        except Unavailable as error:  # the token that is there may live on
            raise TransientFault("The OAuth client cannot be read just now", internal=str(error)) from error
        if client is None:
            raise Misconfigured(f"There is no OAuth client for {platform.title}")
        return oauth2.renew(
            platform,
            client=client,
            access_token=tokens.access,
            refresh_token=tokens.refresh,
            sandbox_url=get_settings().platform_sandbox_url,
        )

    def _lease(self, owner: UUID) -> bool:
        leased = write(
            self.stored.studio_id,
            rows.LEASE_REFRESH,
            id=self.stored.id,
            token_generation=self.stored.token_generation,
            owner=owner,
            lease_seconds=LEASE_SECONDS,
        )
        return leased is not None

    def _fail(self, owner: UUID, message: str) -> None:
        """Gives the lease back, and the next try of the tick a time."""
        delay = backoff(self.stored.renewals_failed)
        write(
            self.stored.studio_id,
            rows.FAIL_RENEWAL,
            id=self.stored.id,
            owner=owner,
            delay_seconds=delay.total_seconds(),
            warn_after=WARN_AFTER,
            message=message,
        )

    def _store(self, tokens: Tokens, *, same_refresh_token: bool) -> None:
        """Puts a renewed grant over the generation it came from; if somebody replaced that meanwhile, theirs stays."""
        for wait in (*STORE_WAITS, None):
            try:
                stored = replace_tokens(self.stored, tokens, same_refresh_token=same_refresh_token)
                break
            except Unavailable:
                if wait is None:
                    raise
                time.sleep(wait)
        if stored:
            logs.event("token.renewed", platform=self.stored.platform, connection_id=self.stored.id)
        self._reread()

    def _renewed_elsewhere(self) -> bool:
        before = self.stored.token_generation
        self._reread()
        return self.stored.token_generation != before

    def _reread(self) -> None:
        """Raises TokenRevoked when the connection is gone or broken by now."""
        stored = read(self.stored.studio_id, FIND_STORED_CONNECTION, platform=self.stored.platform)
        if stored is None or stored.status in DEAD:
            raise TokenRevoked("The connection was closed meanwhile")
        self.stored = stored


def _renewed(tokens: Tokens, grant: TokenGrant) -> Tokens:
    """A platform that sends no new refresh token keeps the old one."""
    return replace(
        tokens,
        access=grant.access_token,
        refresh=grant.refresh_token or tokens.refresh,
        expires_at=None,
        expires_in=grant.expires_in,
        refresh_expires_in=grant.refresh_expires_in,
        scopes=list(grant.scopes) if grant.scopes is not None else tokens.scopes,
    )
