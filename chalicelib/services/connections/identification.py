"""Whose a connection's tokens are: the platform is asked, and what it says is remembered.

A connection stands for one account of a platform. One made of tokens at hand is asked about when that first matters: a
test, a disconnect, or another account's grant.
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
    """Raises Conflict where the platform has nothing to ask, AnotherAccount or AccountConnectedTwice for an account
    that is not the connection's, and as `requested_call` does."""
    if platform.identify is None:
        raise Conflict(f"{platform.title} has no connection test", code="platform_not_supported")
    with requested_call(session.stored.studio_id, platform, session.stored.id) as call:
        account = platform.identify(call.uses(session.client()))
    with transaction(session.stored.studio_id) as tx:
        identities.identify(tx, session.stored.id, session.stored.token_generation, account)
    return account


def identify_unknown(studio_id: UUID, platform: Platform) -> None:
    """Asks about the one connection of the platform whose account may not be known yet, so that another's grant can be
    told from it. One that is dead, or may not say, stays unknown."""
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
