"""/api/oauth: connecting a platform by consent in the browser."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from chalicelib.api.params import PlatformName
from chalicelib.data.rows import Moment
from chalicelib.runtime.declare import PUBLIC, Routes
from chalicelib.runtime.responses import Redirect, Response
from chalicelib.secret import Secret
from chalicelib.services import authorization, pending_grants
from chalicelib.services.authorization import StartedAuthorization
from chalicelib.services.pending_grants import CompletedAuthorization, HeldGrant

routes = Routes()

StreamName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]
Code = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
INSTRUCTIONS = (
    "The account is not connected yet. Return to the application where you started and enter the completionCode there. "
    'The application sends it to POST /api/oauth/{platform}/complete as {{"code": "..."}}, with its API key, before '
    "the code expires; otherwise the access that you granted is revoked. If you did not start this yourself, close "
    "this page and give the code to nobody."
)


class AuthorizationRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What to ask for. Without `streams`, all whose scopes the platform does not restrict, and those that are synced
    already; without `returnTo` the callback answers itself."""

    streams: Annotated[list[StreamName], msgspec.Meta(min_length=1, max_length=20)] | None = None
    return_to: Url | None = None


class Callback(msgspec.Struct, kw_only=True):
    """What a platform's redirect brings; it may bring more."""

    state: str = ""
    code: Annotated[str, msgspec.Meta(max_length=4096, pattern="^[ -~]*$")] = ""
    """Of the characters that a code may have: RFC 6749, A.11"""
    error: str = ""


class PendingAuthorization(msgspec.Struct, kw_only=True, rename="camel"):
    """A consent that was given and is not a connection yet."""

    status: Literal["pending"] = "pending"
    platform: str
    account_name: str | None
    completion_code: str
    """Shown this once"""
    expires_at: Moment
    instructions: str
    """For whoever reads this in a browser"""


class Completion(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The `completionCode` that the callback showed, or sent to `returnTo`."""

    code: Code


@routes.post("/api/oauth/{platform}/authorize", scope="connections:write", status=201, errors=[409], secret=True)
def start_authorization(studio_id: UUID, platform: PlatformName, body: AuthorizationRequest) -> StartedAuthorization:
    """Begin to connect a platform: where to send the browser for consent, within ten minutes"""
    return authorization.start_authorization(studio_id, platform, streams=body.streams, return_to=body.return_to)


@routes.get("/api/oauth/{platform}/callback", scope=PUBLIC, errors=[400, 409, 502], redirects=True)
def handle_callback(platform: PlatformName, query: Callback) -> Response[PendingAuthorization]:
    """Where the platform sends the browser back to; sends it on to `returnTo`, if there is one, with a one-time code"""
    finished = authorization.handle_callback(platform, state=query.state, code=Secret(query.code), error=query.error)
    return Redirect(location=finished) if isinstance(finished, str) else Response(_shown(finished))


@routes.post("/api/oauth/{platform}/complete", scope="connections:write", errors=[400, 409])
def complete_authorization(studio_id: UUID, platform: PlatformName, body: Completion) -> CompletedAuthorization:
    """Connect the account that consented: takes the one-time code, starts the first syncs"""
    return pending_grants.complete_authorization(studio_id, platform, Secret(body.code))


def _shown(held: HeldGrant) -> PendingAuthorization:
    return PendingAuthorization(
        platform=held.platform,
        account_name=held.account_name,
        completion_code=held.code.reveal(),
        expires_at=held.expires_at,
        instructions=INSTRUCTIONS.format(platform=held.platform),
    )
