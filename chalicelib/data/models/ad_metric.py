"""The table `ad_metric`."""

from datetime import date
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import (
    Base,
    Count,
    CreatedAt,
    Minor,
    StudioId,
    UpdatedAt,
    UuidKey,
    same_studio,
)


class AdMetric(Base):
    """A campaign's numbers for one day, in the ad account's time zone."""

    __tablename__ = "ad_metric"
    __table_args__ = (
        UniqueConstraint("studio_id", "campaign_id", "day"),
        UniqueConstraint("studio_id", "id"),
        same_studio("campaign_id", "ad_campaign"),
        Index("ad_metric_day_idx", "studio_id", "day"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    campaign_id: Mapped[UUID]
    day: Mapped[date]
    spend_minor: Mapped[Minor]
    currency: Mapped[str]
    impressions: Mapped[Count]
    clicks: Mapped[Count]
    conversions: Mapped[float] = mapped_column(server_default=text("0"))
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
