"""/api/oauth: connecting a platform in the account owner's browser: start, callback, completion."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from chalicelib.api.params import ConnectionId, PlatformName
from chalicelib.data.postgres.rows import Moment, PlatformText
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
    """What to ask the account owner for."""

    streams: Annotated[list[StreamName], Meta(min_length=1, max_length=20)] | None = None
    """The streams to ask for, such as `bookings`. By default all whose scopes the platform does not restrict, and those
    that are synced already."""
    return_to: Url | None = None
    """Where to send the browser afterwards: at or below one of the deployment's `RETURN_URLS`. Without it the callback
    responds with a page of its own."""


class ReconnectQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which connection is to be reconnected, if it must be one and no other."""

    connection: ConnectionId | None = None
    """The id of the connection to reconnect: another account is refused. Without it, the account that consents is
    reconnected if it is connected already, and connected beside the others if not."""


class Callback(msgspec.Struct, kw_only=True):
    """The query of a platform's redirect; it may contain more."""

    state: str = ""
    """The state of the authorize URL. It proves which studio asked."""
    # The characters that a code may have: RFC 6749, A.11.
    code: Annotated[str, Meta(max_length=4096, pattern="^[ -~]*$")] = ""
    """The platform's authorization code."""
    error: str = ""
    """Why there is no code (RFC 6749, 4.1.2.1), such as `access_denied`."""


class PendingAuthorization(msgspec.Struct, kw_only=True, rename="camel"):
    """A grant that becomes a connection once the studio completes the authorization."""

    status: Literal["pending"] = "pending"
    """Always `pending`."""
    platform: PlatformText
    account_name: str | None
    """The name of the account that granted access; null when the platform did not name it."""
    completion_code: str
    """The one-time code for `POST /api/oauth/{platform}/complete`. It is shown only here."""
    expires_at: Moment
    """When the code expires: ten minutes after the grant."""
    instructions: str
    """What to do with the code, for the person who reads this in a browser."""


class Completion(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The one-time code of an authorization."""

    code: Code
    """The `completionCode` that the callback showed, or added to `returnTo`."""


@routes.post("/api/oauth/{platform}/authorize", scope="connections:write", status=201, errors=[409], secret=True)
def start_authorization(
    studio_id: UUID, platform: PlatformName, query: ReconnectQuery, body: AuthorizationRequest
) -> StartedAuthorization:
    """Start connecting an account in the browser

    Responds with the platform's consent page. Send the account owner's browser there within ten minutes; the platform
    then sends it to the callback."""
    return authorization.start_authorization(
        studio_id, platform, streams=body.streams, return_to=body.return_to, connection=query.connection
    )


@routes.get("/api/oauth/{platform}/callback", scope=PUBLIC, errors=[400, 409, 502], redirects=True)
def handle_callback(platform: PlatformName, query: Callback) -> Response[PendingAuthorization]:
    """Receive the browser from the platform's consent page

    Platforms redirect browsers here; applications never call it. It exchanges the platform's code and holds the grant
    for ten minutes. The browser is sent to `returnTo` with a one-time code, or gets the code in the response."""
    finished = authorization.handle_callback(platform, state=query.state, code=Secret(query.code), error=query.error)
    return Redirect(location=finished) if isinstance(finished, str) else Response(_shown(finished))


@routes.post("/api/oauth/{platform}/complete", scope="connections:write", errors=[400, 409, 502])
def complete_authorization(studio_id: UUID, platform: PlatformName, body: Completion) -> CompletedAuthorization:
    """Complete the authorization with its one-time code

    Makes the connection, or reconnects that of the same account, and starts the first syncs. The code works once, for
    ten minutes, and only for the studio that started the authorization."""
    return pending_grants.complete_authorization(studio_id, platform, Secret(body.code))


def _shown(held: HeldGrant) -> PendingAuthorization:
    return PendingAuthorization(
        platform=held.platform,
        account_name=held.account_name,
        completion_code=held.code.reveal(),
        expires_at=held.expires_at,
        instructions=INSTRUCTIONS.format(platform=held.platform),
    )
