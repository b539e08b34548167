"""Identification: asks the platform which account a connection's tokens belong to, and stores the answer.

A connection stands for one account of a platform. If it was created with existing tokens, its account is identified
when that first matters: at a test, at a disconnect, or when another account is connected.
"""

from uuid import UUID

from chalicelib.data.identities import FIND_UNKNOWN_CONNECTION
from chalicelib.data.postgres.database import read, transaction
from chalicelib.errors import Conflict, DecryptionFailed, PermissionMissing, ReconnectRequired
from chalicelib.platforms.core.contract import Identity, Platform
from chalicelib.services.connections import identities
from chalicelib.services.connections import state as connection_state
from chalicelib.services.connections.clients import Session
from chalicelib.services.throttling.platform_calls import requested_call


def identify(platform: Platform, session: Session) -> Identity:
    """Raises Conflict if the platform cannot identify accounts, AnotherAccount or AccountConnectedTwice for an account
    that is not the connection's, and as `requested_call` does."""
    if platform.identify is None:
        raise Conflict(f"{platform.title} has no connection test", code="platform_not_supported")
    with requested_call(session.stored.studio_id, platform, session.stored.id) as call:
        account = platform.identify(call.uses(session.client()))
    with transaction(session.stored.studio_id) as tx:
        identities.identify(tx, session.stored.id, session.stored.token_generation, account)
    return account


def identify_unknown(studio_id: UUID, platform: Platform) -> None:
    """Identifies the platform's connection without a known account, if there is one, to distinguish it from a new
    grant. If its grant is dead or lacks the permission, it stays unknown."""
    stored = read(studio_id, FIND_UNKNOWN_CONNECTION, platform=platform.name)
    if stored is None or platform.identify is None:
        return
    session = Session(stored, platform)
    try:
        identify(platform, session)
    except (ReconnectRequired, DecryptionFailed) as error:
        connection_state.fail_connection(session.stored, error)
    except PermissionMissing:
        return
