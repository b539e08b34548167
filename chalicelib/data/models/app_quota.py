"""The table `app_quota`."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt


class AppQuota(Base):
    """How much of a platform's quota for this application is used. Shared by all studios, without data of any."""

    __tablename__ = "app_quota"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[float] = mapped_column(server_default=text("0"))
    """The share that the platform last reported; 1.0 is all of it."""
    used_until: Mapped[datetime | None]
    """When `used` becomes meaningless: the platform's quota resets, or the report is too old."""
    calls: Mapped[Count]
    """Our calls for all studios since `window_at`."""
    studios: Mapped[int] = mapped_column(server_default=text("0"))
    """How many studios contributed to `calls`."""
    window_at: Mapped[CreatedAt]
    blocked_until: Mapped[datetime | None]
