"""Connections: a studio's grants on platforms. Tokens come in, are sealed, and never leave through here."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chalicelib import clock, logs
from chalicelib.data import connections as rows
from chalicelib.data import schedules
from chalicelib.data.connections import Connection, StoredConnection
from chalicelib.data.database import Transaction, read, transaction
from chalicelib.data.rows import Moment, Row
from chalicelib.errors import Conflict, PlatformError, ReconnectRequired, TokenExpired
from chalicelib.platforms.base import Account, Platform
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.services import grants
from chalicelib.services.schedules import first_schedules
from chalicelib.services.streams import not_connected, syncable_platform
from chalicelib.services.tokens import Tokens, open_tokens, seal_tokens

UPDATE_ATTEMPTS = 3
"""A renewal may replace the tokens between reading and writing them."""


class TestedAccount(Row):
    """Who the platform says is connected."""

    id: str
    name: str


class TestError(Row):
    code: str
    message: str


class ConnectionTest(Row):
    """What the platform itself says of a connection, just now."""

    valid: bool
    checked_at: Moment
    account: TestedAccount | None = None
    missing_scopes: list[str] = []
    """For each stream that the grant does not cover, the scope that would"""
    error: TestError | None = None


@dataclass(frozen=True)
class TokenChange:
    """New tokens; what is None stays as it is. A new access token comes with its own expiry, or none."""

    access: Secret | None = None
    refresh: Secret | None = None
    expires_at: datetime | None = None
    scopes: list[str] | None = None

    def apply(self, tokens: Tokens) -> Tokens:
        return Tokens(
            access=self.access or tokens.access,
            refresh=self.refresh or tokens.refresh,
            expires_at=self.expires_at if self.access or self.expires_at else tokens.expires_at,
            scopes=tokens.scopes if self.scopes is None else self.scopes,
        )


def list_connections(studio_id: UUID) -> list[Connection]:
    return read(studio_id, rows.LIST_CONNECTIONS)


def get_connection(studio_id: UUID, platform: str) -> Connection:
    get_platform(platform)
    found = read(studio_id, rows.FIND_CONNECTION, platform=platform)
    if found is None:
        raise not_connected(platform)
    return found


def create_connection(studio_id: UUID, platform_name: str, tokens: Tokens) -> Connection:
    """Stores a new grant and schedules its streams. Raises Conflict when the platform is connected already."""
    platform = get_platform(platform_name)
    draft = read(studio_id, rows.DRAFT_CONNECTION, platform=platform.name)
    generation = draft.token_generation + 1
    sealed = seal_tokens(tokens, draft.data_keys, studio_id=studio_id, connection_id=draft.id, generation=generation)
    with transaction(studio_id) as tx:
        stored = tx.run(
            rows.INSERT_CONNECTION,
            id=draft.id,
            studio_id=studio_id,
            platform=platform.name,
            access_token=sealed.access,
            refresh_token=sealed.refresh,
            token_expires_at=tokens.expires_at,
            token_generation=generation,
            scopes=tokens.scopes,
        )
        if stored is None:
            raise Conflict(f"{platform.title} is already connected", code="connection_exists")
        tx.run(schedules.SAVE_SCHEDULES, connection_id=draft.id, schedules=first_schedules(platform.streams))
        connection = _shown(tx, platform.name)
    logs.event("connection.created", platform=platform.name, connection_id=draft.id)
    return connection


def active_connection(studio_id: UUID, platform: str) -> Connection:
    """Raises Conflict when the grant is dead."""
    connection = get_connection(studio_id, platform)
    if connection.status != "active":
        raise Conflict(
            f"The connection is {connection.status}; it must be renewed before it can sync",
            code="connection_not_active",
        )
    return connection


def update_connection(studio_id: UUID, platform: str, change: TokenChange) -> Connection:
    """Replaces what is given and keeps the rest: the refresh token, id, history and cursors. A paused sync goes on."""
    for _ in range(UPDATE_ATTEMPTS):
        stored = _stored(studio_id, platform)
        if grants.replace_tokens(stored, change.apply(open_tokens(stored))):
            logs.event("connection.updated", platform=platform, connection_id=stored.id)
            return get_connection(studio_id, platform)
    raise Conflict("The connection is being changed by somebody else", code="connection_changed")


def disconnect(studio_id: UUID, platform: str) -> None:
    """Gives the grant back upstream (best effort, recorded), erases tokens and schedules, keeps logs and data."""
    stored = _stored(studio_id, platform)
    revocation = grants.revoke(stored)
    with transaction(studio_id) as tx:
        tx.run(rows.DISCONNECT, id=stored.id, revocation=revocation)
    logs.event("connection.disconnected", platform=platform, connection_id=stored.id, revocation=revocation)


def test_connection(studio_id: UUID, platform_name: str) -> ConnectionTest:
    """Asks the platform who is connected. What it answers is recorded: the account, or that the grant is dead."""
    platform = syncable_platform(platform_name)
    stored = _stored(studio_id, platform.name)
    try:
        account = _identify(platform, stored)
    except PlatformError as error:
        if isinstance(error, ReconnectRequired):
            mark_broken(stored, error)
        problem = TestError(code=error.code, message=error.message)
        return ConnectionTest(valid=False, checked_at=clock.now(), error=problem)
    with transaction(studio_id) as tx:
        tx.run(
            rows.IDENTIFY_CONNECTION,
            id=stored.id,
            account_id=account.external_id,
            account_name=account.name,
            scopes=list(account.scopes) if account.scopes is not None else None,
        )
    return ConnectionTest(
        valid=True,
        checked_at=clock.now(),
        account=TestedAccount(id=account.external_id, name=account.name),
        missing_scopes=_missing_scopes(platform, account.scopes),
    )


def mark_broken(stored: StoredConnection, error: ReconnectRequired) -> None:
    """The grant died: the studio must reconnect, its schedules pause until then."""
    status = "expired" if isinstance(error, TokenExpired) else "revoked"
    with transaction(stored.studio_id) as tx:
        tx.run(
            rows.BREAK_CONNECTION,
            id=stored.id,
            token_generation=stored.token_generation,
            status=status,
            code=error.code,
            message=error.message,
        )
    logs.event("connection.broken", platform=stored.platform, connection_id=stored.id, status=status, code=error.code)


def _identify(platform: Platform, stored: StoredConnection) -> Account:
    if platform.identify is None:
        raise Conflict(f"{platform.title} has no connection test", code="platform_not_supported")
    return platform.identify(grants.client_for(stored))


def _missing_scopes(platform: Platform, granted: tuple[str, ...] | None) -> list[str]:
    if granted is None:
        return []
    lacking = (stream.scopes for stream in platform.streams if not set(stream.scopes) & set(granted))
    return sorted({scopes[0] for scopes in lacking})


def _stored(studio_id: UUID, platform: str) -> StoredConnection:
    get_platform(platform)
    stored = read(studio_id, rows.FIND_STORED_CONNECTION, platform=platform)
    if stored is None:
        raise not_connected(platform)
    return stored


def _shown(tx: Transaction, platform: str) -> Connection:
    connection = tx.run(rows.FIND_CONNECTION, platform=platform)
    if connection is None:
        raise not_connected(platform)
    return connection
