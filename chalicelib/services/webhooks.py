"""Webhooks: what platforms tell of their users by themselves. It ends in the same states as what we find out ourselves.

A event may come twice, and late. So one that is older than the state of a connection that works does not concern it:
it has been given another grant meanwhile.
"""

import re
import secrets
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from math import ceil
from typing import Literal

from chalicelib import clock, logs
from chalicelib.data import connection_state as grant_rows
from chalicelib.data import webhooks as rows
from chalicelib.data.database import read, transaction, write
from chalicelib.data.pending_grants import END_ACCOUNT_GRANTS
from chalicelib.data.rows import Moment, Row
from chalicelib.data.webhooks import AccountConnection
from chalicelib.errors import BadRequest, NotFound, PlatformError, Throttled, TokenRevoked, Unavailable
from chalicelib.platforms.jwks import FIRST_RETRY_SECONDS, KeySet
from chalicelib.platforms.registry import get_platform
from chalicelib.platforms.transport import Transport
from chalicelib.platforms.webhooks import AccountEvent
from chalicelib.secret import Secret
from chalicelib.security.signatures import key_id_of, open_security_event, open_signed_request
from chalicelib.services import connection_state
from chalicelib.services.platform_credentials import find_oauth_client
from chalicelib.settings import OAuthClient, get_settings

CLOCKS_APART = timedelta(minutes=1)
ATTEMPTS = 3
"""A refresh may replace the tokens between reading and breaking the connection."""
CODE_BYTES = 16
DELETED = "The tokens and the account's id and name were erased from {count} connections."
NOTHING_KNOWN = "Nothing was known of the account."
UNDER_WAY = "The deletion has not been completed; please ask for it again."
_CODE = re.compile(rf"[0-9a-f]{{{2 * CODE_BYTES}}}")


class DeletionStatus(Row):
    """What became of a request to delete a user's data."""

    state: Literal["done", "under_way"]
    message: str
    requested_at: Moment
    done_at: Moment | None


def handle_google_event(token: str) -> None:
    """A security event token of Google's Cross-Account Protection. Raises BadRequest for one that is not good."""
    from chalicelib.platforms.google import webhooks as google

    client = _client("google")
    claims = open_security_event(token, _google_key(token), issuer=google.ISSUER, audiences=[client.id])
    taken = [_take("google", event) for event in google.parse_events(claims)]
    kinds = [kind.rsplit("/", 1)[-1] for kind in claims["events"]]
    logs.event("webhook.handled", platform="google", kinds=kinds, connections=sum(taken))


def deauthorize_meta(signed_request: str) -> None:
    """A user has removed this application in their Meta account."""
    event = _meta_event(signed_request)
    logs.event("webhook.handled", platform="meta", kinds=["deauthorize"], connections=_take("meta", event))


def delete_meta_data(signed_request: str) -> str:
    """The same, and what is known of the user is erased. Returns the code that the status is found by."""
    event = _meta_event(signed_request)
    code = secrets.token_hex(CODE_BYTES)
    deletion = write(None, rows.INSERT_DATA_DELETION, platform="meta", code_hash=_hash(code))
    concerned = _concerned("meta", event)
    for found in concerned:
        _revoke(found, event)
    erased = sum(_erase("meta", found, event) for found in concerned) + _end_pending("meta", event)
    write(None, rows.FINISH_DATA_DELETION, id=deletion.id, connections=erased)
    logs.event("webhook.handled", platform="meta", kinds=["data-deletion"], connections=erased)
    return code


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


@cache
def google_keys() -> KeySet:
    from chalicelib.platforms.google import webhooks as google

    return KeySet(google.KEYS_URL)


def _google_key(token: str) -> dict[str, object]:
    transport = Transport.to(get_platform("google"), get_settings().platform_sandbox_url)
    try:
        key = google_keys().find(key_id_of(token), transport)
    except PlatformError as error:
        seconds = _seconds_until(error.resume_at if isinstance(error, Throttled) else None)
        problem = "Google's keys cannot be read right now"
        raise Unavailable(problem, internal=str(error), retry_after_seconds=seconds) from error
    if key is None:
        raise BadRequest("The key is not one of Google's", code="invalid_key")
    return key


def _seconds_until(resume_at: datetime | None) -> int:
    seconds = (resume_at - clock.now()).total_seconds() if resume_at else FIRST_RETRY_SECONDS
    return max(1, ceil(seconds))


def _meta_event(signed_request: str) -> AccountEvent:
    from chalicelib.platforms.meta import webhooks as meta

    return meta.parse_event(open_signed_request(signed_request, _secrets("meta")), clock.now())


def _client(platform: str) -> OAuthClient:
    """Raises BadRequest where this product is not registered: then nobody there has anything to tell it."""
    client = find_oauth_client(platform)
    if client is None:
        raise BadRequest("This product has no application there", code="invalid_audience")
    return client


def _secrets(platform: str) -> tuple[Secret, ...]:
    return _client(platform).secrets


def _concerned(platform: str, event: AccountEvent) -> list[AccountConnection]:
    """The connections of the account, those included that are disconnected and still name it."""
    known = read(None, rows.FIND_ACCOUNT_CONNECTIONS, platform=platform, account_id=event.account_id)
    return [found for found in known if not found.working or event.at + CLOCKS_APART >= found.since]


def _take(platform: str, event: AccountEvent) -> int:
    """Returns how many connections, and grants that were to become one, it concerned."""
    concerned = [found for found in _concerned(platform, event) if found.live]
    ended = _end_pending(platform, event) if event.effect == "revoked" else 0
    for found in concerned:
        if event.effect == "revoked":
            _revoke(found, event)
        else:
            about = {"id": found.connection_id, "code": event.code, "message": event.message, "at": event.at}
            write(found.studio_id, rows.NOTE_ACCOUNT_EVENT, **about)
    return len(concerned) + ended


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
        which = {"id": found.connection_id}
        if tx.run(rows.FORGET_ACCOUNT, account_id=event.account_id, **which) is None:
            return False
        tx.run(grant_rows.DISCONNECT, revocation="revoked", **which)
    logs.event("connection.disconnected", platform=platform, connection_id=found.connection_id, revocation="revoked")
    return True


def _hash(code: str) -> bytes:
    return sha256(code.encode()).digest()
