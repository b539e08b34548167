"""The state of connections: their tokens are replaced, they fail and recover.

Whatever changes a connection's state writes the event of it and the deliveries for webhooks in the same transaction.
"""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import clock, logs, telemetry, work_queue
from chalicelib.data import connection_state as rows
from chalicelib.data.connections import FIND_CONNECTION_BY_ID, StoredConnection
from chalicelib.data.events import NOTE_EVENT, Change, EventKind
from chalicelib.data.postgres.database import Call, transaction, write
from chalicelib.errors import (
    AppError,
    DecryptionFailed,
    Misconfigured,
    TokenExpired,
)
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.oauth2 import OAuth2
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections.tokens import SealedTokens, Tokens, seal_tokens
from chalicelib.services.explain import Connection, explain_connection

RECONNECTED = "The studio reconnected the account"
REFRESHED = "The access token was refreshed"
RECOVERED = "The connection works again"
DISCONNECTED = "The platform was disconnected"
"""For the runs that a disconnect cancels"""
LONGEST_WAIT = timedelta(days=1)
"""A token that ends sooner than its platform's rule foresees is refreshed after a day, or half its life."""


class StateReason(msgspec.Struct, frozen=True):
    """What a working connection still has to say, such as `scopes_missing`."""

    code: str | None = None
    message: str | None = None


NOTHING = StateReason()


def replace_tokens(stored: StoredConnection, tokens: Tokens, *, same_refresh_token: bool = False) -> bool:
    """Stores refreshed tokens over those of `stored`; False if these were replaced meanwhile."""
    call = replacement(stored, tokens, by_hand=False, same_refresh_token=same_refresh_token)
    replaced = write(stored.studio_id, call.query, **call.params)
    return _announce(stored, replaced)


def update_tokens(
    stored: StoredConnection, tokens: Tokens, *, by_hand: bool, same_refresh_token: bool
) -> Connection | None:
    """The same for tokens that a request brings; returns the connection with them, None if those of `stored` are gone.

    Tokens that come `by_hand` may be anybody's: the next run asks whose they are before it uses a cursor.
    """
    call = replacement(stored, tokens, by_hand=by_hand, same_refresh_token=same_refresh_token)
    with transaction(stored.studio_id) as tx:
        replaced, connection = tx.finish(call, Call(FIND_CONNECTION_BY_ID, {"id": stored.id}))
    if not _announce(stored, replaced):
        return None
    return explain_connection(connection) if connection is not None else None


def _announce(stored: StoredConnection, replaced: Change | None) -> bool:
    """Sends the deliveries, after the commit. False if nothing was replaced."""
    if replaced is None:
        return False
    enqueue_deliveries(stored.studio_id, replaced)
    if stored.status != "active":
        logs.event("connection.recovered", platform=stored.platform, connection_id=stored.id, was=stored.status)
    return True


def fail_connection(stored: StoredConnection, error: AppError) -> None:
    """It no longer works. When the grant died, its schedules pause until the studio reconnects; when our own client or
    keys are at fault (Misconfigured, DecryptionFailed), syncs go on being tried and it recovers by itself.

    Nothing happens when its tokens were replaced meanwhile.
    """
    status = _status_after(error)
    broken = write(
        stored.studio_id,
        rows.FAIL_CONNECTION,
        id=stored.id,
        token_generation=stored.token_generation,
        status=status,
        code=error.code,
        message=error.message,
    )
    if broken is not None:
        enqueue_deliveries(stored.studio_id, broken)
        telemetry.count("ConnectionsFailed", platform=stored.platform)
        logs.event(
            "connection.failed",
            platform=stored.platform,
            connection_id=stored.id,
            status=status,
            code=error.code,
            reason=str(error),
        )


def recover(stored: StoredConnection) -> None:
    """It works again although its tokens are the same: what was at fault is mended."""
    recovered = write(
        stored.studio_id,
        rows.RECOVER_CONNECTION,
        id=stored.id,
        token_generation=stored.token_generation,
        event_message=RECOVERED,
    )
    if recovered is not None:
        enqueue_deliveries(stored.studio_id, recovered)
        logs.event("connection.recovered", platform=stored.platform, connection_id=stored.id, was=stored.status)


def note_event(
    studio_id: UUID, connection_id: UUID, kind: EventKind, *, code: str | None = None, message: str | None = None
) -> None:
    """For what changes no state, such as a warning; `message` is for the studio."""
    write(studio_id, NOTE_EVENT, id=connection_id, kind=kind, code=code, message=message)


def enqueue_deliveries(studio_id: UUID, change: Change) -> None:
    """Asks workers for the deliveries that a committed change has made."""
    work_queue.enqueue(work_queue.DeliveryMessage(id=id, studio_id=studio_id) for id in change.deliveries)


def replacement(
    stored: StoredConnection,
    tokens: Tokens,
    *,
    by_hand: bool,
    same_refresh_token: bool,
    reason: StateReason = NOTHING,
) -> Call:
    """Seals tokens for the next generation, to be stored over those of `stored`."""
    sealed = seal_tokens(
        tokens,
        stored.data_keys,
        studio_id=stored.studio_id,
        connection_id=stored.id,
        generation=stored.token_generation + 1,
    )
    params = {
        "id": stored.id,
        "token_generation": stored.token_generation,
        "by_hand": by_hand,
        "same_refresh_token": same_refresh_token,
        "event_message": RECONNECTED if by_hand else REFRESHED,
    }
    return Call(rows.REPLACE_TOKENS, params | token_columns(get_platform(stored.platform), tokens, sealed, reason))


def token_columns(
    platform: Platform, tokens: Tokens | None, sealed: SealedTokens | None, reason: StateReason
) -> dict[str, Any]:
    """What a store of tokens writes. Lifetimes go in as seconds: the database adds them to its own clock."""
    return {
        "access_token": sealed.access if sealed else None,
        "refresh_token": sealed.refresh if sealed else None,
        "expires_in": tokens.expires_in if tokens else None,
        "token_expires_at": tokens.expires_at if tokens else None,
        "refresh_expires_in": tokens.refresh_expires_in if tokens else None,
        "refresh_in": _refresh_in(platform.oauth, tokens) if platform.oauth and tokens else None,
        "scopes": tokens.scopes if tokens else None,
        "status_code": reason.code,
        "status_message": reason.message,
    }


def _refresh_in(oauth: OAuth2, tokens: Tokens) -> float | None:
    """Seconds until the grant is refreshed although nobody needs it; None: not at all."""
    if oauth.needs_refresh_token and tokens.refresh is None:
        return None
    rules = [oauth.refresh_every.total_seconds()] if oauth.refresh_every else []
    left = _seconds_left(tokens)
    if oauth.refresh_before is not None and left is not None:
        rules.append(max(left - oauth.refresh_before.total_seconds(), min(LONGEST_WAIT.total_seconds(), left / 2)))
    # Grants that were given together are not to come back together.
    return max(min(rules), 0) * random.uniform(0.95, 1) if rules else None  # noqa: S311


def _seconds_left(tokens: Tokens) -> float | None:
    if tokens.expires_in is not None:
        return tokens.expires_in
    return (tokens.expires_at - clock.now()).total_seconds() if tokens.expires_at else None


def _status_after(error: AppError) -> str:
    if isinstance(error, Misconfigured):
        return "misconfigured"
    if isinstance(error, DecryptionFailed):
        return "error"
    return "expired" if isinstance(error, TokenExpired) else "revoked"
