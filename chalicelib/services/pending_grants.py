"""Pending grants: a grant waits until the studio that started the authorization completes it, or is revoked.

Anyone who opens an authorize URL consents with an account of their own, so a callback proves who consented, not who
started. Only the callback's code together with the studio's API key turns the grant into a connection.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chalicelib import logs
from chalicelib.data import pending_grants as rows
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.oauth_states import TakenState
from chalicelib.data.pending_grants import StoredGrant
from chalicelib.data.postgres.database import Transaction, read, write
from chalicelib.data.postgres.rows import Row
from chalicelib.errors import AppError, AuthorizationFailed, Conflict, DecryptionFailed, Unavailable
from chalicelib.platforms.core.contract import GrantWarning, Identity, Platform, Stream
from chalicelib.platforms.core.oauth2 import TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.security.oauth_states import hash_completion_code, new_completion_code
from chalicelib.services.connections import state as connection_state
from chalicelib.services.connections.connect import connect
from chalicelib.services.connections.identification import identify_unknown
from chalicelib.services.connections.revocations import revoke_pending, revoke_unused
from chalicelib.services.connections.tokens import Tokens, open_grant, seal_grant
from chalicelib.services.dispatch import enqueue_due
from chalicelib.services.explain import Connection
from chalicelib.services.sync.runs import start_sync
from chalicelib.work_queue import RevocationMessage

CODE_SECONDS = 600
MAX_ATTEMPTS = 5
"""Attempts to revoke a grant, a quarter of an hour apart; after the last one its tokens are erased anyway."""


class HeldGrant(msgspec.Struct, frozen=True):
    """A grant that waits for its completion, and the code, which is shown only once."""

    platform: str
    account_name: str | None
    code: Secret
    expires_at: datetime


class CompletedAuthorization(Row):
    """The connection that an authorization created or reconnected, and the permissions that were denied."""

    connection: Connection
    """The connection, new or reconnected."""
    missing_scopes: list[str]
    """For each stream in `streamsOff`, a scope that would turn it on."""
    streams_off: list[str]
    """The streams that were requested and cannot sync, because a permission was denied."""
    warnings: list[GrantWarning]
    """Limitations of the grant; empty when there are none."""


def hold_grant(
    taken: TakenState,
    platform: Platform,
    grant: TokenGrant,
    account: Identity | None,
    *,
    warnings: Sequence[GrantWarning],
    data_keys: Sequence[StoredDataKey],
) -> HeldGrant:
    """Stores a grant that was just issued, sealed, in place of its authorization's state.

    A grant that cannot be stored is revoked, since it would never be used. Raises AuthorizationFailed if the studio is
    gone.
    """
    new = new_completion_code()
    try:
        expires_at = _store(taken, grant, account, warnings, data_keys, new.hash)
    except Unavailable:
        raise  # the check for a shared grant needs the database too
    except AppError:
        account_id = account.external_id if account else None
        token = grant.refresh_token or grant.access_token
        outcome = revoke_unused(taken.studio_id, platform, token, account_id, taken.id)
        logs.event("authorization.not_stored", outcome=outcome)
        raise
    logs.event("authorization.pending")
    return HeldGrant(platform.name, account.name if account else None, new.code, expires_at)


def complete_authorization(studio_id: UUID, platform_name: str, code: Secret) -> CompletedAuthorization:
    """Creates a connection from the grant with this code, and starts its first syncs.

    The transaction that stores the connection consumes the code: an earlier failure leaves both unchanged. Raises
    AuthorizationFailed for any invalid code, Conflict for a grant that cannot be decrypted.
    """
    platform, code_hash = get_platform(platform_name), hash_completion_code(code)
    stored = read(studio_id, rows.FIND_GRANT_BY_CODE, code_hash=code_hash, platform=platform.name)
    if stored is None:
        raise _code_refused()

    def take(tx: Transaction) -> None:
        if tx.run(rows.TAKE_GRANT, id=stored.id, code_hash=code_hash) is None:
            raise _code_refused()

    if stored.beside_unidentified and stored.connection_id is None:
        identify_unknown(studio_id, platform)
    connection = connect(
        studio_id,
        platform.name,
        _grant(stored),
        _account(stored),
        stored.streams,
        connection_id=stored.connection_id,
        in_transaction=take,
    )
    warnings = [GrantWarning(warning.code, warning.message) for warning in stored.warnings]
    for warning in warnings:
        connection_state.note_event(studio_id, connection.id, "warning", code=warning.code, message=warning.message)
    wanted = platform.streams_named(stored.streams)
    covered = [stream for stream in wanted if stream.is_covered_by(stored.scopes)]
    _start_first_syncs(studio_id, platform, connection.id, covered)
    logs.event("authorization.completed", platform=platform.name, connection_id=connection.id)
    off = [stream for stream in wanted if stream not in covered]
    return CompletedAuthorization(
        connection=connection,
        missing_scopes=sorted({scope for stream in off for scope in stream.find_missing_scopes(stored.scopes)}),
        streams_off=[stream.name for stream in off],
        warnings=warnings,
    )


def enqueue_expired_grants() -> int:
    """Expires every grant that was not completed in time, and enqueues its revocation. Returns how many."""
    return enqueue_due(
        rows.CLAIM_EXPIRED_GRANTS, lambda expired: RevocationMessage(id=expired.grant_id, studio_id=expired.studio_id)
    )


def revoke_expired_grant(studio_id: UUID, grant_id: UUID) -> str:
    """Revokes a grant that was never completed, best effort, and erases its tokens.

    Returns the outcome: dropped, revoked, shared, unsupported or failed. After a failure the tick enqueues another
    attempt; the last one erases the tokens in any case.
    """
    with logs.bound(studio_id=studio_id, grant_id=grant_id):
        stored = read(studio_id, rows.FIND_EXPIRED_GRANT, id=grant_id)
        if stored is None:
            logs.event("message.dropped", reason="not_due")
            return "dropped"
        outcome = revoke_pending(stored)
        erased = outcome != "failed" or stored.attempts >= MAX_ATTEMPTS
        if erased:
            write(studio_id, rows.DELETE_PENDING_GRANT, id=grant_id)
        logs.event(
            "authorization.expired", platform=stored.platform, outcome=outcome, attempts=stored.attempts, erased=erased
        )
        return outcome


def authorization_unknown() -> AuthorizationFailed:
    return AuthorizationFailed("The authorization is unknown, already completed, or expired: start again")


def _store(
    taken: TakenState,
    grant: TokenGrant,
    account: Identity | None,
    warnings: Sequence[GrantWarning],
    data_keys: Sequence[StoredDataKey],
    code_hash: bytes,
) -> datetime:
    sealed = seal_grant(
        grant.access_token, grant.refresh_token, data_keys, studio_id=taken.studio_id, grant_id=taken.id
    )
    scopes = account.scopes if account and account.scopes is not None else grant.scopes
    held = write(
        taken.studio_id,
        rows.HOLD_GRANT,
        id=taken.id,
        code_hash=code_hash,
        access_token=sealed.access,
        refresh_token=sealed.refresh,
        expires_in=grant.expires_in,
        refresh_expires_in=grant.refresh_expires_in,
        scopes=list(scopes) if scopes is not None else None,
        account_id=account.external_id if account else None,
        account_name=account.name if account else None,
        warnings=list(warnings),
        seconds=CODE_SECONDS,
    )
    if held is None:
        raise authorization_unknown()
    return held.expires_at


def _grant(stored: StoredGrant) -> TokenGrant:
    tokens = _opened(stored)
    return TokenGrant(
        access_token=tokens.access,
        refresh_token=tokens.refresh,
        expires_in=tokens.expires_in,
        scopes=tuple(stored.scopes) if stored.scopes is not None else None,
        refresh_expires_in=tokens.refresh_expires_in,
    )


def _opened(stored: StoredGrant) -> Tokens:
    try:
        return open_grant(stored)
    except DecryptionFailed as error:
        raise Conflict(
            "The stored grant can no longer be decrypted: start the authorization again",
            code="tokens_unreadable",
            internal=str(error),
        ) from error


def _account(stored: StoredGrant) -> Identity | None:
    return None if stored.account_id is None else Identity(stored.account_id, stored.account_name or "")


def _start_first_syncs(
    studio_id: UUID, platform: Platform, connection_id: UUID, streams: Sequence[Stream[Any]]
) -> None:
    """The connection exists by now: the tick starts any sync that cannot be started here."""
    try:
        for stream in streams:
            start_sync(studio_id, platform.name, stream.name, connection=connection_id)
    except AppError as error:
        logs.event("authorization.first_sync_failed", code=error.code, reason=str(error))


def _code_refused() -> AuthorizationFailed:
    """The same for all: it does not reveal whether a code was ever issued."""
    return AuthorizationFailed(
        "The code is wrong, was used before, has expired, or belongs to another studio: start the authorization again",
        code="completion_code_invalid",
    )
