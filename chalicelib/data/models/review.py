"""The table `review`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, SmallInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import (
    Base,
    CreatedAt,
    StudioId,
    UpdatedAt,
    UuidKey,
    same_studio,
)


class Review(Base):
    __tablename__ = "review"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "external_id"),
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        Index("review_reviewed_idx", "studio_id", "reviewed_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    external_id: Mapped[str]
    rating: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str | None]
    author: Mapped[str | None]
    url: Mapped[str | None]
    reviewed_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
