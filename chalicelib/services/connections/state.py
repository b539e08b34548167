"""Grants: what becomes of them. A connection is made or made again, its tokens replaced, it fails and recovers.

Whatever changes a connection's state writes the event of it and the deliveries for webhooks in the same transaction.
"""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from chalicelib import clock, logs, telemetry, work_queue
from chalicelib.data import connection_state as rows
from chalicelib.data.connections import (
    DRAFT_CONNECTION,
    FIND_CONNECTION,
    FIND_STORED_CONNECTION,
    IDENTIFY_CONNECTION,
    StoredConnection,
)
from chalicelib.data.events import NOTE_EVENT, Change, EventKind
from chalicelib.data.postgres.database import Transaction, read, transaction, write
from chalicelib.data.sync.schedules import SAVE_SCHEDULES
from chalicelib.errors import AppError, Conflict, DecryptionFailed, Misconfigured, TokenExpired
from chalicelib.platforms.core.contract import Identity, Platform, Stream
from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections.tokens import SealedTokens, Tokens, open_refresh_token, seal_tokens
from chalicelib.services.explain import Connection, explain_connection
from chalicelib.services.scheduling.schedules import first_schedules
from chalicelib.services.streams import not_connected

RECONNECTED = "The studio reconnected the account"
REFRESHED = "The access token was refreshed"
RECOVERED = "The connection works again"
DISCONNECTED = "The platform was disconnected"
"""For the runs that a disconnect cancels"""
InTransaction = Callable[[Transaction], None]
ATTEMPTS = 3
"""A refresh may replace the tokens between reading and writing them."""
LONGEST_WAIT = timedelta(days=1)
"""A token that ends sooner than its platform's rule foresees is refreshed after a day, or half its life."""


class StateReason(msgspec.Struct, frozen=True):
    """What a working connection still has to say, such as `scopes_missing`."""

    code: str | None = None
    message: str | None = None


NOTHING = StateReason()


def nothing_more(tx: Transaction) -> None:
    pass


def connect(
    studio_id: UUID,
    platform_name: str,
    grant: TokenGrant,
    account: Identity | None = None,
    streams: list[str] | None = None,
    *,
    in_transaction: InTransaction = nothing_more,
) -> Connection:
    """Stores a grant that the platform gave just now. A connection that is there keeps its id, history and schedules,
    and its cursors unless it is another account's now.

    `streams` are those the studio asked for, all by default; only those that the grant covers are scheduled. What
    `in_transaction` raises undoes all of it.
    """
    platform = get_platform(platform_name)
    scopes = account.scopes if account and account.scopes is not None else grant.scopes
    wanted = platform.streams_named(streams)
    covered = [stream for stream in wanted if stream.is_covered_by(scopes)]
    tokens = Tokens(
        access=grant.access_token,
        refresh=grant.refresh_token,
        expires_at=None,
        scopes=list(scopes) if scopes is not None else None,
        expires_in=grant.expires_in,
        refresh_expires_in=grant.refresh_expires_in,
    )
    reason = _what_is_off(wanted, covered)
    for _ in range(ATTEMPTS):
        stored = read(studio_id, FIND_STORED_CONNECTION, platform=platform.name)
        if stored is None:
            connection = create(studio_id, platform, tokens, account, covered, reason, in_transaction)
        else:
            connection = _reconnect(stored, tokens, account, covered, reason, in_transaction)
        if connection is not None:
            return connection
    raise Conflict("The connection was changed by another request; try again", code="connection_changed")


def create(
    studio_id: UUID,
    platform: Platform,
    tokens: Tokens | None,
    account: Identity | None,
    streams: Sequence[Stream[Any]],
    reason: StateReason = NOTHING,
    in_transaction: InTransaction = nothing_more,
) -> Connection | None:
    """A new connection, or one that was disconnected brought back; None when there is a live one already.

    Without tokens it is one that needs none of its own.
    """
    draft = read(studio_id, DRAFT_CONNECTION, platform=platform.name)
    generation = draft.token_generation + 1
    sealed = None
    if tokens is not None:
        sealed = seal_tokens(
            tokens, draft.data_keys, studio_id=studio_id, connection_id=draft.id, generation=generation
        )
    with transaction(studio_id) as tx:
        made = tx.run(
            rows.INSERT_CONNECTION,
            id=draft.id,
            studio_id=studio_id,
            platform=platform.name,
            needs_token=tokens is not None,
            token_generation=generation,
            account_id=account.external_id if account else None,
            account_name=account.name if account else None,
            **_columns(platform, tokens, sealed, reason),
        )
        if made is None:
            return None
        in_transaction(tx)
        tx.run(SAVE_SCHEDULES, connection_id=draft.id, schedules=first_schedules(tuple(streams)))
        connection = _shown(tx, platform.name)
    enqueue_deliveries(studio_id, made)
    logs.event("connection.created", platform=platform.name, connection_id=draft.id)
    return connection


def _reconnect(
    stored: StoredConnection,
    tokens: Tokens,
    account: Identity | None,
    streams: list[Stream[Any]],
    reason: StateReason,
    in_transaction: InTransaction,
) -> Connection | None:
    """None when the tokens it started from have been replaced meanwhile."""
    kept = tokens.refresh is None and account is not None and account.external_id == stored.account_id
    if kept:
        tokens = replace(tokens, refresh=open_refresh_token(stored))
    sealed = _seal(stored, tokens)
    with transaction(stored.studio_id) as tx:
        replaced = _replace(tx, stored, tokens, sealed, by_hand=True, same_refresh_token=kept, reason=reason)
        if replaced is None:
            return None
        in_transaction(tx)
        if account is not None:
            identify(tx, stored.id, stored.token_generation + 1, account)
        tx.run(SAVE_SCHEDULES, connection_id=stored.id, schedules=first_schedules(tuple(streams)))
        connection = _shown(tx, stored.platform)
    enqueue_deliveries(stored.studio_id, replaced)
    logs.event("connection.reconnected", platform=stored.platform, connection_id=stored.id, was=stored.status)
    return connection


def replace_tokens(
    stored: StoredConnection, tokens: Tokens, *, by_hand: bool = False, same_refresh_token: bool = False
) -> bool:
    """Seals tokens for the next generation and stores them over the one `stored` has; False if that is gone.

    Tokens that come `by_hand` may be anybody's: the next run asks whose they are before it uses a cursor.
    """
    sealed = _seal(stored, tokens)
    with transaction(stored.studio_id) as tx:
        replaced = _replace(tx, stored, tokens, sealed, by_hand=by_hand, same_refresh_token=same_refresh_token)
    if replaced is None:
        return False
    enqueue_deliveries(stored.studio_id, replaced)
    if stored.status != "active":
        logs.event("connection.recovered", platform=stored.platform, connection_id=stored.id, was=stored.status)
    return True


def identify(tx: Transaction, connection_id: UUID, token_generation: int, account: Identity) -> bool:
    """Remembers whose the tokens of this generation are; if another's than before, the streams are read again.

    False when the tokens were replaced meanwhile: whose the new ones are has to be asked again.
    """
    identified = tx.run(
        IDENTIFY_CONNECTION,
        id=connection_id,
        token_generation=token_generation,
        account_id=account.external_id,
        account_name=account.name,
        scopes=list(account.scopes) if account.scopes is not None else None,
    )
    return identified is not None


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


def _replace(
    tx: Transaction,
    stored: StoredConnection,
    tokens: Tokens,
    sealed: SealedTokens,
    *,
    by_hand: bool,
    same_refresh_token: bool,
    reason: StateReason = NOTHING,
) -> Change | None:
    return tx.run(
        rows.REPLACE_TOKENS,
        id=stored.id,
        token_generation=stored.token_generation,
        by_hand=by_hand,
        same_refresh_token=same_refresh_token,
        event_message=RECONNECTED if by_hand else REFRESHED,
        **_columns(get_platform(stored.platform), tokens, sealed, reason),
    )


def _columns(
    platform: Platform, tokens: Tokens | None, sealed: SealedTokens | None, reason: StateReason
) -> dict[str, object]:
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


def _seal(stored: StoredConnection, tokens: Tokens) -> SealedTokens:
    return seal_tokens(
        tokens,
        stored.data_keys,
        studio_id=stored.studio_id,
        connection_id=stored.id,
        generation=stored.token_generation + 1,
    )


def _status_after(error: AppError) -> str:
    if isinstance(error, Misconfigured):
        return "misconfigured"
    if isinstance(error, DecryptionFailed):
        return "error"
    return "expired" if isinstance(error, TokenExpired) else "revoked"


def _what_is_off(wanted: list[Stream[Any]], covered: list[Stream[Any]]) -> StateReason:
    off = [stream.name for stream in wanted if stream not in covered]
    if not off:
        return NOTHING
    return StateReason("scopes_missing", f"The studio did not allow what these streams need: {', '.join(off)}")


def _shown(tx: Transaction, platform: str) -> Connection:
    connection = tx.run(FIND_CONNECTION, platform=platform)
    if connection is None:
        raise not_connected(platform)
    return explain_connection(connection)
