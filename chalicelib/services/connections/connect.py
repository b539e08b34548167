"""Connecting: a grant becomes a connection, or a connection is made again of a new grant."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from chalicelib import logs
from chalicelib.data import connection_state as rows
from chalicelib.data.connections import FIND_CONNECTION_BY_ID, ConnectionFacts, StoredConnection
from chalicelib.data.events import Change
from chalicelib.data.identities import DRAFT_CONNECTION, FIND_CONNECTION_OF_GRANT, Draft
from chalicelib.data.postgres.database import Call, Transaction, read, transaction
from chalicelib.data.sync.schedules import SAVE_SCHEDULES
from chalicelib.errors import (
    AccountConnectedTwice,
    AlreadyExists,
    AnotherAccount,
    AuthorizationFailed,
    Conflict,
)
from chalicelib.platforms.core.contract import Identity, Platform, Stream
from chalicelib.platforms.core.oauth2 import TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.services.connections.identities import identify, known_id, require_same_account
from chalicelib.services.connections.state import NOTHING, StateReason, enqueue_deliveries, replacement, token_columns
from chalicelib.services.connections.tokens import Tokens, open_refresh_token, seal_tokens
from chalicelib.services.explain import Connection, explain_connection
from chalicelib.services.scheduling.schedules import first_schedules

InTransaction = Callable[[Transaction], None]
Ask = Callable[[Draft], Identity | None]
ATTEMPTS = 3
"""A refresh may replace the tokens between reading and writing them."""


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
    tokens = _tokens_of(grant, scopes)
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


def _tokens_of(grant: TokenGrant, scopes: Sequence[str] | None) -> Tokens:
    return Tokens(
        access=grant.access_token,
        refresh=grant.refresh_token,
        expires_at=None,
        scopes=list(scopes) if scopes is not None else None,
        expires_in=grant.expires_in,
        refresh_expires_in=grant.refresh_expires_in,
    )


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
    made = Call(
        rows.INSERT_CONNECTION,
        {
            "id": draft.id,
            "studio_id": studio_id,
            "platform": platform.name,
            "needs_token": tokens is not None,
            "token_generation": generation,
            "account_id": known_id(account),
            "account_name": account.name if account else None,
            **token_columns(platform, tokens, sealed, new.reason),
        },
    )
    with transaction(studio_id) as tx:
        change, connection = _finish(tx, made, new, draft.id, generation, in_transaction)
    if change is None or connection is None:
        return None
    enqueue_deliveries(studio_id, change)
    logs.event("connection.created", platform=platform.name, connection_id=draft.id)
    return explain_connection(connection)


def _reconnect(
    stored: StoredConnection, new: NewGrant, tokens: Tokens, in_transaction: InTransaction
) -> Connection | None:
    """None when the tokens it started from have been replaced meanwhile."""
    account = new.account
    kept = tokens.refresh is None and account is not None and account.external_id == stored.account_id
    if kept:
        tokens = replace(tokens, refresh=open_refresh_token(stored))
    call = replacement(stored, tokens, by_hand=True, same_refresh_token=kept, reason=new.reason)
    generation = stored.token_generation + 1

    def complete(tx: Transaction) -> None:
        in_transaction(tx)
        if account is not None:
            identify(tx, stored.id, generation, account)

    with transaction(stored.studio_id) as tx:
        replaced, connection = _finish(tx, call, new, stored.id, generation, complete)
    if replaced is None or connection is None:
        return None
    enqueue_deliveries(stored.studio_id, replaced)
    logs.event("connection.reconnected", platform=stored.platform, connection_id=stored.id, was=stored.status)
    return explain_connection(connection)


def _finish(
    tx: Transaction, write: Call, new: NewGrant, connection_id: UUID, generation: int, in_transaction: InTransaction
) -> tuple[Change | None, ConnectionFacts | None]:
    """Writes the connection, schedules its streams and reads it, all in one round trip if there is nothing else to do
    in the transaction. Nothing is scheduled if the write finds another generation than it expects."""
    schedules = first_schedules(tuple(new.streams))
    rest = (
        Call(SAVE_SCHEDULES, {"connection_id": connection_id, "token_generation": generation, "schedules": schedules}),
        Call(FIND_CONNECTION_BY_ID, {"id": connection_id}),
    )
    if in_transaction is nothing_more:
        change, _, connection = tx.finish(write, *rest)
        return change, connection
    change = tx.run(write.query, **write.params)
    if change is None:
        return None, None
    in_transaction(tx)
    _, connection = tx.finish(*rest)
    return change, connection


def _what_is_off(wanted: list[Stream[Any]], covered: list[Stream[Any]]) -> StateReason:
    off = [stream.name for stream in wanted if stream not in covered]
    if not off:
        return NOTHING
    return StateReason("scopes_missing", f"The studio did not allow what these streams need: {', '.join(off)}")
