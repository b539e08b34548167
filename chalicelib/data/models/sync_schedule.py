"""The table `sync_schedule`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt, StudioId, UuidKey, one_of, same_studio

PAUSERS = ("studio", "connection")


class SyncSchedule(Base):
    """A stream of a connection: when it syncs next, and how its last runs went."""

    __tablename__ = "sync_schedule"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "stream"),
        same_studio("connection_id", "platform_connection"),
        Index("sync_schedule_due_idx", "next_run_at", postgresql_where=text("enabled AND paused_at IS NULL")),
        one_of("paused_by", PAUSERS),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    stream: Mapped[str]
    frequency: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    paused_at: Mapped[datetime | None]
    """Set while the tick skips it."""
    paused_by: Mapped[str | None]
    """The studio, until it resumes the schedule itself; or the connection, until it is reconnected."""
    next_run_at: Mapped[datetime | None]
    account_kind: Mapped[str | None]
    """The kind of account it reads; None for a stream that reads the connection as a whole."""
    accounts_listed_at: Mapped[datetime | None]
    """When a run last listed the platform's accounts; None: the next run lists them."""
    last_run_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    missed_windows: Mapped[Count]
    skipped: Mapped[dict[str, int]] = mapped_column(JSON, server_default=text("'{}'"))
    """How many records the stream's rules leave out, by reason."""
    created_at: Mapped[CreatedAt]
