"""Inbound webhooks: what platforms report of their users ends in the same states as what we find out ourselves.

An event may come twice, and late. So one that is older than the state of a connection that works does not concern it:
it has been given another grant meanwhile.
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
"""A refresh may replace the tokens between reading and breaking the connection."""
CODE_BYTES = 16
DELETED = "The tokens and the account's id and name were erased from {count} connections."
NOTHING_KNOWN = "Nothing was known of the account."
UNDER_WAY = "The deletion has not been completed; please ask for it again."
_CODE = re.compile(rf"[0-9a-f]{{{2 * CODE_BYTES}}}")


class _Outcome(NamedTuple):
    """What an event did: to how many connections, and grants that were to become one."""

    connections: int
    code: str = ""
    """Of the erasure, where there was one"""


class DeletionStatus(Row):
    """How far a request to delete a user's data has got."""

    state: Literal["done", "under_way"]
    """`done`, or `under_way`: the deletion has not been completed."""
    message: str
    """What was deleted, in a sentence for the user."""
    requested_at: Moment
    """When the platform sent the request."""
    done_at: Moment | None
    """When the data had been deleted; null until then."""


def handle_webhook(platform: Platform, sender: WebhookSender[Any, Any], body: Any) -> list[str]:
    """Verifies what was sent, and acts upon what it says. Returns a code for each account that was erased, by which the
    status is found. Raises BadRequest."""
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
    found = read(None, rows.FIND_DATA_DELETION, platform=platform, code_hash=_hash(code)) if is_code else None
    if found is None:
        raise NotFound("Data deletion request not found", code="deletion_not_found")
    done = DELETED.format(count=found.connections) if found.connections else NOTHING_KNOWN
    return DeletionStatus(
        state="done" if found.done_at else "under_way",
        message=done if found.done_at else UNDER_WAY,
        requested_at=found.requested_at,
        done_at=found.done_at,
    )


def _revoke_account(platform: str, event: AccountEvent) -> _Outcome:
    concerned = _live(platform, event)
    ended = _end_pending(platform, event)
    for found in concerned:
        _revoke(found, event)
    return _Outcome(len(concerned) + ended)


def _warn_account(platform: str, event: AccountEvent) -> _Outcome:
    concerned = _live(platform, event)
    for found in concerned:
        about = {"id": found.connection_id, "code": event.code, "message": event.message, "at": event.at}
        write(found.studio_id, rows.NOTE_ACCOUNT_EVENT, **about)
    return _Outcome(len(concerned))


def _erase_account(platform: str, event: AccountEvent) -> _Outcome:
    code = secrets.token_hex(CODE_BYTES)
    deletion = write(None, rows.INSERT_DATA_DELETION, platform=platform, code_hash=_hash(code))
    concerned = _concerned(platform, event)
    for found in concerned:
        _revoke(found, event)
    erased = sum(_erase(platform, found, event) for found in concerned) + _end_pending(platform, event)
    write(None, rows.FINISH_DATA_DELETION, id=deletion.id, connections=erased)
    return _Outcome(erased, code)


_EFFECTS: Mapping[Effect, Callable[[str, AccountEvent], _Outcome]] = {
    "revoked": _revoke_account,
    "warning": _warn_account,
    "erased": _erase_account,
}


def _live(platform: str, event: AccountEvent) -> list[AccountConnection]:
    return [found for found in _concerned(platform, event) if found.live]


def _concerned(platform: str, event: AccountEvent) -> list[AccountConnection]:
    """The connections of the account, those included that are disconnected and still name it."""
    known = read(None, rows.FIND_ACCOUNT_CONNECTIONS, platform=platform, account_id=event.account_id)
    return [found for found in known if not found.working or event.at + CLOCKS_APART >= found.since]


def _end_pending(platform: str, event: AccountEvent) -> int:
    """Deletes what consents of the account brought and nobody has completed. Returns how many."""
    return write(None, END_ACCOUNT_GRANTS, platform=platform, account_id=event.account_id, at=event.at).count


def _revoke(found: AccountConnection, event: AccountEvent) -> None:
    """Breaks the connection, if it works."""
    for _ in range(ATTEMPTS):
        which = {"id": found.connection_id, "account_id": event.account_id}
        stored = read(found.studio_id, rows.FIND_WORKING_CONNECTION, **which)
        if stored is None:
            return
        connection_state.fail_connection(stored, TokenRevoked(event.message, code=event.code))
    raise Unavailable("The connection was changed by another request; try again")


def _erase(platform: str, found: AccountConnection, event: AccountEvent) -> bool:
    with transaction(found.studio_id) as tx:
        which = {"id": found.connection_id, "account_id": event.account_id}
        # First, for of a platform one live connection at most may have an account that is not known.
        tx.run(grant_rows.DISCONNECT, revocation="revoked", run_message=connection_state.DISCONNECTED, **which)
        if tx.run(rows.FORGET_ACCOUNT, **which) is None:
            return False
    logs.event("connection.disconnected", platform=platform, connection_id=found.connection_id, revocation="revoked")
    return True


def _hash(code: str) -> bytes:
    return sha256(code.encode()).digest()
