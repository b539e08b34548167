"""Refreshes: one worker at a time gets a new token for a connection that is due, rejected, or idle.

No database connection or lock is held during a platform call. `token_generation` is the fencing token: a refresh is
stored only over the generation it started from, and `invalid_grant` is believed only if that generation is still the
one in the table.

Two waits happen in place. A request, with a person waiting, gives another worker's refresh a few seconds; a run is
deferred instead. A worker that holds a rotated token waits for an unavailable database, since no token is issued twice.
"""

import time
from collections.abc import Callable
from datetime import timedelta
from math import inf
from uuid import UUID, uuid4

from msgspec.structs import replace

from chalicelib import clock, logs, telemetry
from chalicelib.data import connection_state as rows
from chalicelib.data.connections import DEAD, FIND_CONNECTION_TO_REFRESH, FIND_STORED_BY_ID, StoredConnection
from chalicelib.data.postgres.database import read, write
from chalicelib.errors import (
    AppError,
    DecryptionFailed,
    Misconfigured,
    PlatformError,
    ReconnectRequired,
    RefreshInProgress,
    TokenExpired,
    TokenRevoked,
    TransientFault,
    Unavailable,
)
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.oauth2 import TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.services.connections.credentials import find_oauth_client
from chalicelib.services.connections.state import fail_connection, replace_tokens
from chalicelib.services.connections.tokens import Tokens, open_access_token, open_tokens
from chalicelib.services.dispatch import enqueue_due
from chalicelib.services.throttling.platform_calls import background_call
from chalicelib.services.throttling.retries import backoff_after
from chalicelib.settings import get_settings
from chalicelib.work_queue import RefreshMessage

LEASE_SECONDS = 180
"""Longer than a refresh may take: each of our client secrets may be tried, each within the client's total timeout."""
STILL_GOOD_SECONDS = 30
"""A token that cannot be refreshed right now is used while it has more than this left."""
POLL_SECONDS = 0.25
COME_BACK_AFTER = timedelta(seconds=3)
"""Most refreshes take less; callers that do not wait for one return after this time."""
STORE_WAITS = (0.1, 0.5, 1.0, 2.0, 4.0, 8.0)
"""A platform that rotates tokens issues each one only once: a brief database outage must not lose it. No wait exceeds
the time that the invocation has left."""
WARN_AFTER = 6
"""Consecutive failed refreshes before the studio is warned."""


def enqueue_due_refreshes() -> int:
    """Enqueues a message for each grant that is due for a refresh; returns how many."""
    return enqueue_due(
        rows.CLAIM_DUE_REFRESHES, lambda due: RefreshMessage(id=due.connection_id, studio_id=due.studio_id)
    )


def refresh_idle(studio_id: UUID, connection_id: UUID, remaining_ms: Callable[[], float] = lambda: inf) -> str:
    """Refreshes a grant that may have been idle for long, so that it does not expire.

    Returns the outcome: dropped, refreshed or failed. After a failure the tick retries, unless the grant is dead.
    """
    with logs.bound(studio_id=studio_id, connection_id=connection_id):
        stored = read(studio_id, FIND_CONNECTION_TO_REFRESH, id=connection_id)
        if stored is None:
            logs.event("message.dropped", reason="not_due")
            return "dropped"
        outcome = _refresh_idle(stored, lambda: remaining_ms() / 1000)
        logs.event("refresh.stopped", outcome=outcome, platform=stored.platform)
        return outcome


def _refresh_idle(stored: StoredConnection, seconds_left: Callable[[], float]) -> str:
    platform = get_platform(stored.platform)
    idle = Refresh(stored, platform, wait_seconds=0, seconds_left=seconds_left)
    try:
        with background_call(stored.studio_id, platform, stored.id):
            idle.refresh()
    except (ReconnectRequired, DecryptionFailed) as error:
        fail_connection(idle.stored, error)
        return "failed"
    except PlatformError:
        return "failed"
    return "refreshed"


class Refresh:
    """Gets a connection a new token. Afterwards `stored` is the next generation: later findings about the connection,
    such as a dead grant, apply to these tokens only.

    `wait_seconds` limits the wait for another worker's refresh, `seconds_left` is the time that the invocation has
    left.
    """

    def __init__(
        self, stored: StoredConnection, platform: Platform, *, wait_seconds: float, seconds_left: Callable[[], float]
    ) -> None:
        self.stored = stored
        self._platform = platform
        self._wait_seconds = wait_seconds
        self._seconds_left = seconds_left
        self._exchanges = platform.oauth is not None and not platform.oauth.needs_refresh_token

    def refresh_refused(self) -> Secret:
        """After the platform has rejected the access token."""
        if self._exchanges and not self._refreshed_elsewhere():
            raise TokenExpired("The platform rejected the access token, and only a valid one can be refreshed")
        return open_access_token(self.stored) if self._exchanges else self.refresh()

    def refresh_early(self, left: float) -> Secret | None:
        """For a token with `left` seconds left: a new one or, if that fails for now, the current one while it is valid.
        None for a valid token that cannot be refreshed."""
        if not self._refreshable():
            if left <= 0:
                raise TokenExpired("The access token has expired, and there is no refresh token")
            return None
        if left <= STILL_GOOD_SECONDS:
            return self.refresh()
        try:
            # With a valid token there is no need to wait for another worker's refresh.
            return self._refresh(wait_seconds=0)
        except ReconnectRequired:
            raise
        except PlatformError:
            return open_access_token(self.stored)

    def refresh(self) -> Secret:
        """One worker holds the lease and refreshes; the others poll for its result until their wait is over."""
        if not self._refreshable():
            raise TokenExpired("The platform rejected the access token, and there is no refresh token")
        return self._refresh(min(self._wait_seconds, self._seconds_left()))

    def _refresh(self, wait_seconds: float) -> Secret:
        ends_at = clock.monotonic() + wait_seconds
        while True:
            owner = uuid4()
            if self._lease(owner):
                return self._refresh_as(owner)
            if self._refreshed_elsewhere():
                return open_access_token(self.stored)
            if clock.monotonic() + POLL_SECONDS > ends_at:
                raise RefreshInProgress(resume_at=clock.now() + COME_BACK_AFTER)
            time.sleep(POLL_SECONDS)

    def _refreshable(self) -> bool:
        if self._exchanges:
            return self.stored.expires_in is None or self.stored.expires_in > 0
        return self.stored.refresh_token is not None

    def _refresh_as(self, owner: UUID) -> Secret:
        try:
            tokens = open_tokens(self.stored)
            grant = self._ask(tokens)
        except TokenRevoked as error:
            if self._refreshed_elsewhere():
                self._count("superseded")
                return open_access_token(self.stored)
            self._count("revoked")
            self._fail(owner, error)
            raise
        except AppError as error:
            self._count("failed")
            self._fail(owner, error)
            if isinstance(error, Misconfigured):
                fail_connection(self.stored, error)
            raise
        self._count("refreshed")
        self._store(_refreshed(tokens, grant), same_refresh_token=grant.refresh_token is None)
        return open_access_token(self.stored)

    def _count(self, outcome: str) -> None:
        telemetry.count("TokenRefreshes", platform=self.stored.platform, outcome=outcome)

    def _ask(self, tokens: Tokens) -> TokenGrant:
        try:
            client = find_oauth_client(self._platform.name)
        except Unavailable as error:  # the current token may still be valid
            raise TransientFault("The OAuth client cannot be read right now", internal=str(error)) from error
        if client is None:
            raise Misconfigured(f"There is no OAuth client for {self._platform.title}")
        return oauth2.refresh(
            self._platform,
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

    def _fail(self, owner: UUID, error: AppError) -> None:
        """Releases the lease and schedules the next attempt."""
        delay = backoff_after(error, self.stored.refresh_failures)
        write(
            self.stored.studio_id,
            rows.FAIL_REFRESH,
            id=self.stored.id,
            owner=owner,
            delay_seconds=delay.total_seconds(),
            warn_after=WARN_AFTER,
            message=error.message,
        )

    def _store(self, tokens: Tokens, *, same_refresh_token: bool) -> None:
        """Stores a refreshed grant over the generation it came from, unless that has been replaced."""
        for wait in (*STORE_WAITS, None):
            try:
                stored = replace_tokens(self.stored, tokens, same_refresh_token=same_refresh_token)
                break
            except Unavailable:
                if wait is None or self._seconds_left() < wait:
                    raise
                time.sleep(wait)
        if stored:
            logs.event("token.refreshed", platform=self.stored.platform, connection_id=self.stored.id)
        self._reread()

    def _refreshed_elsewhere(self) -> bool:
        before = self.stored.token_generation
        self._reread()
        return self.stored.token_generation != before

    def _reread(self) -> None:
        """Raises TokenRevoked if the connection is gone or has failed."""
        stored = read(self.stored.studio_id, FIND_STORED_BY_ID, id=self.stored.id)
        if stored is None or stored.status in DEAD:
            raise TokenRevoked("The connection was closed during the refresh")
        self.stored = stored


def _refreshed(tokens: Tokens, grant: TokenGrant) -> Tokens:
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
