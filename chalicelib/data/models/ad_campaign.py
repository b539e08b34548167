"""The table `ad_campaign`."""

from datetime import datetime
from uuid import UUID

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
    same_studio,
)

CAMPAIGN_STATUSES = ("draft", "active", "paused", "ended", "archived")


class AdCampaign(Base):
    __tablename__ = "ad_campaign"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "external_id"),
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        one_of("status", CAMPAIGN_STATUSES),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
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
