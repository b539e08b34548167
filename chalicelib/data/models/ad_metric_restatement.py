"""The table `ad_metric_restatement`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import (
    Base,
    Minor,
    same_studio,
)


class AdMetricRestatement(Base):
    """A day's numbers before the platform restated them."""

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
