"""Inbound webhooks: events that platforms report about their users lead to the same states as our own findings.

An event may arrive twice, and late. So an event older than a working connection's state is ignored: the connection has
got a new grant since.
"""

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from chalicelib import clock, logs
from chalicelib.data import connection_state as grant_rows
from chalicelib.data import webhooks as rows
from chalicelib.data.pending_grants import END_ACCOUNT_GRANTS
from chalicelib.data.postgres.database import read, transaction, write
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.data.webhooks import AccountConnection
from chalicelib.errors import NotFound, TokenRevoked, Unavailable
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.core.webhooks import AccountEvent, Effect, WebhookSender
from chalicelib.services.connections import state as connection_state
from chalicelib.services.webhook_signatures import PlatformVerifier

CLOCKS_APART = timedelta(minutes=1)
ATTEMPTS = 3
"""A refresh may replace the tokens between reading the connection and failing it."""
CODE_BYTES = 16
DELETED = "The tokens and the account's id and name were erased from {count} connections."
NOTHING_KNOWN = "No data about the account was stored."
UNDER_WAY = "The deletion has not been completed; please request it again."
_CODE = re.compile(rf"[0-9a-f]{{{2 * CODE_BYTES}}}")


class _Outcome(NamedTuple):
    """The effect of an event: how many connections and pending grants it changed."""

    connections: int
    code: str = ""
    """Of the erasure, if there was one"""


class DeletionStatus(Row):
    """The status of a request to delete a user's data."""

    state: Literal["done", "under_way"]
    """`done`, or `under_way`: the deletion has not been completed."""
    message: str
    """A sentence for the user that says what was deleted."""
    requested_at: Moment
    """When the platform sent the request."""
    done_at: Moment | None
    """When the data had been deleted; null until then."""


def handle_webhook(platform: Platform, sender: WebhookSender[Any, Any], body: Any) -> list[str]:
    """Verifies a webhook and applies its events. Returns a code per erased account, for looking up the status. Raises
    BadRequest."""
    report = sender.parse(sender.verify(body, PlatformVerifier(platform)), clock.now())
    outcomes = [_EFFECTS[event.effect](platform.name, event) for event in report.events]
    logs.event(
        "webhook.handled",
        platform=platform.name,
        sender=sender.name,
        kinds=report.kinds or (sender.name,),
        connections=sum(outcome.connections for outcome in outcomes),
    )
    return [outcome.code for outcome in outcomes if outcome.code]


def get_deletion_status(platform: str, code: str) -> DeletionStatus:
    is_code = _CODE.fullmatch(code)
    deletion = read(None, rows.FIND_DATA_DELETION, platform=platform, code_hash=_hash(code)) if is_code else None
    if deletion is None:
        raise NotFound("Data deletion request not found", code="deletion_not_found")
    done = DELETED.format(count=deletion.connections) if deletion.connections else NOTHING_KNOWN
    return DeletionStatus(
        state="done" if deletion.done_at else "under_way",
        message=done if deletion.done_at else UNDER_WAY,
        requested_at=deletion.requested_at,
        done_at=deletion.done_at,
    )


def _revoke_account(platform: str, event: AccountEvent) -> _Outcome:
    connections = _live(platform, event)
    deleted = _delete_pending(platform, event)
    for connection in connections:
        _revoke(connection, event)
    return _Outcome(len(connections) + deleted)


def _warn_account(platform: str, event: AccountEvent) -> _Outcome:
    connections = _live(platform, event)
    for connection in connections:
        about = {"id": connection.connection_id, "code": event.code, "message": event.message, "at": event.at}
        write(connection.studio_id, rows.NOTE_ACCOUNT_EVENT, **about)
    return _Outcome(len(connections))


def _erase_account(platform: str, event: AccountEvent) -> _Outcome:
    code = secrets.token_hex(CODE_BYTES)
    deletion = write(None, rows.INSERT_DATA_DELETION, platform=platform, code_hash=_hash(code))
    connections = _list_connections(platform, event)
    for connection in connections:
        _revoke(connection, event)
    erased = sum(_erase(platform, connection, event) for connection in connections) + _delete_pending(platform, event)
    write(None, rows.FINISH_DATA_DELETION, id=deletion.id, connections=erased)
    return _Outcome(erased, code)


_EFFECTS: Mapping[Effect, Callable[[str, AccountEvent], _Outcome]] = {
    "revoked": _revoke_account,
    "warning": _warn_account,
    "erased": _erase_account,
}


def _live(platform: str, event: AccountEvent) -> list[AccountConnection]:
    return [connection for connection in _list_connections(platform, event) if connection.live]


def _list_connections(platform: str, event: AccountEvent) -> list[AccountConnection]:
    """The connections to the account that the event applies to, including disconnected ones that still name it."""
    known = read(None, rows.FIND_ACCOUNT_CONNECTIONS, platform=platform, account_id=event.account_id)
    return [connection for connection in known if not connection.working or event.at + CLOCKS_APART >= connection.since]


def _delete_pending(platform: str, event: AccountEvent) -> int:
    """Deletes the account's pending grants. Returns how many."""
    return write(None, END_ACCOUNT_GRANTS, platform=platform, account_id=event.account_id, at=event.at).count


def _revoke(connection: AccountConnection, event: AccountEvent) -> None:
    """Makes the connection fail, if it works."""
    for _ in range(ATTEMPTS):
        which = {"id": connection.connection_id, "account_id": event.account_id}
        stored = read(connection.studio_id, rows.FIND_WORKING_CONNECTION, **which)
        if stored is None:
            return
        connection_state.fail_connection(stored, TokenRevoked(event.message, code=event.code))
    raise Unavailable("The connection was changed by another request; try again")


def _erase(platform: str, connection: AccountConnection, event: AccountEvent) -> bool:
    connection_id = connection.connection_id
    with transaction(connection.studio_id) as tx:
        which = {"id": connection_id, "account_id": event.account_id}
        # Disconnect first: only one live connection per platform may have an unknown account.
        tx.run(grant_rows.DISCONNECT, revocation="revoked", run_message=connection_state.DISCONNECTED, **which)
        if tx.run(rows.FORGET_ACCOUNT, **which) is None:
            return False
    logs.event("connection.disconnected", platform=platform, connection_id=connection_id, revocation="revoked")
    return True


def _hash(code: str) -> bytes:
    return sha256(code.encode()).digest()
