"""The table `app_quota`."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt


class AppQuota(Base):
    """How much of a platform's quota for this application is used. Shared by all studios, and holds nothing of any."""

    __tablename__ = "app_quota"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[float] = mapped_column(server_default=text("0"))
    """A share as the platform last told it; 1.0 is all."""
    used_until: Mapped[datetime | None]
    """When `used` stops to say anything: the platform's quota starts over, or what it said is too old."""
    calls: Mapped[Count]
    """Ours, by all studios, since `window_at`."""
    studios: Mapped[int] = mapped_column(server_default=text("0"))
    """How many of them had a part in `calls`."""
    window_at: Mapped[CreatedAt]
    blocked_until: Mapped[datetime | None]
