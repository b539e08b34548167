"""The table `pending_grant`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in, same_studio


class PendingGrant(Base):
    """A grant that a callback has brought, until the studio that asked for it completes the authorization.

    One that nobody completes in time is revoked, and the row deleted: what is left is live or about to be revoked.
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
    """That of the consent's state"""
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    connection_id: Mapped[UUID | None]
    """As the state's"""
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
