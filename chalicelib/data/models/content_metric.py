"""The table `content_metric`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import (
    Base,
    Count,
    CreatedAt,
    StudioId,
    UpdatedAt,
    UuidKey,
    same_studio,
)


class ContentMetric(Base):
    """A content item's lifetime totals at one time. Growth over a period is the difference between two such rows."""

    __tablename__ = "content_metric"
    __table_args__ = (
        UniqueConstraint("studio_id", "content_id", "measured_at"),
        same_studio("content_id", "content"),
        Index("content_metric_measured_idx", "studio_id", "measured_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    content_id: Mapped[UUID]
    measured_at: Mapped[datetime]
    views: Mapped[Count]
    likes: Mapped[Count]
    comments: Mapped[Count]
    shares: Mapped[Count]
    saves: Mapped[Count]
    reach: Mapped[Count]
    engagement_rate: Mapped[float | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
