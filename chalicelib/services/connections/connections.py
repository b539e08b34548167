"""Connections: a studio's links to accounts of platforms. Tokens are sealed on arrival and never returned."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from chalicelib import clock, logs
from chalicelib.data import connections as rows
from chalicelib.data.connection_state import DISCONNECT
from chalicelib.data.connections import DEAD, StoredConnection
from chalicelib.data.events import FIND_CONNECTION_ID, LIST_EVENTS, Event
from chalicelib.data.identities import Draft
from chalicelib.data.postgres.database import read, write
from chalicelib.data.postgres.rows import ErrorCode, ErrorMessage, Moment, Row
from chalicelib.data.reasons import Code
from chalicelib.errors import (
    Conflict,
    DecryptionFailed,
    FieldProblem,
    InvalidInput,
    PlatformError,
    ReconnectRequired,
    Throttled,
    Unreadable,
)
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity, Platform
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.services.connections import state as connection_state
from chalicelib.services.connections.clients import Session
from chalicelib.services.connections.connect import ATTEMPTS, NewGrant, create
from chalicelib.services.connections.credentials import platform_key
from chalicelib.services.connections.identification import identify, identify_unknown
from chalicelib.services.connections.revocations import revoke
from chalicelib.services.connections.tokens import Tokens, open_access_token, open_refresh_token
from chalicelib.services.explain import Connection, explain_connection
from chalicelib.services.streams import not_chosen
from chalicelib.services.throttling.platform_calls import requested_call
from chalicelib.settings import get_settings


class TestedAccount(Row):
    """The connected account, as the platform reports it."""

    id: str
    """The platform's id of the account."""
    name: str
    """The name of the account."""


class TestError(Row):
    """Why a connection is not valid."""

    code: ErrorCode
    message: ErrorMessage


class ConnectionTest(Row):
    """The result of testing a connection at its platform."""

    valid: bool
    """Whether the connection works."""
    checked_at: Moment
    """When the connection was tested."""
    account: TestedAccount | None = None
    """The connected account; null when the connection is not valid."""
    missing_scopes: list[str] = []
    """For each stream that the grant does not cover, a scope that would cover it. Streams whose scopes the platform
    restricts are considered only if they are scheduled."""
    error: TestError | None = None
    """Why the connection is not valid; null when it is."""


class TokenChange(msgspec.Struct, frozen=True):
    """New tokens; None keeps a value. A new access token comes with its own expiry, or none."""

    access: Secret | None = None
    refresh: Secret | None = None
    expires_at: datetime | None = None
    scopes: list[str] | None = None

    @property
    def by_hand(self) -> bool:
        """Whether it includes a token, which may belong to another account."""
        return self.access is not None or self.refresh is not None

    def apply(self, stored: StoredConnection) -> Tokens:
        """Decrypts only tokens that stay: those that cannot be decrypted can still be replaced."""
        return Tokens(
            access=self.access or open_access_token(stored),
            refresh=self.refresh or open_refresh_token(stored),
            expires_at=self.expires_at if self.access or self.expires_at else stored.token_expires_at,
            scopes=stored.scopes if self.scopes is None else self.scopes,
        )


def list_connections(studio_id: UUID, connection: UUID | None = None) -> list[Connection]:
    return [explain_connection(facts) for facts in read(studio_id, rows.LIST_CONNECTIONS, connection=connection)]


def get_connection(studio_id: UUID, platform: str, connection: UUID | None = None) -> Connection:
    """The named connection, or the platform's only one. Raises as `not_chosen` does."""
    facts = read(studio_id, rows.FIND_CONNECTION, platform=platform, connection=connection)
    if facts is None:
        raise not_chosen(studio_id, platform, connection)
    return explain_connection(facts)


def create_connection(studio_id: UUID, platform_name: str, tokens: Tokens) -> Connection:
    """Stores a new grant and schedules its streams. The platform is asked for the account only if the studio has, or
    had, another account of it connected.

    Raises Conflict if the account is already connected, InvalidInput for tokens that the platform does not accept, and
    if the platform is called, as `requested_call` does.
    """
    platform = get_platform(platform_name)
    return _create(studio_id, platform, tokens, None)


def connect_account(studio_id: UUID, platform_name: str, account_id: str | None) -> Connection:
    """Connects a platform without grants: its account is looked up with a key of ours, or not at all.

    Raises InvalidInput for an account that the platform does not know, Conflict if it is already connected, and as
    `requested_call` does.
    """
    platform = get_platform(platform_name)
    account = _look_up(studio_id, platform, account_id) if account_id is not None else None
    return _create(studio_id, platform, None, account)


def list_events(
    studio_id: UUID, platform: str, *, connection: UUID | None = None, before: UUID | None, limit: int
) -> list[Event]:
    """The connection's events, newest first, starting with the one before `before`; also after a disconnect."""
    row = read(studio_id, FIND_CONNECTION_ID, platform=platform, connection=connection)
    if row is None:
        raise not_chosen(studio_id, platform, connection, or_ended=True)
    return read(studio_id, LIST_EVENTS, connection_id=row.id, before=before, limit=limit)


def usable_connection(studio_id: UUID, platform: str, connection: UUID | None = None) -> Connection:
    """Raises Conflict if the grant is dead, and as `get_connection` does."""
    usable = get_connection(studio_id, platform, connection)
    if usable.status in DEAD:
        title = get_platform(platform).title
        raise Conflict(
            f"The connection is {usable.status}: reconnect {title} before syncing it",
            code="connection_not_active",
        )
    return usable


def update_connection(
    studio_id: UUID, platform: str, change: TokenChange, connection: UUID | None = None
) -> Connection:
    """Replaces the given values and keeps the rest: refresh token, id, history and cursors. A paused sync continues.

    The platform is not called now: the next run identifies the account before it uses a cursor. Tokens of another
    account make the connection fail.
    """
    if get_platform(platform).credential != "oauth":
        raise Conflict("This platform is connected without tokens: disconnect it, then reconnect", code="no_tokens")
    for _ in range(ATTEMPTS):
        stored = _stored(studio_id, platform, connection)
        tokens = _changed(stored, change)
        updated = connection_state.update_tokens(
            stored, tokens, by_hand=change.by_hand, same_refresh_token=change.refresh is None
        )
        if updated is not None:
            logs.event("connection.updated", platform=platform, connection_id=stored.id)
            return updated
    raise Conflict("The connection was changed by another request; try again", code="connection_changed")


def disconnect(studio_id: UUID, platform: str, connection: UUID | None = None) -> None:
    """Revokes the grant at the platform (best effort, recorded) unless another connection shares it, erases tokens and
    schedules, and keeps logs and data. A connection that cannot be read is disconnected as well.

    Raises TooManyRequests if the studio has used up its platform calls.
    """
    try:
        stored = _stored(studio_id, platform, connection)
        connection_id, revocation = stored.id, revoke(stored)
    except Unreadable as error:
        row = read(studio_id, FIND_CONNECTION_ID, platform=platform, connection=connection)
        if row is None:
            raise not_chosen(studio_id, platform, connection, or_ended=True) from error
        connection_id, revocation = row.id, "failed"
        logs.event("connection.revocation_failed", platform=platform, code=error.code, reason=str(error))
    disconnected = write(
        studio_id,
        DISCONNECT,
        id=connection_id,
        account_id=None,
        revocation=revocation,
        run_message=connection_state.DISCONNECTED,
    )
    if disconnected is not None:
        connection_state.enqueue_deliveries(studio_id, disconnected)
    logs.event("connection.disconnected", platform=platform, connection_id=connection_id, revocation=revocation)


def test_connection(studio_id: UUID, platform_name: str, connection: UUID | None) -> ConnectionTest:
    """Asks the platform for the account and stores the result: the account, or that the grant is dead.

    A failed connection is not valid even if the platform still accepts its token: its syncs were rejected. Raises as
    `requested_call` does: without a call, nothing is known about the connection.
    """
    platform = get_platform(platform_name)
    stored = read(studio_id, rows.FIND_SCHEDULED_CONNECTION, platform=platform.name, connection=connection)
    if stored is None:
        raise not_chosen(studio_id, platform.name, connection)
    session = Session(stored, platform)
    try:
        account = identify(platform, session)
    except Throttled:
        raise
    except (PlatformError, DecryptionFailed) as error:
        if isinstance(error, ReconnectRequired | DecryptionFailed):
            connection_state.fail_connection(session.stored, error)
        return _invalid(error.code, error.message)
    if session.stored.status in DEAD:
        reason = get_connection(studio_id, platform.name, stored.id).status_reason
        return _invalid(reason.code or Code.CONNECTION_NOT_ACTIVE, reason.message or ReconnectRequired.title)
    return ConnectionTest(
        valid=True,
        checked_at=clock.now(),
        account=TestedAccount(id=account.external_id, name=account.name),
        missing_scopes=_missing_scopes(platform, account.scopes, stored.streams),
    )


def _invalid(code: str, message: str) -> ConnectionTest:
    return ConnectionTest(valid=False, checked_at=clock.now(), error=TestError(code=code, message=message))


def _changed(stored: StoredConnection, change: TokenChange) -> Tokens:
    try:
        return change.apply(stored)
    except DecryptionFailed as error:
        problem = "The tokens that you did not send can no longer be decrypted: send both, or reconnect"
        raise Conflict(problem, code="tokens_unreadable", internal=str(error)) from error


def _look_up(studio_id: UUID, platform: Platform, account_id: str) -> Identity | None:
    if platform.identify is None:
        return None
    sandbox_url = get_settings().platform_sandbox_url
    client = Client(platform, platform_key(platform), account_id=account_id, sandbox_url=sandbox_url)
    try:
        with requested_call(studio_id, platform) as call:
            return platform.identify(call.uses(client))
    except ReconnectRequired as error:
        problem = FieldProblem("accountId", f"is not known to {platform.title}")
        raise InvalidInput(fields=[problem], internal=str(error)) from error


def _missing_scopes(platform: Platform, granted: tuple[str, ...] | None, scheduled: Sequence[str]) -> list[str]:
    expected = (stream for stream in platform.streams if not stream.restricted or stream.name in scheduled)
    return sorted({scope for stream in expected for scope in stream.find_missing_scopes(granted)})


def _create(studio_id: UUID, platform: Platform, tokens: Tokens | None, account: Identity | None) -> Connection:
    def ask(draft: Draft) -> Identity | None:
        return None if tokens is None else _account_of(studio_id, platform, tokens, draft)

    new = NewGrant(platform, tokens, account, platform.streams)
    created = create(studio_id, new, ask=ask)
    if created is None:
        raise Conflict(f"This account of {platform.title} is already connected", code="connection_exists")
    return created


def _account_of(studio_id: UUID, platform: Platform, tokens: Tokens, draft: Draft) -> Identity | None:
    """The account of new tokens, to distinguish it from connected ones. Raises InvalidInput for dead tokens, Conflict
    if the platform cannot identify it now and the account of an existing connection is unknown as well."""
    if platform.identify is None:
        return None
    client = Client(platform, tokens.access, sandbox_url=get_settings().platform_sandbox_url)
    try:
        identify_unknown(studio_id, platform)
        with requested_call(studio_id, platform) as call:
            return platform.identify(call.uses(client))
    except ReconnectRequired as error:
        problem = FieldProblem("accessToken", f"is not accepted by {platform.title}")
        raise InvalidInput(fields=[problem], internal=str(error)) from error
    except PlatformError as error:
        if not draft.is_live:
            raise
        raise Conflict(
            f"{platform.title} is already connected, and cannot confirm right now that this is another account:"
            " try again later",
            code="connection_exists",
            internal=str(error),
        ) from error


def _stored(studio_id: UUID, platform: str, connection: UUID | None) -> StoredConnection:
    stored = read(studio_id, rows.FIND_STORED_CONNECTION, platform=platform, connection=connection)
    if stored is None:
        raise not_chosen(studio_id, platform, connection)
    return stored
