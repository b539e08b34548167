"""Authorization in the browser: it goes to the platform with a state and returns with a code for a grant."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chalicelib import logs
from chalicelib.data import oauth_states as rows
from chalicelib.data.data_keys import LIST_DATA_KEYS, StoredDataKey
from chalicelib.data.oauth_states import StateDraft, TakenState
from chalicelib.data.postgres.database import read, write
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.errors import (
    AppError,
    AuthorizationFailed,
    Conflict,
    DecryptionFailed,
    FieldProblem,
    InvalidInput,
    Misconfigured,
    TokenRevoked,
    TooManyRequests,
)
from chalicelib.platforms.core import oauth2
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import Identity, Platform, Stream
from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.security.oauth_states import new_state, new_verifier, parse_state
from chalicelib.security.return_urls import is_allowed, with_params
from chalicelib.security.vault import AssociatedData, vault
from chalicelib.services.connections.credentials import find_oauth_client
from chalicelib.services.connections.identities import require_same_account
from chalicelib.services.pending_grants import HeldGrant, authorization_unknown, hold_grant
from chalicelib.services.streams import not_chosen
from chalicelib.services.throttling.platform_calls import charge_call, requested_call
from chalicelib.settings import OAuthClient, get_settings

STATE_SECONDS = 600
MAX_OPEN = 20
"""Unfinished authorizations per studio."""
DENIED = "access_denied"
"""The only error that means the user declined: RFC 6749, 4.1.2.1."""


class StartedAuthorization(Row):
    """Where to send the browser."""

    authorize_url: str
    """The platform's consent page. It works once; open it in the account owner's browser."""
    expires_at: Moment
    """When the URL stops working: ten minutes after the request."""


def start_authorization(
    studio_id: UUID,
    platform_name: str,
    *,
    streams: Sequence[str] | None,
    return_to: str | None,
    connection: UUID | None = None,
) -> StartedAuthorization:
    """With `connection` that one is reconnected; without, the authorized account decides which connection it is.

    Raises NotFound for an unknown connection, InvalidInput for an unknown stream or a return URL that is not allowed,
    Conflict if the platform has no authorization, TooManyRequests if the studio has too many open or has used up its
    platform calls: the browser returns with a code that is valid once, so the call that exchanges it is charged here.
    """
    platform, oauth = _with_oauth(platform_name)
    client = _registration(platform)
    named = _named(platform, streams) if streams is not None else None
    if return_to is not None and not is_allowed(return_to, get_settings().return_urls):
        raise InvalidInput(fields=[FieldProblem("returnTo", "is not one of the allowed return URLs")])
    charge_call(studio_id, platform)
    new, verifier = new_state(), new_verifier() if oauth.pkce else None
    draft = read(studio_id, rows.DRAFT_OAUTH_STATE, platform=platform.name, connection=connection)
    if connection is not None and not draft.connection_exists:
        raise not_chosen(studio_id, platform.name, connection)
    wanted = named if named is not None else _default(platform, draft.streams)
    expires_at = _remember(
        studio_id, platform, draft, new.hash, verifier, connection=connection, streams=wanted, return_to=return_to
    )
    url = oauth2.authorize_url(
        platform,
        client_id=client.id,
        redirect_uri=_redirect_uri(platform),
        state=new.state.reveal(),
        scopes=(*oauth.identity_scopes, *(scope for stream in wanted for scope in stream.asked_scopes)),
        verifier=verifier,
        sandbox_url=get_settings().platform_sandbox_url,
    )
    logs.event("authorization.asked", platform=platform.name, studio_id=studio_id)
    return StartedAuthorization(authorize_url=url, expires_at=expires_at)


def _remember(
    studio_id: UUID,
    platform: Platform,
    draft: StateDraft,
    state_hash: bytes,
    verifier: Secret | None,
    *,
    connection: UUID | None,
    streams: Sequence[Stream[Any]],
    return_to: str | None,
) -> datetime:
    """Returns when it expires. Raises TooManyRequests if too many are open."""
    state = write(
        studio_id,
        rows.INSERT_OAUTH_STATE,
        id=draft.id,
        studio_id=studio_id,
        platform=platform.name,
        connection=connection,
        state_hash=state_hash,
        verifier=vault().seal(verifier, draft.data_keys, _associated_data(studio_id, draft.id)) if verifier else None,
        streams=[stream.name for stream in streams],
        return_to=return_to,
        seconds=STATE_SECONDS,
        most=MAX_OPEN,
    )
    if state.expires_at is None:
        raise TooManyRequests(
            f"The studio has {MAX_OPEN} unfinished authorizations; complete one or wait until they expire",
            code="too_many_authorizations",
            retry_after_seconds=state.room_seconds or 0,
        )
    return state.expires_at


def handle_callback(platform_name: str, *, state: str, code: Secret, error: str) -> HeldGrant | str:
    """Consumes the state and holds the grant until the studio that started the authorization completes it.

    If the studio named a return URL, returns it with the completion code or the error. Otherwise returns the held
    grant, and raises errors. A rejected grant is not revoked: platforms revoke for the user as a whole, and another
    connection may share the user's grant.
    """
    platform, oauth = _with_oauth(platform_name)
    state_hash = parse_state(state)
    taken = write(None, rows.TAKE_OAUTH_STATE, state_hash=state_hash, platform=platform.name) if state_hash else None
    if taken is None:
        raise authorization_unknown()
    with logs.bound(studio_id=taken.studio_id, platform=platform.name):
        try:
            if error or not code:
                raise _refusal(platform, oauth, error)
            held = _held(platform, taken, code)
        except AppError as problem:
            logs.event("authorization.failed", code=problem.code, reason=str(problem))
            if taken.return_to is None:
                raise
            return _failure_url(taken.return_to, platform, problem)
    return held if taken.return_to is None else _completion_url(taken.return_to, held)


def _held(platform: Platform, taken: TakenState, code: Secret) -> HeldGrant:
    data_keys = read(taken.studio_id, LIST_DATA_KEYS)
    if not data_keys:
        raise authorization_unknown()  # the studio is being erased
    try:
        return _exchanged(platform, taken, code, data_keys)
    except DecryptionFailed as broken:
        raise Conflict(
            "The stored state of this authorization can no longer be decrypted: start again",
            code=broken.code,
            internal=str(broken),
        ) from broken


def _exchanged(platform: Platform, taken: TakenState, code: Secret, data_keys: list[StoredDataKey]) -> HeldGrant:
    with requested_call(taken.studio_id, platform, taken.connection_id, prepaid=True) as call:
        grant = _exchange(platform, taken, code, data_keys)
        client = call.uses(Client(platform, grant.access_token, sandbox_url=get_settings().platform_sandbox_url))
        account = platform.identify(client) if platform.identify else None
        require_same_account(platform, taken.account_id, account)
        _require_use(platform, platform.streams_named(taken.streams), grant, account)
        warnings = platform.check_grant(client, grant) if platform.check_grant else ()
    return hold_grant(taken, platform, grant, account, warnings=warnings, data_keys=data_keys)


def _exchange(platform: Platform, taken: TakenState, code: Secret, data_keys: list[StoredDataKey]) -> TokenGrant:
    verifier = None
    if taken.verifier is not None:
        verifier = vault().open(taken.verifier, data_keys, _associated_data(taken.studio_id, taken.id))
    try:
        return oauth2.exchange_code(
            platform,
            client=_registration(platform),
            code=code,
            redirect_uri=_redirect_uri(platform),
            verifier=verifier,
            sandbox_url=get_settings().platform_sandbox_url,
        )
    except TokenRevoked as error:
        # Other reasons, such as an administrator's policy, have a code and a message of their own.
        is_bad_code = error.code == TokenRevoked.code
        message = f"{platform.title} did not accept the code that the browser returned: start again"
        raise AuthorizationFailed(
            message if is_bad_code else error.message,
            code="code_refused" if is_bad_code else error.code,
            internal=str(error),
        ) from error


def _require_use(
    platform: Platform, wanted: Sequence[Stream[Any]], grant: TokenGrant, account: Identity | None
) -> None:
    """Raises AuthorizationFailed for a grant that would be dead from the start, or covers no stream."""
    if platform.oauth is not None and platform.oauth.needs_refresh_token and grant.refresh_token is None:
        raise AuthorizationFailed(
            f"{platform.title} issued no refresh token, so the connection would soon expire: remove this application"
            " from the account's connected applications, then start again",
            code="no_refresh_token",
        )
    granted = account.scopes if account and account.scopes is not None else grant.scopes
    if wanted and not any(stream.is_covered_by(granted) for stream in wanted):
        lacking = ", ".join(sorted({scope for stream in wanted for scope in stream.find_missing_scopes(granted)}))
        raise AuthorizationFailed(f"None of the required permissions were granted: {lacking}", code="scopes_missing")


def _with_oauth(platform_name: str) -> tuple[Platform, OAuth2]:
    platform = get_platform(platform_name)
    if platform.oauth is None:
        raise Conflict(
            f"{platform.title} needs no authorization: use POST /api/connections",
            code="authorization_not_supported",
        )
    return platform, platform.oauth


def _registration(platform: Platform) -> OAuthClient:
    """Raises Conflict without a client at the platform, or without the URL that the platform returns the browser to."""
    client = find_oauth_client(platform.name)
    if client is None:
        raise Conflict(f"{platform.title} is not set up in this deployment", code="platform_not_configured")
    if not get_settings().public_url:
        logs.event("authorization.public_url_missing", level=logging.ERROR, platform=platform.name)
        raise Conflict(
            "This deployment does not know its own URL: whoever operates it has to set PUBLIC_URL",
            code="public_url_missing",
        )
    return client


def _redirect_uri(platform: Platform) -> str:
    return f"{get_settings().public_url}/api/oauth/{platform.name}/callback"


def _default(platform: Platform, synced: Sequence[str]) -> list[Stream[Any]]:
    """The streams to request unless the studio names some: all but those that the vendor restricts. Restricted ones
    that are synced already are included, since a reconnect must not lose them."""
    return [stream for stream in platform.streams if not stream.restricted or stream.name in synced]


def _named(platform: Platform, names: Sequence[str]) -> list[Stream[Any]]:
    known = ", ".join(stream.name for stream in platform.streams)
    problems = [
        FieldProblem(f"streams[{index}]", f"must be one of {known}" if known else "is not known")
        for index, name in enumerate(names)
        if platform.stream(name) is None
    ]
    if problems:
        raise InvalidInput(fields=problems)
    return platform.streams_named(names)


def _associated_data(studio_id: UUID, state_id: UUID) -> AssociatedData:
    return AssociatedData(studio_id, "oauth_state", "verifier", state_id, 1)


def _refusal(platform: Platform, oauth: OAuth2, error: str) -> AuthorizationFailed:
    """Anyone can send any error to the callback: only those in the platform's table are believed and repeated."""
    if error == DENIED:
        return AuthorizationFailed(f"Access was declined at {platform.title}", code="authorization_denied")
    rule = oauth.judge_redirect(error)
    internal = f"{platform.title} sent the browser back with {error}" if error in rule.signals else ""
    if rule.message:
        return AuthorizationFailed(rule.message, code=rule.code, internal=internal)
    if issubclass(rule.kind, Misconfigured):
        message = f"{platform.title} rejects this application, not the account: contact support"
        return AuthorizationFailed(message, code=Misconfigured.code, internal=internal)
    if rule.kind.retry.is_retried:
        message = f"{platform.title} is not available right now: start again in a few minutes"
        return AuthorizationFailed(message, code=rule.kind.code, internal=internal)
    return AuthorizationFailed(
        f"{platform.title} ended the authorization: start again", code="authorization_failed", internal=internal
    )


def _failure_url(return_to: str, platform: Platform, problem: AppError) -> str:
    status = "denied" if problem.code == "authorization_denied" else "failed"
    return with_params(return_to, {"status": status, "platform": platform.name, "code": problem.code})


def _completion_url(return_to: str, held: HeldGrant) -> str:
    """Not named `code`: that parameter is the error code of a failure."""
    params = {"status": "pending", "platform": held.platform, "completionCode": held.code.reveal()}
    return with_params(return_to, params)
