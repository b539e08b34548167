"""The table `platform_connection`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in, one_of

CONNECTION_STATUSES = ("active", "expired", "revoked", "misconfigured", "error", "disabled")
WORKING_STATUSES = ("active", "misconfigured", "error")
"""The statuses in which a connection is used, or at least tried."""


class PlatformConnection(Base):
    """A studio's link to one account of a platform. Disconnecting erases the tokens and keeps the row, which data and
    logs refer to; connecting the same account again reuses it.

    A known account never changes. An unknown one may be any account, so at most one such connection exists.
    """

    __tablename__ = "platform_connection"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_account_id"),
        Index(
            "platform_connection_unknown_idx",
            *("studio_id", "platform"),
            unique=True,
            postgresql_where=text("external_account_id IS NULL AND disconnected_at IS NULL"),
        ),
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
    """False if a key of ours serves all studios, or none is needed."""
    access_token: Mapped[bytes | None]
    refresh_token: Mapped[bytes | None]
    token_expires_at: Mapped[datetime | None]
    token_generation: Mapped[int] = mapped_column(server_default=text("1"))
    token_issued_at: Mapped[CreatedAt]
    refresh_token_expires_at: Mapped[datetime | None]
    refresh_at: Mapped[datetime | None]
    """When the tick refreshes the grant even if idle, so that it does not expire."""
    refresh_failures: Mapped[int] = mapped_column(server_default=text("0"))
    scopes: Mapped[list[str] | None]
    external_account_id: Mapped[str | None]
    external_account_name: Mapped[str | None]
    account_unverified: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether its tokens were replaced directly since the platform last identified the account."""
    last_sync_at: Mapped[datetime | None]
    last_error_code: Mapped[str | None]
    last_error_message: Mapped[str | None]
    last_error_at: Mapped[datetime | None]
    refresh_owner: Mapped[UUID | None]
    refresh_lease_expires_at: Mapped[datetime | None]
    revocation: Mapped[str | None]
    """What happened to the grant at the platform on disconnect: revoked | failed | shared | unsupported"""
    disconnected_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
