"""The table `inquiry`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import (
    Base,
    CreatedAt,
    StudioId,
    UpdatedAt,
    UuidKey,
    one_of,
    same_studio,
)

INQUIRY_STATUSES = ("new", "contacted", "qualified", "converted", "lost")


class Inquiry(Base):
    """A lead, and the times of its progress."""

    __tablename__ = "inquiry"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "external_id"),
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        one_of("status", INQUIRY_STATUSES),
        Index("inquiry_received_idx", "studio_id", "received_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    external_id: Mapped[str]
    channel: Mapped[str]
    contact_name: Mapped[str | None]
    contact_email: Mapped[str | None]
    subject: Mapped[str | None]
    message: Mapped[str | None]
    url: Mapped[str | None]
    received_at: Mapped[datetime]
    replied_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(server_default="new")
    contacted_at: Mapped[datetime | None]
    qualified_at: Mapped[datetime | None]
    converted_at: Mapped[datetime | None]
    lost_at: Mapped[datetime | None]
    skip_reason: Mapped[str | None]
    """Why the stream's rules leave it out; it is then excluded from all counts."""
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
