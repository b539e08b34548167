"""Revocations: revoking a grant at its platform, unless another connection shares it."""

from contextlib import nullcontext
from uuid import UUID

from chalicelib import logs
from chalicelib.data.connection_state import GRANT_IS_SHARED
from chalicelib.data.connections import StoredConnection
from chalicelib.data.pending_grants import StoredGrant
from chalicelib.data.postgres.database import read
from chalicelib.errors import AppError, DecryptionFailed, PlatformError, SettingsError
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.contract import Platform
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.services.connections.clients import Session
from chalicelib.services.connections.tokens import open_grant, open_tokens
from chalicelib.services.throttling.platform_calls import background_call, requested_call
from chalicelib.settings import get_settings


def revoke(stored: StoredConnection, *, requested: bool = True) -> str:
    """Revokes the grant, best effort. Returns `revoked`, `failed`, `shared` if another connection shares the account's
    grant, or `unsupported` if the platform has no revocation.

    Platforms revoke everything that an account granted to this application, whichever token is sent. A studio's request
    is charged to it and raises TooManyRequests; an operator's erasure has only this one chance and is not limited.
    """
    platform = get_platform(stored.platform)
    if not can_revoke(platform):
        return "unsupported"
    try:
        if _is_shared(platform, _known_account(stored), stored.id):
            return "shared"
        with requested_call(stored.studio_id, platform, stored.id) if requested else nullcontext():
            session = Session(stored, platform)
            if _is_shared(platform, _identified_account(platform, session), stored.id):
                return "shared"
            tokens = open_tokens(session.stored)  # identifying the account may have refreshed them
            return _revoke(platform, tokens.refresh or tokens.access)
    except (PlatformError, DecryptionFailed) as error:
        return _failed(platform, error)


def revoke_pending(stored: StoredGrant) -> str:
    """As `revoke`, for a grant that never became a connection."""
    platform = get_platform(stored.platform)
    if stored.beside_unidentified and can_revoke(platform):
        return "shared"
    try:
        tokens = open_grant(stored)
    except (DecryptionFailed, SettingsError) as error:
        return _failed(platform, error)
    token = tokens.refresh or tokens.access
    return revoke_unused(stored.studio_id, platform, token, stored.account_id, stored.id)


def revoke_unused(studio_id: UUID, platform: Platform, token: Secret, account_id: str | None, grant_id: UUID) -> str:
    """As `revoke`, for a decrypted token. A grant whose account is unknown may belong to any connection, and counts as
    shared."""
    if not can_revoke(platform):
        return "unsupported"
    if not account_id or _is_shared(platform, account_id, grant_id):
        return "shared"
    try:
        with background_call(studio_id, platform):
            return _revoke(platform, token)
    except PlatformError as error:
        return _failed(platform, error)


def can_revoke(platform: Platform) -> bool:
    return platform.oauth is not None and bool(platform.oauth.revoke_url)


def _revoke(platform: Platform, token: Secret) -> str:
    oauth2.revoke(platform, token=token, sandbox_url=get_settings().platform_sandbox_url)
    # Also for a grant that the platform no longer knows
    return "revoked"


def _failed(platform: Platform, error: AppError) -> str:
    logs.event("connection.revocation_failed", platform=platform.name, code=error.code, reason=str(error))
    return "failed"


def _known_account(stored: StoredConnection) -> str:
    return "" if stored.account_unverified else stored.account_id or ""


def _identified_account(platform: Platform, session: Session) -> str:
    """Asks the platform, unless the account is already verified."""
    if _known_account(session.stored) or platform.identify is None:
        return ""
    return platform.identify(session.client()).external_id


def _is_shared(platform: Platform, account_id: str, grant_id: UUID) -> bool:
    """Whether another connection, or a grant that may still be completed, shares the account's grant."""
    return bool(account_id) and read(None, GRANT_IS_SHARED, platform=platform.name, account_id=account_id, id=grant_id)
