"""Revocations: giving a grant back to its platform, unless somebody else lives by it."""

from uuid import UUID

from chalicelib import logs
from chalicelib.data.connections import StoredConnection
from chalicelib.data.database import read
from chalicelib.data.grants import GRANT_IS_SHARED
from chalicelib.errors import PlatformError, SealBroken
from chalicelib.platforms import oauth2
from chalicelib.platforms.base import Platform
from chalicelib.platforms.registry import get_platform
from chalicelib.services.renewals import client_for
from chalicelib.services.tokens import open_tokens
from chalicelib.settings import get_settings


def revoke(stored: StoredConnection) -> str:
    """Gives the grant back, best effort: `revoked`, `failed`, `shared` where another connection lives by the same
    account's grant, or `unsupported` where the platform has no way to.

    Platforms revoke what an account gave this application as a whole, whichever of its tokens is handed in.
    """
    platform = get_platform(stored.platform)
    if platform.oauth is None or not platform.oauth.revoke_url:
        return "unsupported"
    try:
        tokens = open_tokens(stored)
        account_id = _whose(platform, stored)
        if account_id and _is_shared(platform, account_id, stored.id):
            return "shared"
        oauth2.revoke(platform, token=tokens.refresh or tokens.access, sandbox_url=get_settings().platform_sandbox_url)
    except (PlatformError, SealBroken) as error:
        logs.event("connection.revocation_failed", platform=stored.platform, code=error.code, reason=str(error))
        return "failed"
    # A grant the platform no longer knows is as gone as one it gave up just now.
    return "revoked"


def _whose(platform: Platform, stored: StoredConnection) -> str:
    if stored.account_id is not None and not stored.account_unverified:
        return stored.account_id
    return platform.identify(client_for(stored)).external_id if platform.identify else ""


def _is_shared(platform: Platform, account_id: str, connection_id: UUID) -> bool:
    return read(None, GRANT_IS_SHARED, platform=platform.name, account_id=account_id, id=connection_id)
