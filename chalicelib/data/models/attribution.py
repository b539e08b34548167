"""The table `attribution`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import (
    Base,
    StudioId,
    UuidKey,
    same_studio,
)


class Attribution(Base):
    """A touch point on the way to an inquiry and, perhaps, a booking."""

    __tablename__ = "attribution"
    __table_args__ = (
        UniqueConstraint("studio_id", "inquiry_id", "channel", "touched_at"),
        same_studio("inquiry_id", "inquiry"),
        same_studio("booking_id", "booking", on_delete="SET NULL (booking_id)"),
        same_studio("campaign_id", "ad_campaign", on_delete="SET NULL (campaign_id)"),
        Index("attribution_booking_idx", "studio_id", "booking_id"),
        Index("attribution_campaign_idx", "studio_id", "campaign_id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    inquiry_id: Mapped[UUID]
    booking_id: Mapped[UUID | None]
    channel: Mapped[str]
    platform: Mapped[str]
    campaign_id: Mapped[UUID | None]
    touched_at: Mapped[datetime]
