"""/api/connections: a studio's grants on platforms."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib import clock
from chalicelib.api.params import PlatformName
from chalicelib.data.events import Event
from chalicelib.data.rows import Moment
from chalicelib.errors import FieldProblem, InvalidInput
from chalicelib.platforms.base import Credential
from chalicelib.platforms.registry import get_platform
from chalicelib.runtime.declare import Routes
from chalicelib.runtime.paging import Listing, ListQuery, Pages
from chalicelib.runtime.responses import Created
from chalicelib.secret import Secret
from chalicelib.services import connections
from chalicelib.services.connections import ConnectionTest, TokenChange
from chalicelib.services.explain import Connection
from chalicelib.services.tokens import Tokens

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
"""What a new connection needs to be told, and what it may be told besides."""
Seconds = Annotated[int, msgspec.Meta(ge=1, le=10 * 365 * 86400)]


class NewConnection(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Tokens of a grant, with the expiry as `expiresIn` seconds or as the moment `expiresAt`, or not known. Where one
    key serves all studios, the account instead; where none is needed, nothing."""

    platform: PlatformName
    account_id: AccountId | None = None
    access_token: Token | None = None
    refresh_token: Token | None = None
    expires_in: Seconds | None = None
    expires_at: Moment | None = None
    scopes: Scopes | None = None


class ConnectionChange(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is left out stays: without a new refresh token the present one is kept."""

    access_token: Token | None = None
    refresh_token: Token | None = None
    expires_in: Seconds | None = None
    expires_at: Moment | None = None
    scopes: Scopes | None = None


@routes.get("/api/connections", scope=READ)
def list_connections(studio_id: UUID) -> Listing[Connection]:
    """List all connections"""
    return Listing(items=connections.list_connections(studio_id))


@routes.post("/api/connections", scope=WRITE, status=201, errors=[404, 409, 502])
def create_connection(studio_id: UUID, body: NewConnection) -> Created[Connection]:
    """Connect a platform with tokens at hand, or one that needs none"""
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
    return Created(created, location=f"/api/connections/{created.platform}")


@routes.get("/api/connections/{platform}", scope=READ)
def get_connection(studio_id: UUID, platform: PlatformName) -> Connection:
    """Get one connection"""
    return connections.get_connection(studio_id, platform)


@routes.put("/api/connections/{platform}", scope=WRITE, errors=[409])
def update_connection(studio_id: UUID, platform: PlatformName, body: ConnectionChange) -> Connection:
    """Replace tokens; keeps the id, history and cursors, and the refresh token when none is sent"""
    if body == ConnectionChange():
        raise InvalidInput("There is nothing to change", fields=[FieldProblem("accessToken", "is missing")])
    change = TokenChange(
        access=_secret("accessToken", body.access_token) if body.access_token else None,
        refresh=_secret("refreshToken", body.refresh_token) if body.refresh_token else None,
        expires_at=_expiry(body),
        scopes=_scopes(body),
    )
    return connections.update_connection(studio_id, platform, change)


@routes.delete("/api/connections/{platform}", scope=WRITE)
def delete_connection(studio_id: UUID, platform: PlatformName) -> None:
    """Disconnect: revoke at the platform, erase tokens and schedules, keep logs and data"""
    connections.disconnect(studio_id, platform)


@routes.get("/api/connections/{platform}/events", scope=READ)
def list_events(studio_id: UUID, platform: PlatformName, query: ListQuery) -> Listing[Event]:
    """List what happened to a connection, newest first"""
    pages = Pages(query, UUID, "events", platform)
    events = connections.list_events(studio_id, platform, before=pages.after, limit=pages.fetched)
    return pages.page_of(events, key=lambda event: event.id)


@routes.post("/api/connections/{platform}/test", scope=WRITE, errors=[409])
def test_connection(studio_id: UUID, platform: PlatformName) -> ConnectionTest:
    """Ask the platform whether the connection works"""
    return connections.test_connection(studio_id, platform)


def _check_fields(credential: Credential, body: NewConnection) -> None:
    """Raises InvalidInput naming each field that a platform of this kind lacks or does not take."""
    needed, taken = FIELDS[credential]
    problems = []
    for field in msgspec.structs.fields(NewConnection):
        given = getattr(body, field.name) is not None
        if not given and field.name == needed:
            problems.append(FieldProblem(field.encode_name, "is missing"))
        if given and field.name not in ("platform", needed, *taken):
            problems.append(FieldProblem(field.encode_name, "is not taken for this platform"))
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
        raise InvalidInput(fields=[FieldProblem("expiresAt", "excludes expiresIn")])
    if body.expires_in is not None:
        return clock.now() + timedelta(seconds=body.expires_in)
    if body.expires_at is not None and not 2000 <= body.expires_at.year <= 2100:
        raise InvalidInput(fields=[FieldProblem("expiresAt", "must lie between the years 2000 and 2100")])
    return body.expires_at
