"""The table `ad_campaign`."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import (
    AccountIds,
    Base,
    CreatedAt,
    Minor,
    StudioId,
    UpdatedAt,
    UuidKey,
    one_of,
)

CAMPAIGN_STATUSES = ("draft", "active", "paused", "ended", "archived")


class AdCampaign(Base):
    __tablename__ = "ad_campaign"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_id"),
        UniqueConstraint("studio_id", "id"),
        one_of("status", CAMPAIGN_STATUSES),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    external_id: Mapped[str]
    account_ids: Mapped[AccountIds]
    name: Mapped[str]
    status: Mapped[str]
    objective: Mapped[str | None]
    budget_minor: Mapped[Minor | None]
    currency: Mapped[str | None]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
