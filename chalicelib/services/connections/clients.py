"""Clients: call a platform for a connection, with its token decrypted here and refreshed when necessary.

With a cached data key a token passes from its row to the client through the vault alone: tests count the modules.
"""

from collections.abc import Callable
from math import inf

from chalicelib import clock
from chalicelib.data.connections import StoredConnection
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Platform
from chalicelib.secret import Secret
from chalicelib.services.connections.credentials import platform_key
from chalicelib.services.connections.refresh import Refresh
from chalicelib.services.connections.state import recover
from chalicelib.services.connections.tokens import open_access_token
from chalicelib.settings import get_settings

WAIT_SECONDS = 5.0
"""How long a person's request waits for a token that another worker is refreshing."""


class Session:
    """A connection in use; its parameters are those of `Refresh`."""

    def __init__(
        self,
        stored: StoredConnection,
        platform: Platform,
        *,
        wait_seconds: float = WAIT_SECONDS,
        seconds_left: Callable[[], float] = lambda: clock.remaining(inf),
    ) -> None:
        self._stored = stored
        self._platform = platform
        self._wait_seconds = wait_seconds
        self._seconds_left = seconds_left
        self._refresh: Refresh | None = None

    @property
    def stored(self) -> StoredConnection:
        """As last read: a refresh reads it again."""
        return self._refresh.stored if self._refresh else self._stored

    def client(self, *, heartbeat: Callable[[], None] = lambda: None) -> Client:
        """Refreshes the token when it is due and when the platform rejects it; calls `heartbeat` before each request.

        Raises TokenExpired or TokenRevoked if only the studio can fix it, RefreshInProgress while another worker is
        refreshing the token.
        """
        has_grant = self._platform.credential == "oauth"
        return Client(
            self._platform,
            self.access_token() if has_grant else platform_key(self._platform),
            refresh=self._refresh_refused if has_grant else None,
            heartbeat=heartbeat,
            account_id=self._stored.account_id or "",
            sandbox_url=get_settings().platform_sandbox_url,
        )

    def access_token(self) -> Secret:
        """A valid token, refreshed if it expires soon; if that fails for now, the current one while it is valid."""
        left, oauth = self._stored.expires_in, self._platform.oauth
        if left is not None and left <= (oauth.refresh_early.total_seconds() if oauth else 0):
            refreshed = self._refresher().refresh_early(left)
            if refreshed is not None:
                return refreshed
        access = open_access_token(self._stored)
        if self._stored.status == "error":
            recover(self._stored)
        return access

    def _refresh_refused(self) -> Secret:
        return self._refresher().refresh_refused()

    def _refresher(self) -> Refresh:
        if self._refresh is None:
            self._refresh = Refresh(
                self._stored, self._platform, wait_seconds=self._wait_seconds, seconds_left=self._seconds_left
            )
        return self._refresh
