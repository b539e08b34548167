"""The table `rate_limit`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base


class RateLimit(Base):
    """A token bucket of a studio's, as the moment at which it is full again. After that moment it is full.

    Unlogged: every look-up of an API key writes here, and after a crash of the server all buckets may well be full.
    """

    __tablename__ = "rate_limit"
    __table_args__ = {"prefixes": ["UNLOGGED"], "postgresql_with": {"fillfactor": 50}}

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    """An API key's id, `studio` for all keys together, or `platform_calls`."""
    full_at: Mapped[datetime]
