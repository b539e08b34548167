"""The table `skipped_record`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, UpdatedAt, same_studio


class SkippedRecord(Base):
    """A record that a stream's rules leave out, and why. Its text and names are not stored."""

    __tablename__ = "skipped_record"
    __table_args__ = (
        same_studio("connection_id", "platform_connection"),
        Index(
            "skipped_record_counterpart_idx",
            *("studio_id", "counterpart"),
            postgresql_where=text("counterpart IS NOT NULL"),
        ),
    )

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    connection_id: Mapped[UUID] = mapped_column(primary_key=True)
    stream: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    """As in `account_position`."""
    external_id: Mapped[str] = mapped_column(primary_key=True)
    table_name: Mapped[str] = mapped_column(primary_key=True)
    """Where the record would be stored."""
    reason: Mapped[str]
    counterpart: Mapped[bytes | None]
    """A hash of the other party's email address, under the studio's address key."""
    first_in_at: Mapped[datetime | None]
    last_in_at: Mapped[datetime | None]
    first_out_at: Mapped[datetime | None]
    last_out_at: Mapped[datetime | None]
    updated_at: Mapped[UpdatedAt]
