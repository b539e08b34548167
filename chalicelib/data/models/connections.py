"""A studio's grants on platforms: how they are asked for, what happens to them, and who is told."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in, one_of, same_studio

CONNECTION_STATUSES = ("active", "expired", "revoked", "misconfigured", "error", "disabled")
WORKING_STATUSES = ("active", "misconfigured", "error")
"""Those in which a connection is used, or at least tried."""

OPEN_TEST = text("event_id IS NULL AND due_at IS NOT NULL")


ACCOUNT_RULES = ("all", "matching")


class PlatformConnection(Base):
    """A studio's grant on a platform. Disconnecting erases the tokens and keeps the row that data and logs point to."""

    __tablename__ = "platform_connection"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform"),
        UniqueConstraint("studio_id", "id"),
        one_of("status", CONNECTION_STATUSES),
        CheckConstraint("status = 'disabled' OR NOT needs_token OR access_token IS NOT NULL", name="token_present"),
        no_null_in("scopes"),
        Index("platform_connection_refresh_idx", "refresh_at", postgresql_where=text(f"status IN {WORKING_STATUSES}")),
        Index("platform_connection_account_idx", "platform", "external_account_id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    status_code: Mapped[str | None]
    status_message: Mapped[str | None]
    status_since: Mapped[CreatedAt]
    needs_token: Mapped[bool] = mapped_column(server_default=text("true"))
    """False where one key of ours serves all studios, or none is needed."""
    access_token: Mapped[bytes | None]
    refresh_token: Mapped[bytes | None]
    token_expires_at: Mapped[datetime | None]
    token_generation: Mapped[int] = mapped_column(server_default=text("1"))
    token_issued_at: Mapped[CreatedAt]
    refresh_token_expires_at: Mapped[datetime | None]
    refresh_at: Mapped[datetime | None]
    """When the tick has the grant refreshed although nobody needs it, so that it does not die of old age."""
    refresh_failures: Mapped[int] = mapped_column(server_default=text("0"))
    scopes: Mapped[list[str] | None]
    external_account_id: Mapped[str | None]
    external_account_name: Mapped[str | None]
    account_unverified: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether its tokens were replaced by hand since the platform last told whose they are."""
    last_sync_at: Mapped[datetime | None]
    last_error_code: Mapped[str | None]
    last_error_message: Mapped[str | None]
    last_error_at: Mapped[datetime | None]
    refresh_owner: Mapped[UUID | None]
    refresh_lease_expires_at: Mapped[datetime | None]
    revocation: Mapped[str | None]
    """What became of the grant upstream at the disconnect: revoked | failed | shared | unsupported"""
    disconnected_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]


class ConnectedAccount(Base):
    """What streams read under a connection, a calendar say, and by which rule its records count. Those of one that is
    deselected or gone stay, and count nowhere until it is back."""

    __tablename__ = "connected_account"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "kind", "external_id"),
        # While its id is not known there is one of a kind: it is named in place.
        Index(
            "connected_account_nameless_idx",
            *("studio_id", "connection_id", "kind"),
            unique=True,
            postgresql_where=text("external_id IS NULL AND gone_at IS NULL"),
        ),
        same_studio("connection_id", "platform_connection"),
        one_of("rule", ACCOUNT_RULES),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    kind: Mapped[str]
    external_id: Mapped[str | None]
    name: Mapped[str | None]
    time_zone: Mapped[str | None]
    currency: Mapped[str | None]
    is_primary: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it is the grant's own account, whatever its id is by now"""
    selected: Mapped[bool] = mapped_column(server_default=text("true"))
    rule: Mapped[str] = mapped_column(server_default="matching")
    words: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    """The studio's own words for what is its business"""
    seen_at: Mapped[CreatedAt]
    """When the platform last named it"""
    gone_at: Mapped[datetime | None]
    """Since when the platform no longer names it, or another account has been connected"""
    created_at: Mapped[CreatedAt]


class OauthState(Base):
    """A consent that was asked for: single use, known by the hash of its state, with the PKCE verifier sealed."""

    __tablename__ = "oauth_state"
    __table_args__ = (
        UniqueConstraint("state_hash"),
        no_null_in("streams"),
        Index("oauth_state_studio_idx", "studio_id"),
        Index("oauth_state_expires_idx", "expires_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    state_hash: Mapped[bytes]
    verifier: Mapped[bytes | None]
    streams: Mapped[list[str] | None]
    return_to: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class PendingGrant(Base):
    """A grant that a callback has brought, until the studio that asked for it completes the authorization.

    One that nobody completes in time is revoked, and the row deleted: what is left is live or about to be revoked.
    """

    __tablename__ = "pending_grant"
    __table_args__ = (
        UniqueConstraint("code_hash"),
        Index("pending_grant_studio_idx", "studio_id"),
        no_null_in("scopes"),
        no_null_in("streams"),
        Index("pending_grant_due_idx", "due_at"),
        Index("pending_grant_account_idx", "platform", "external_account_id"),
    )

    id: Mapped[UuidKey]
    """That of the consent's state"""
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    code_hash: Mapped[bytes | None]
    """None as soon as it can no longer be completed"""
    access_token: Mapped[bytes]
    refresh_token: Mapped[bytes | None]
    token_expires_at: Mapped[datetime | None]
    refresh_token_expires_at: Mapped[datetime | None]
    scopes: Mapped[list[str] | None]
    external_account_id: Mapped[str | None]
    external_account_name: Mapped[str | None]
    streams: Mapped[list[str] | None]
    warnings: Mapped[str]
    """JSON: what the studio is told when it completes"""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    due_at: Mapped[datetime]
    """When the tick sends a worker to revoke it"""
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """Workers that were sent"""


class ConnectionEvent(Base):
    """Something that happened to a connection: it was made or reconnected, failed, recovered, was abandoned."""

    __tablename__ = "connection_event"
    __table_args__ = (
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        Index("connection_event_connection_idx", "studio_id", "connection_id", "id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    kind: Mapped[str]
    code: Mapped[str | None]
    message: Mapped[str | None]
    at: Mapped[CreatedAt]


class WebhookEndpoint(Base):
    """A URL of the studio's that is told when a connection breaks or recovers."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (UniqueConstraint("studio_id", "id"), UniqueConstraint("studio_id", "url"))

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    url: Mapped[str]
    secret: Mapped[bytes]
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]


class WebhookDelivery(Base):
    """One event on its way to one webhook, until it is delivered or given up. Without an event it is a test."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("studio_id", "endpoint_id", "event_id"),
        same_studio("endpoint_id", "webhook_endpoint"),
        same_studio("event_id", "connection_event"),
        Index("webhook_delivery_due_idx", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("webhook_delivery_event_idx", "studio_id", "event_id"),
        Index("webhook_delivery_newest_idx", "studio_id", "endpoint_id", "id"),
        Index("webhook_delivery_one_test_idx", "studio_id", "endpoint_id", unique=True, postgresql_where=OPEN_TEST),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    endpoint_id: Mapped[UUID]
    event_id: Mapped[UUID | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime | None] = mapped_column(server_default=text("now()"))
    """None once it is delivered or given up."""
    delivered_at: Mapped[datetime | None]
    last_problem: Mapped[str | None]


class DataDeletion(Base):
    """A user's request, made at a platform, to delete what we know of them. Nothing in it tells who it was."""

    __tablename__ = "data_deletion"
    __table_args__ = (UniqueConstraint("code_hash"),)

    id: Mapped[UuidKey]
    platform: Mapped[str]
    code_hash: Mapped[bytes]
    """Of the confirmation code, which finds the request again."""
    requested_at: Mapped[CreatedAt]
    done_at: Mapped[datetime | None]
    connections: Mapped[int] = mapped_column(server_default=text("0"))
    """How many connections knew the account."""
