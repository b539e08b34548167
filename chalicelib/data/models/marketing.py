"""What a studio published and advertised, what that brought, and how it is reviewed."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import (
    AccountIds,
    Base,
    Count,
    CreatedAt,
    Minor,
    StudioId,
    UpdatedAt,
    UuidKey,
    one_of,
    same_studio,
)

CONTENT_KINDS = ("post", "reel", "story", "video", "pin")
CONTENT_STATUSES = ("draft", "scheduled", "published", "archived")
CAMPAIGN_STATUSES = ("draft", "active", "paused", "ended", "archived")


class Content(Base):
    """A post, reel, story, video or pin."""

    __tablename__ = "content"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_id"),
        UniqueConstraint("studio_id", "id"),
        one_of("kind", CONTENT_KINDS),
        one_of("status", CONTENT_STATUSES),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
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


class ContentMetric(Base):
    """What a content's life-time totals were at one moment. Growth over a period is the difference of two such rows."""

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


class AdMetric(Base):
    """A campaign's numbers of one day, in the ad account's time zone."""

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


class AdMetricRestatement(Base):
    """What a day's numbers were until the platform restated them."""

    __tablename__ = "ad_metric_restatement"
    __table_args__ = (same_studio("ad_metric_id", "ad_metric"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    ad_metric_id: Mapped[UUID] = mapped_column(primary_key=True)
    valid_until: Mapped[datetime] = mapped_column(primary_key=True)
    spend_minor: Mapped[Minor]
    currency: Mapped[str]
    impressions: Mapped[int] = mapped_column(BigInteger)
    clicks: Mapped[int] = mapped_column(BigInteger)
    conversions: Mapped[float]


class Review(Base):
    __tablename__ = "review"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "external_id"),
        UniqueConstraint("studio_id", "id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating"),
        Index("review_reviewed_idx", "studio_id", "reviewed_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    external_id: Mapped[str]
    rating: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str | None]
    author: Mapped[str | None]
    url: Mapped[str | None]
    reviewed_at: Mapped[datetime]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class ReviewRestatement(Base):
    """What a review said until its author edited it."""

    __tablename__ = "review_restatement"
    __table_args__ = (same_studio("review_id", "review"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    review_id: Mapped[UUID] = mapped_column(primary_key=True)
    valid_until: Mapped[datetime] = mapped_column(primary_key=True)
    rating: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str | None]
