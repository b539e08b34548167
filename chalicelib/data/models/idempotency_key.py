"""The table `idempotency_key`."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt


class IdempotencyKey(Base):
    """A write that a client may repeat: its response, stored for a day."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("idempotency_key_started_idx", "started_at"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes]
    started_at: Mapped[CreatedAt]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    location: Mapped[str | None]
    body: Mapped[str | None]
