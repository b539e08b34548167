"""/api/connections: a studio's connections to platforms: their tokens, state, history and accounts."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib import clock
from chalicelib.api.params import ConnectionId, OfConnection, OnlyOfConnection, PlatformName
from chalicelib.data.events import Event
from chalicelib.data.postgres.rows import Moment
from chalicelib.errors import FieldProblem, InvalidInput
from chalicelib.platforms.core.contract import Credential
from chalicelib.platforms.registry import get_platform
from chalicelib.runtime.declare import Routes
from chalicelib.runtime.decoding import names_of
from chalicelib.runtime.paging import Listing, ListQuery, Pages
from chalicelib.runtime.responses import Created
from chalicelib.secret import Secret
from chalicelib.services.connections import connections
from chalicelib.services.connections.connections import ConnectionTest, TokenChange
from chalicelib.services.connections.tokens import Tokens
from chalicelib.services.explain import Connection

routes = Routes()

READ = "connections:read"
WRITE = "connections:write"

Token = Annotated[str, msgspec.Meta(min_length=1, max_length=8192, pattern="^[!-~]+$")]
Scope = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^[!-~]+$")]
AccountId = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^[!-~]+$")]
Scopes = Annotated[list[Scope], msgspec.Meta(max_length=100)]
FIELDS: dict[Credential, tuple[str, tuple[str, ...]]] = {
    "oauth": ("access_token", ("refresh_token", "expires_in", "expires_at", "scopes")),
    "api_key": ("account_id", ()),
    "none": ("", ()),
}
"""The field a new connection requires, and those it may have besides."""
Seconds = Annotated[int, msgspec.Meta(ge=1, le=10 * 365 * 86400)]


class NewConnection(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A connection made without a browser. Google, Meta and Pinterest take tokens, Yelp an account."""

    platform: PlatformName
    account_id: AccountId | None = None
    """Yelp only, and required there: the business's id, or the last part of its page's address."""
    access_token: Token | None = None
    """Required for Google, Meta and Pinterest: the access token that the platform issued."""
    refresh_token: Token | None = None
    """The refresh token; without one the connection ends with its access token."""
    expires_in: Seconds | None = None
    """In how many seconds the access token expires. Send this or `expiresAt`; neither if not known."""
    expires_at: Moment | None = None
    """When the access token expires, between the years 2000 and 2100. Send this or `expiresIn`."""
    scopes: Scopes | None = None
    """The scopes that were granted; left out when they are not known."""


class ConnectionChange(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The tokens to replace. A field that is left out stays as it is; at least one is needed."""

    access_token: Token | None = None
    """A new access token. Send its expiry with it, unless it is not known."""
    refresh_token: Token | None = None
    """A new refresh token."""
    expires_in: Seconds | None = None
    """In how many seconds the access token expires. Send this or `expiresAt`; neither if not known."""
    expires_at: Moment | None = None
    """When the access token expires, between the years 2000 and 2100. Send this or `expiresIn`."""
    scopes: Scopes | None = None
    """The scopes that were granted, replacing the present ones."""


class EventsQuery(ListQuery, kw_only=True, rename="camel", forbid_unknown_fields=True):
    connection: ConnectionId | None = None
    """The id of the connection, which may be disconnected. Needed when the studio has several of the platform."""


@routes.get("/api/connections", scope=READ)
def list_connections(studio_id: UUID, query: OnlyOfConnection) -> Listing[Connection]:
    """List the studio's connections

    A platform has as many as accounts of it are connected."""
    return Listing(items=connections.list_connections(studio_id, query.connection))


@routes.post("/api/connections", scope=WRITE, status=201, errors=[404, 409, 502])
def create_connection(studio_id: UUID, body: NewConnection) -> Created[Connection]:
    """Connect a platform without a browser

    Takes tokens that you already have, or the account for Yelp. To send a person to the platform's consent page
    instead, use `POST /api/oauth/{platform}/authorize`. The connection's streams are scheduled."""
    _check_fields(get_platform(body.platform).credential, body)
    if body.access_token is None:
        created = connections.connect_account(studio_id, body.platform, _account_id(body))
    else:
        tokens = Tokens(
            access=_secret("accessToken", body.access_token),
            refresh=_secret("refreshToken", body.refresh_token) if body.refresh_token else None,
            expires_at=_expiry(body),
            scopes=_scopes(body),
        )
        created = connections.create_connection(studio_id, body.platform, tokens)
    return Created(created, location=f"/api/connections/{created.platform}?connection={created.id}")


@routes.get("/api/connections/{platform}", scope=READ, errors=[409])
def get_connection(studio_id: UUID, platform: PlatformName, query: OfConnection) -> Connection:
    """Get a connection

    The platform's only one, or the one that `connection` names. With several and none named the response is a 409
    `several_connections` that lists them; this is so wherever a path names a platform and means one connection."""
    return connections.get_connection(studio_id, platform, query.connection)


@routes.put("/api/connections/{platform}", scope=WRITE, errors=[409])
def update_connection(
    studio_id: UUID, platform: PlatformName, query: OfConnection, body: ConnectionChange
) -> Connection:
    """Replace the tokens of a connection

    The connection keeps its id, history and cursors, and the refresh token if none is sent. The next sync asks the
    platform whose tokens these are; those of another account break the connection before anything is read."""
    if body == ConnectionChange():
        raise InvalidInput(
            "The request changes nothing: send at least one of the fields",
            fields=[FieldProblem("accessToken", "is missing")],
        )
    change = TokenChange(
        access=_secret("accessToken", body.access_token) if body.access_token else None,
        refresh=_secret("refreshToken", body.refresh_token) if body.refresh_token else None,
        expires_at=_expiry(body),
        scopes=_scopes(body),
    )
    return connections.update_connection(studio_id, platform, change, query.connection)


@routes.delete("/api/connections/{platform}", scope=WRITE, errors=[409])
def delete_connection(studio_id: UUID, platform: PlatformName, query: OfConnection) -> None:
    """Disconnect an account of a platform

    Revokes the grant at the platform if nothing else shares it (best effort), erases tokens and schedules, and keeps
    the log and the synced data."""
    connections.disconnect(studio_id, platform, query.connection)


@routes.get("/api/connections/{platform}/events", scope=READ, errors=[409])
def list_events(studio_id: UUID, platform: PlatformName, query: EventsQuery) -> Listing[Event]:
    """List the events of a connection, newest first

    Also after it was disconnected."""
    pages = Pages(query, UUID, "events", platform)
    events = connections.list_events(
        studio_id, platform, connection=query.connection, before=pages.after, limit=pages.fetched
    )
    return pages.page_of(events, key=lambda event: event.id)


@routes.post("/api/connections/{platform}/test", scope=WRITE, errors=[409])
def test_connection(studio_id: UUID, platform: PlatformName, query: OfConnection) -> ConnectionTest:
    """Test a connection

    Asks the platform who is connected. The response is a 200 with `valid`, whether or not the connection works."""
    return connections.test_connection(studio_id, platform, query.connection)


def _check_fields(credential: Credential, body: NewConnection) -> None:
    """Raises InvalidInput naming each field that a platform of this kind lacks or does not take."""
    needed, taken = FIELDS[credential]
    problems = []
    for name, sent_as in names_of(NewConnection):
        given = getattr(body, name) is not None
        if not given and name == needed:
            problems.append(FieldProblem(sent_as, "is missing"))
        if given and name not in ("platform", needed, *taken):
            problems.append(FieldProblem(sent_as, "does not apply to this platform"))
    if problems:
        raise InvalidInput(fields=problems)


def _account_id(body: NewConnection) -> str | None:
    if body.account_id is not None:
        _require_one_line("accountId", body.account_id)
    return body.account_id


def _secret(field: str, value: str) -> Secret:
    _require_one_line(field, value)
    return Secret(value)


def _scopes(body: NewConnection | ConnectionChange) -> list[str] | None:
    for index, scope in enumerate(body.scopes or ()):
        _require_one_line(f"scopes[{index}]", scope)
    return body.scopes


def _require_one_line(field: str, value: str) -> None:
    # The pattern's $ lets a line break at the end pass.
    if not value.isprintable():
        raise InvalidInput(fields=[FieldProblem(field, "must not contain a line break")])


def _expiry(body: NewConnection | ConnectionChange) -> datetime | None:
    if body.expires_in is not None and body.expires_at is not None:
        raise InvalidInput(fields=[FieldProblem("expiresAt", "must not be sent together with expiresIn")])
    if body.expires_in is not None:
        return clock.now() + timedelta(seconds=body.expires_in)
    if body.expires_at is not None and not 2000 <= body.expires_at.year <= 2100:
        raise InvalidInput(fields=[FieldProblem("expiresAt", "must be between the years 2000 and 2100")])
    return body.expires_at
