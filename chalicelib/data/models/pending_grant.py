"""The table `pending_grant`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in, same_studio


class PendingGrant(Base):
    """A grant from a callback, until the studio that started the authorization completes it.

    If that does not happen in time, the grant is revoked and the row deleted.
    """

    __tablename__ = "pending_grant"
    __table_args__ = (
        UniqueConstraint("code_hash"),
        same_studio("connection_id", "platform_connection"),
        Index("pending_grant_connection_idx", "studio_id", "connection_id"),
        no_null_in("scopes"),
        no_null_in("streams"),
        Index("pending_grant_due_idx", "due_at"),
        Index("pending_grant_account_idx", "platform", "external_account_id"),
    )

    id: Mapped[UuidKey]
    """The id of the authorization's state"""
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    connection_id: Mapped[UUID | None]
    """As in `oauth_state`"""
    code_hash: Mapped[bytes | None]
    """None once the grant can no longer be completed"""
    access_token: Mapped[bytes]
    refresh_token: Mapped[bytes | None]
    token_expires_at: Mapped[datetime | None]
    refresh_token_expires_at: Mapped[datetime | None]
    scopes: Mapped[list[str] | None]
    external_account_id: Mapped[str | None]
    external_account_name: Mapped[str | None]
    streams: Mapped[list[str] | None]
    warnings: Mapped[str]
    """JSON: the warnings that the studio gets at completion"""
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    due_at: Mapped[datetime]
    """When the tick enqueues its revocation"""
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    """How often its revocation was enqueued"""
