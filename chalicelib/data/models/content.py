"""The table `content`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import (
    Base,
    CreatedAt,
    StudioId,
    UpdatedAt,
    UuidKey,
    one_of,
    same_studio,
)

CONTENT_KINDS = ("post", "reel", "story", "video", "pin")
CONTENT_STATUSES = ("draft", "scheduled", "published", "archived")


class Content(Base):
    """A post, reel, story, video or pin."""

    __tablename__ = "content"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "external_id"),
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        one_of("kind", CONTENT_KINDS),
        one_of("status", CONTENT_STATUSES),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    external_id: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    caption: Mapped[str | None]
    url: Mapped[str | None]
    published_at: Mapped[datetime | None]
    scheduled_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
