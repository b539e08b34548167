"""Grants at work: an authorised client for a connection, its token renewed under a lease, and giving the grant back.

No connection or lock is held while a platform is asked. `token_generation` is the fence: a renewal is stored only over
the generation it started from, and `invalid_grant` is believed only if that generation is still the one in the table.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

from chalicelib import clock, logs
from chalicelib.data import connections as rows
from chalicelib.data.connections import StoredConnection
from chalicelib.data.database import read, transaction
from chalicelib.errors import Misconfigured, PlatformError, SealBroken, TokenExpired, TokenRevoked, TransientFault
from chalicelib.platforms import oauth2
from chalicelib.platforms.client import Client
from chalicelib.platforms.oauth2 import TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.services.tokens import Tokens, open_tokens, seal_tokens
from chalicelib.settings import get_settings

EARLY = timedelta(minutes=5)
"""A token this close to its end is renewed before it is used."""
LEASE_SECONDS = 60
"""Longer than all HTTP timeouts of a renewal together."""
WAIT_SECONDS = 0.25
WAITS = 40


def client_for(stored: StoredConnection, *, pulse: Callable[[], None] = lambda: None) -> Client:
    """An authorised client. It renews the token when that is due and when the platform refuses it, and calls `pulse`
    before each request.

    Raises TokenExpired or TokenRevoked when only the studio can help.
    """
    session = _Session(stored)
    return Client(
        get_platform(stored.platform),
        session.access_token(),
        sandbox_url=get_settings().platform_sandbox_url,
        renew=session.renew,
        pulse=pulse,
    )


def revoke(stored: StoredConnection) -> str:
    """Gives the grant back, best effort: `revoked`, `failed`, or `unsupported` where the platform has no way to."""
    platform = get_platform(stored.platform)
    if platform.oauth is None or not platform.oauth.revoke_url:
        return "unsupported"
    try:
        tokens = open_tokens(stored)
        token = tokens.refresh or tokens.access
        oauth2.revoke(platform, token=token, sandbox_url=get_settings().platform_sandbox_url)
    except (PlatformError, SealBroken) as error:
        logs.event("connection.revocation_failed", platform=stored.platform, code=error.code, reason=str(error))
        return "failed"
    # A grant the platform no longer knows is as gone as one it gave up just now.
    return "revoked"


class _Session:
    """The tokens of a connection while it is used: after a renewal, those of the next generation."""

    def __init__(self, stored: StoredConnection) -> None:
        self._stored = stored

    def access_token(self) -> Secret:
        expires_at = self._stored.token_expires_at
        if expires_at is None or expires_at > clock.now() + EARLY:
            return open_tokens(self._stored).access
        if self._stored.refresh_token is not None:
            return self.renew()
        if expires_at > clock.now():
            return open_tokens(self._stored).access
        raise TokenExpired("The access token has expired, and there is no refresh token to renew it with")

    def renew(self) -> Secret:
        """One worker holds the lease and renews; the others wait a little and read what came of it."""
        if self._stored.refresh_token is None:
            raise TokenExpired("The platform refused the access token, and there is no refresh token to renew it with")
        for _ in range(WAITS):
            owner = uuid4()
            if self._lease(owner):
                return self._renew_as(owner)
            if self._renewed_elsewhere():
                return open_tokens(self._stored).access
            time.sleep(WAIT_SECONDS)
        raise TransientFault("The access token is being renewed elsewhere", code="token_being_renewed")

    def _renew_as(self, owner: UUID) -> Secret:
        tokens = open_tokens(self._stored)
        try:
            grant = self._ask(tokens)
        except TokenRevoked:
            self._release(owner)
            if self._renewed_elsewhere():
                return open_tokens(self._stored).access
            raise
        except PlatformError:
            self._release(owner)
            raise
        self._store(_renewed(tokens, grant))
        return grant.access_token

    def _ask(self, tokens: Tokens) -> TokenGrant:
        settings = get_settings()
        client = settings.oauth_clients.get(self._stored.platform)
        if client is None or tokens.refresh is None:
            raise Misconfigured(f"There is no OAuth client for {self._stored.platform}")
        return oauth2.refresh(
            get_platform(self._stored.platform),
            client_id=client.id,
            client_secret=client.secret,
            refresh_token=tokens.refresh,
            sandbox_url=settings.platform_sandbox_url,
        )

    def _lease(self, owner: UUID) -> bool:
        with transaction(self._stored.studio_id) as tx:
            leased = tx.run(
                rows.LEASE_REFRESH,
                id=self._stored.id,
                token_generation=self._stored.token_generation,
                owner=owner,
                lease_seconds=LEASE_SECONDS,
            )
        return leased is not None

    def _release(self, owner: UUID) -> None:
        with transaction(self._stored.studio_id) as tx:
            tx.run(rows.RELEASE_REFRESH, id=self._stored.id, owner=owner)

    def _store(self, tokens: Tokens) -> None:
        """Puts a renewed grant over the generation it came from; if somebody replaced that meanwhile, theirs stays."""
        if replace_tokens(self._stored, tokens):
            logs.event("token.renewed", platform=self._stored.platform, connection_id=self._stored.id)
        self._reread()

    def _renewed_elsewhere(self) -> bool:
        before = self._stored.token_generation
        self._reread()
        return self._stored.token_generation != before

    def _reread(self) -> None:
        """Raises TokenRevoked when the connection is gone or broken by now."""
        stored = read(self._stored.studio_id, rows.FIND_STORED_CONNECTION, platform=self._stored.platform)
        if stored is None or stored.status != "active":
            raise TokenRevoked("The connection was closed meanwhile")
        self._stored = stored


def replace_tokens(stored: StoredConnection, tokens: Tokens) -> bool:
    """Seals tokens for the next generation and stores them over the one `stored` has; False if that is gone."""
    sealed = seal_tokens(
        tokens,
        stored.data_keys,
        studio_id=stored.studio_id,
        connection_id=stored.id,
        generation=stored.token_generation + 1,
    )
    with transaction(stored.studio_id) as tx:
        replaced = tx.run(
            rows.REPLACE_TOKENS,
            id=stored.id,
            token_generation=stored.token_generation,
            access_token=sealed.access,
            refresh_token=sealed.refresh,
            token_expires_at=tokens.expires_at,
            scopes=tokens.scopes,
        )
    return replaced is not None


def _renewed(tokens: Tokens, grant: TokenGrant) -> Tokens:
    """A platform that sends no new refresh token keeps the old one."""
    return Tokens(
        access=grant.access_token,
        refresh=grant.refresh_token or tokens.refresh,
        expires_at=clock.now() + timedelta(seconds=grant.expires_in) if grant.expires_in is not None else None,
        scopes=list(grant.scopes) if grant.scopes is not None else tokens.scopes,
    )
