"""/api/oauth: connecting a platform by consent in the browser."""

from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib.api.params import PlatformName
from chalicelib.runtime.routes import PUBLIC, Redirect, Reply, Routes
from chalicelib.secret import Secret
from chalicelib.services import consents
from chalicelib.services.consents import AskedConsent, Consented

routes = Routes()

StreamName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2048)]


class ConsentRequest(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
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


@routes.post("/api/oauth/{platform}/authorize", scope="connections:write", status=201, errors=[409], secret=True)
def ask_consent(studio_id: UUID, platform: PlatformName, body: ConsentRequest) -> AskedConsent:
    """Begin to connect a platform: where to send the browser for consent, within ten minutes"""
    return consents.ask_consent(studio_id, platform, streams=body.streams, return_to=body.return_to)


@routes.get("/api/oauth/{platform}/callback", scope=PUBLIC, errors=[400, 409, 502], redirects=True)
def finish_consent(platform: PlatformName, query: Callback) -> Reply[Consented]:
    """Where the platform sends the browser back to; sends it on to `returnTo`, if there is one"""
    finished = consents.finish_consent(platform, state=query.state, code=Secret(query.code), error=query.error)
    return Redirect(location=finished) if isinstance(finished, str) else Reply(finished)
