"""The table `rate_limit`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base


class RateLimit(Base):
    """A studio's token bucket, stored as the time from which it is full.

    Unlogged: every look-up of an API key writes here, and full buckets after a server crash are acceptable.
    """

    __tablename__ = "rate_limit"
    __table_args__ = {"prefixes": ["UNLOGGED"], "postgresql_with": {"fillfactor": 50}}

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    """An API key's id, `studio` for all keys together, or `platform_calls`."""
    full_at: Mapped[datetime]
