"""The table `review_restatement`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import (
    Base,
    same_studio,
)


class ReviewRestatement(Base):
    """A review's text and rating before its author edited it."""

    __tablename__ = "review_restatement"
    __table_args__ = (same_studio("review_id", "review"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    review_id: Mapped[UUID] = mapped_column(primary_key=True)
    valid_until: Mapped[datetime] = mapped_column(primary_key=True)
    rating: Mapped[int] = mapped_column(SmallInteger)
    text: Mapped[str | None]
