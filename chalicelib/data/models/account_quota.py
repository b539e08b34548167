"""The table `account_quota`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt


class AccountQuota(Base):
    """How much a studio has had of a platform's quotas: of the account's own, and in calls of the application's."""

    __tablename__ = "account_quota"

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[float] = mapped_column(server_default=text("0"))
    calls: Mapped[Count]
    window_at: Mapped[CreatedAt]
    """The application's window that `calls` were made in."""
    blocked_until: Mapped[datetime | None]
