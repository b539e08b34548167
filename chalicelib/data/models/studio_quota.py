"""The table `studio_quota`."""

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt


class StudioQuota(Base):
    """How many calls of the application's quota a studio has used, across its connections."""

    __tablename__ = "studio_quota"

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    calls: Mapped[Count]
    window_at: Mapped[CreatedAt]
    """The application's window that `calls` were made in."""
