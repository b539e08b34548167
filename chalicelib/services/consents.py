"""Consent in the browser: a studio is sent to a platform with a state, and comes back with a code for a grant."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chalicelib import logs
from chalicelib.data import oauth_states as rows
from chalicelib.data.connections import Connection
from chalicelib.data.data_keys import LIST_DATA_KEYS
from chalicelib.data.database import read, write
from chalicelib.data.oauth_states import StateDraft, TakenState
from chalicelib.data.rows import Moment, Row
from chalicelib.errors import AppError, Conflict, ConsentRefused, FieldProblem, InvalidInput, TokenRevoked
from chalicelib.platforms import oauth2
from chalicelib.platforms.base import Account, Caveat, Platform, Stream
from chalicelib.platforms.client import Client
from chalicelib.platforms.oauth2 import OAuth2, TokenGrant
from chalicelib.platforms.registry import get_platform
from chalicelib.secret import Secret
from chalicelib.security.oauth_states import new_state, new_verifier, parse_state
from chalicelib.security.return_urls import is_allowed, with_params
from chalicelib.security.vault import Place
from chalicelib.services import grants
from chalicelib.services.platform_credentials import find_oauth_client
from chalicelib.services.sync import start_sync
from chalicelib.services.tokens import open_at, seal_at
from chalicelib.settings import OAuthClient, get_settings

STATE_SECONDS = 600
DENIED = "access_denied"
"""The one error that says the user did not want to: RFC 6749, 4.1.2.1."""
_ERROR = re.compile(r"[a-z_]{1,40}")


class AskedConsent(Row):
    """Where to send the browser, and until when it may come back."""

    authorize_url: str
    expires_at: Moment


class Consented(Row):
    """What came of a consent."""

    connection: Connection
    missing_scopes: list[str]
    """For each stream that the grant does not cover, the scope that would"""
    streams_off: list[str]
    """The streams that were wanted and are not covered"""
    warnings: list[Caveat]


def ask_consent(
    studio_id: UUID, platform_name: str, *, streams: Sequence[str] | None, return_to: str | None
) -> AskedConsent:
    """Raises InvalidInput for an unknown stream or a place that no browser is sent to, Conflict where there is no
    consent."""
    platform, oauth = _with_consent(platform_name)
    client = _registration(platform)
    named = _named(platform, streams) if streams is not None else None
    if return_to is not None and not is_allowed(return_to, get_settings().return_urls):
        raise InvalidInput(fields=[FieldProblem("returnTo", "is not among the URLs that a browser may be sent to")])
    new, verifier = new_state(), new_verifier() if oauth.pkce else None
    draft = read(studio_id, rows.DRAFT_OAUTH_STATE, platform=platform.name)
    wanted = named if named is not None else _default(platform, draft.streams)
    expires_at = _remember(studio_id, platform, draft, new.hash, verifier, streams=wanted, return_to=return_to)
    url = oauth2.authorize_url(
        platform,
        client_id=client.id,
        redirect_uri=_redirect_uri(platform),
        state=new.state.reveal(),
        scopes=(*oauth.identity_scopes, *(scope for stream in wanted for scope in stream.asked_scopes)),
        verifier=verifier,
        sandbox_url=get_settings().platform_sandbox_url,
    )
    logs.event("consent.asked", platform=platform.name, studio_id=studio_id)
    return AskedConsent(authorize_url=url, expires_at=expires_at)


def _remember(
    studio_id: UUID,
    platform: Platform,
    draft: StateDraft,
    state_hash: bytes,
    verifier: Secret | None,
    *,
    streams: Sequence[Stream[Any]],
    return_to: str | None,
) -> datetime:
    made = write(
        studio_id,
        rows.INSERT_OAUTH_STATE,
        id=draft.id,
        studio_id=studio_id,
        platform=platform.name,
        state_hash=state_hash,
        verifier=seal_at(_place(studio_id, draft.id), verifier, draft.data_keys) if verifier else None,
        streams=[stream.name for stream in streams],
        return_to=return_to,
        seconds=STATE_SECONDS,
    )
    return made.expires_at


def finish_consent(platform_name: str, *, state: str, code: Secret, error: str) -> Consented | str:
    """Takes the state, which then is used up, and makes the connection it was asked for.

    Answers the URL to send the browser to, which tells what came of it, when the studio named one. Otherwise answers
    that itself, and raises what went wrong. A grant that is refused is not revoked: platforms revoke for the user as a
    whole, and another connection may live by the same user.
    """
    platform, _ = _with_consent(platform_name)
    state_hash = parse_state(state)
    taken = write(None, rows.TAKE_OAUTH_STATE, state_hash=state_hash, platform=platform.name) if state_hash else None
    if taken is None:
        raise ConsentRefused("The consent is not known, was finished before, or took too long: start anew")
    with logs.bound(studio_id=taken.studio_id, platform=platform.name):
        try:
            consented = _connected(platform, taken, code, error)
        except AppError as problem:
            logs.event("consent.failed", code=problem.code, reason=str(problem))
            if taken.return_to is None:
                raise
            return _told_of_failure(taken.return_to, platform, problem)
    return consented if taken.return_to is None else _told_of_success(taken.return_to, platform, consented)


def _connected(platform: Platform, taken: TakenState, code: Secret, error: str) -> Consented:
    if error or not code:
        raise _refusal(platform, error)
    grant = _exchange(platform, taken, code)
    client = Client(platform, grant.access_token, sandbox_url=get_settings().platform_sandbox_url)
    account = platform.identify(client) if platform.identify else None
    wanted = _wanted(platform, taken.streams)
    covered = _covered(platform, wanted, grant, account)
    caveats = platform.after_consent(client, grant) if platform.after_consent else ()
    connection = grants.connect(taken.studio_id, platform.name, grant, account, taken.streams)
    for caveat in caveats:
        grants.note_event(taken.studio_id, connection.id, "warned", code=caveat.code, message=caveat.message)
    _start_first_syncs(taken.studio_id, platform, covered)
    off = [stream for stream in wanted if stream not in covered]
    return Consented(
        connection=connection,
        missing_scopes=sorted({stream.scopes[0] for stream in off}),
        streams_off=[stream.name for stream in off],
        warnings=list(caveats),
    )


def _exchange(platform: Platform, taken: TakenState, code: Secret) -> TokenGrant:
    verifier = None
    if taken.verifier is not None:
        data_keys = read(taken.studio_id, LIST_DATA_KEYS)
        verifier = open_at(_place(taken.studio_id, taken.id), taken.verifier, data_keys)
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
        raise ConsentRefused(
            f"{platform.title} did not accept what the browser brought back: start anew",
            code="code_refused",
            internal=str(error),
        ) from error


def _covered(
    platform: Platform, wanted: Sequence[Stream[Any]], grant: TokenGrant, account: Account | None
) -> list[Stream[Any]]:
    """The streams that the grant is good for. Raises ConsentRefused for one that would be dead from the start."""
    if platform.oauth is not None and platform.oauth.needs_refresh_token and grant.refresh_token is None:
        raise ConsentRefused(
            f"{platform.title} gave no refresh token, so the connection would soon end: remove this application from"
            " the account's connected applications, then start anew",
            code="no_refresh_token",
        )
    granted = account.scopes if account and account.scopes is not None else grant.scopes
    covered = [stream for stream in wanted if stream.is_covered_by(granted)]
    if wanted and not covered:
        lacking = ", ".join(sorted({stream.scopes[0] for stream in wanted}))
        raise ConsentRefused(f"None of the permissions that are needed was granted: {lacking}", code="scopes_missing")
    return covered


def _start_first_syncs(studio_id: UUID, platform: Platform, streams: Sequence[Stream[Any]]) -> None:
    """The connection stands by now: what cannot be started is left to the tick."""
    try:
        for stream in streams:
            start_sync(studio_id, platform.name, stream.name)
    except AppError as error:
        logs.event("consent.first_sync_failed", code=error.code, reason=str(error))


def _with_consent(platform_name: str) -> tuple[Platform, OAuth2]:
    platform = get_platform(platform_name)
    if platform.oauth is None:
        raise Conflict(
            f"{platform.title} is connected without a consent: POST /api/connections", code="consent_not_supported"
        )
    return platform, platform.oauth


def _registration(platform: Platform) -> OAuthClient:
    client = find_oauth_client(platform.name)
    if client is None or not get_settings().public_url:
        raise Conflict(f"{platform.title} is not set up in this deployment", code="platform_not_configured")
    return client


def _redirect_uri(platform: Platform) -> str:
    return f"{get_settings().public_url}/api/oauth/{platform.name}/callback"


def _default(platform: Platform, synced: Sequence[str]) -> list[Stream[Any]]:
    """What is asked for unless the studio names streams: not what the vendor restricts, but for what is synced already,
    since a reconnect must not take it away."""
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
    return _wanted(platform, names)


def _wanted(platform: Platform, names: Sequence[str] | None) -> list[Stream[Any]]:
    """Of a stored consent. One that an earlier release stored without streams asked for all of them."""
    return [stream for stream in platform.streams if names is None or stream.name in names]


def _place(studio_id: UUID, state_id: UUID) -> Place:
    return Place(studio_id, "oauth_state", "verifier", state_id, 1)


def _refusal(platform: Platform, error: str) -> ConsentRefused:
    if error == DENIED:
        return ConsentRefused(f"The consent was declined at {platform.title}", code="consent_denied")
    # Whoever calls writes the error; only a word that could be one is repeated.
    named = f" with the error {error}" if _ERROR.fullmatch(error) else ""
    return ConsentRefused(f"{platform.title} ended the consent{named}", code="consent_failed")


def _told_of_failure(return_to: str, platform: Platform, problem: AppError) -> str:
    status = "denied" if problem.code == "consent_denied" else "failed"
    return with_params(return_to, {"status": status, "platform": platform.name, "code": problem.code})


def _told_of_success(return_to: str, platform: Platform, consented: Consented) -> str:
    params = {
        "status": "connected",
        "platform": platform.name,
        "missing": " ".join(consented.missing_scopes),
        "off": " ".join(consented.streams_off),
        "warning": " ".join(warning.code for warning in consented.warnings),
    }
    return with_params(return_to, params)
