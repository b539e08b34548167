"""The table `sync_log`."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt, StudioId, UuidKey, one_of, same_studio

RUN_STATUSES = ("queued", "running", "deferred", "succeeded", "failed", "cancelled")
ACTIVE_RUN = text("status IN ('queued', 'running', 'deferred')")
ENDED_RUN = text("status IN ('succeeded', 'failed', 'cancelled')")
LIVE_RUN = text("status IN ('queued', 'running', 'deferred') AND trigger <> 'backfill'")
BACKFILL_RUN = text("status IN ('queued', 'running', 'deferred') AND trigger = 'backfill'")
NEWEST_FIRST = text("id DESC NULLS LAST")
"""An order that the primary key does not have. A list in this order reads the runs of its own studio, even where the
planner expects those of all studios to be read faster."""
RUN_TRIGGERS = ("manual", "schedule", "retry", "backfill")


class SyncLog(Base):
    """One run. Every attempt to sync a stream is logged, even if it did nothing."""

    __tablename__ = "sync_log"
    __table_args__ = (
        one_of("status", RUN_STATUSES),
        one_of("trigger", RUN_TRIGGERS),
        same_studio("connection_id", "platform_connection"),
        CheckConstraint("(trigger = 'backfill') = (backfill_from IS NOT NULL)", name="backfill_from"),
        CheckConstraint("(trigger = 'backfill') = (backfill_to IS NOT NULL)", name="backfill_to"),
        Index("sync_log_one_live_idx", "studio_id", "connection_id", "stream", unique=True, postgresql_where=LIVE_RUN),
        Index(
            "sync_log_one_backfill_idx",
            *("studio_id", "connection_id", "stream"),
            unique=True,
            postgresql_where=BACKFILL_RUN,
        ),
        Index("sync_log_window_idx", "studio_id", "connection_id", "stream", "window_at", unique=True),
        Index("sync_log_newest_idx", "studio_id", NEWEST_FIRST, unique=True),
        Index("sync_log_stream_newest_idx", "studio_id", "connection_id", "stream", "id"),
        Index(
            "sync_log_ended_idx",
            *("studio_id", "connection_id", "stream", "status", "id"),
            postgresql_where=ENDED_RUN,
        ),  # written once, when a run ends
        Index("sync_log_enqueue_idx", "enqueue_at", postgresql_where=ACTIVE_RUN),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    stream: Mapped[str]
    trigger: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="queued")
    window_at: Mapped[datetime | None]
    """The schedule window it serves; one run per window."""
    schedule_lag_ms: Mapped[int | None] = mapped_column(BigInteger)
    queued_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None] = mapped_column(BigInteger)
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    attempts_without_progress: Mapped[int] = mapped_column(server_default=text("0"))
    """Attempts since the last stored page; too many end the run."""
    pages: Mapped[Count]
    records_seen: Mapped[Count]
    records_created: Mapped[Count]
    records_updated: Mapped[Count]
    records_unchanged: Mapped[Count]
    records_deleted: Mapped[Count]
    records_set_aside: Mapped[Count]
    """Records that could not be decoded."""
    skipped: Mapped[dict[str, int]] = mapped_column(JSON, server_default=text("'{}'"))
    """How many records the stream's rules left out, by reason."""
    reads_again: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether another sync was requested after it had started: it then continues at its end from its new position."""
    deletions_refused: Mapped[Count]
    deletions_confirmed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it may delete any number of records that a complete read does not see."""
    backfill_from: Mapped[date | None]
    backfill_to: Mapped[date | None]
    """The days that a backfill reads, inclusive."""
    api_calls: Mapped[Count]
    full_read: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it reads an account from its start: no cursor yet, or one the platform no longer knows."""
    accounts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    """The outcome per account, once the run has ended."""
    lease_owner: Mapped[UUID | None]
    lease_expires_at: Mapped[datetime | None]
    resume_at: Mapped[datetime | None]
    enqueue_at: Mapped[CreatedAt]
    """When the tick re-enqueues the run, unless it has moved on."""
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_at: Mapped[datetime | None]
