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
from chalicelib.data.connections import FIND_CONNECTION_BY_ID, StoredConnection
from chalicelib.data.events import NOTE_EVENT, Change, EventKind
from chalicelib.data.identities import DRAFT_CONNECTION, FIND_CONNECTION_OF_GRANT, Draft
from chalicelib.data.postgres.database import Transaction, read, transaction, write
from chalicelib.data.sync.schedules import SAVE_SCHEDULES
from chalicelib.errors import (
    AccountConnectedTwice,
    AlreadyExists,
    AnotherAccount,
    AppError,
    AuthorizationFailed,
    Conflict,
    DecryptionFailed,
    Misconfigured,
    TokenExpired,
)
from chalicelib.platforms.core.contract import Identity, Platform, Stream
from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections.identities import identify, known_id, require_same_account
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
Ask = Callable[[Draft], Identity | None]
ATTEMPTS = 3
"""A refresh may replace the tokens between reading and writing them."""
LONGEST_WAIT = timedelta(days=1)
"""A token that ends sooner than its platform's rule foresees is refreshed after a day, or half its life."""


class StateReason(msgspec.Struct, frozen=True):
    """What a working connection still has to say, such as `scopes_missing`."""

    code: str | None = None
    message: str | None = None


NOTHING = StateReason()


class NewGrant(msgspec.Struct, frozen=True):
    """What a connection is made of, or made again."""

    platform: Platform
    tokens: Tokens | None
    """None for a platform that needs none of the studio's"""
    account: Identity | None
    """Whose it is, where that is known"""
    streams: Sequence[Stream[Any]]
    """Those to be scheduled"""
    reason: StateReason = NOTHING


def nothing_more(tx: Transaction) -> None:
    pass


def nobody(draft: Draft) -> Identity | None:
    return None


def connect(
    studio_id: UUID,
    platform_name: str,
    grant: TokenGrant,
    account: Identity | None = None,
    streams: list[str] | None = None,
    *,
    connection_id: UUID | None = None,
    in_transaction: InTransaction = nothing_more,
) -> Connection:
    """Stores a grant that the platform gave just now. The connection of its account keeps its id, history, schedules
    and cursors; an account that has none gets one. With `connection_id` that one is reconnected, or none.

    `streams` are those the studio asked for, all by default; only those that the grant covers are scheduled. What
    `in_transaction` raises undoes all of it. Raises AuthorizationFailed for another account than that of the
    connection.
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
    new = NewGrant(platform, tokens, account, covered, _what_is_off(wanted, covered))
    which = {"platform": platform.name, "account_id": known_id(account), "connection": connection_id}
    for _ in range(ATTEMPTS):
        stored = read(studio_id, FIND_CONNECTION_OF_GRANT, **which)
        if stored is None:
            connection = create(studio_id, new, in_transaction, connection_id=connection_id)
        else:
            require_same_account(platform, stored.account_id, account)
            try:
                connection = _reconnect(stored, new, tokens, in_transaction)
            except (AnotherAccount, AccountConnectedTwice) as error:
                raise AuthorizationFailed(error.message, code=error.code) from error
        if connection is not None:
            return connection
    raise Conflict("The connection was changed by another request; try again", code="connection_changed")


def create(
    studio_id: UUID,
    new: NewGrant,
    in_transaction: InTransaction = nothing_more,
    *,
    connection_id: UUID | None = None,
    ask: Ask = nobody,
) -> Connection | None:
    """A new connection, or that of the same account brought back from its disconnect; None when there is a live one
    already. With `connection_id` it is that one that is brought back.

    Where the account is not known, and has to be told from others, it is asked for.
    """
    which = {"platform": new.platform.name, "connection": connection_id}
    draft = read(studio_id, DRAFT_CONNECTION, account_id=known_id(new.account), **which)
    if new.account is None and (draft.has_known or draft.is_live) and (account := ask(draft)) is not None:
        new = replace(new, account=account)
        draft = read(studio_id, DRAFT_CONNECTION, account_id=known_id(account), **which)
    if connection_id is not None:
        require_same_account(new.platform, draft.account_id, new.account)
    try:
        return _insert(studio_id, draft, new, in_transaction)
    except AlreadyExists:
        return None


def _insert(studio_id: UUID, draft: Draft, new: NewGrant, in_transaction: InTransaction) -> Connection | None:
    platform, tokens, account = new.platform, new.tokens, new.account
    generation, sealed = draft.token_generation + 1, None
    if tokens is not None:
        place = {"studio_id": studio_id, "connection_id": draft.id}
        sealed = seal_tokens(tokens, draft.data_keys, generation=generation, **place)
    with transaction(studio_id) as tx:
        made = tx.run(
            rows.INSERT_CONNECTION,
            id=draft.id,
            studio_id=studio_id,
            platform=platform.name,
            needs_token=tokens is not None,
            token_generation=generation,
            account_id=known_id(account),
            account_name=account.name if account else None,
            **_columns(platform, tokens, sealed, new.reason),
        )
        if made is None:
            return None
        in_transaction(tx)
        tx.run(SAVE_SCHEDULES, connection_id=draft.id, schedules=first_schedules(tuple(new.streams)))
        connection = _shown(tx, draft.id, platform.name)
    enqueue_deliveries(studio_id, made)
    logs.event("connection.created", platform=platform.name, connection_id=draft.id)
    return connection


def _reconnect(
    stored: StoredConnection, new: NewGrant, tokens: Tokens, in_transaction: InTransaction
) -> Connection | None:
    """None when the tokens it started from have been replaced meanwhile."""
    account = new.account
    kept = tokens.refresh is None and account is not None and account.external_id == stored.account_id
    if kept:
        tokens = replace(tokens, refresh=open_refresh_token(stored))
    sealed = _seal(stored, tokens)
    with transaction(stored.studio_id) as tx:
        replaced = _replace(tx, stored, tokens, sealed, by_hand=True, same_refresh_token=kept, reason=new.reason)
        if replaced is None:
            return None
        in_transaction(tx)
        if account is not None:
            identify(tx, stored.id, stored.token_generation + 1, account)
        tx.run(SAVE_SCHEDULES, connection_id=stored.id, schedules=first_schedules(tuple(new.streams)))
        connection = _shown(tx, stored.id, stored.platform)
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


def _shown(tx: Transaction, connection_id: UUID, platform: str) -> Connection:
    connection = tx.run(FIND_CONNECTION_BY_ID, id=connection_id)
    if connection is None:
        raise not_connected(platform)
    return explain_connection(connection)
