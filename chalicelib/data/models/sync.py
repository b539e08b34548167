"""Schedules and runs, and what all workers know of a platform."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt, StudioId, UuidKey, one_of, same_studio

RUN_STATUSES = ("queued", "running", "deferred", "succeeded", "failed", "cancelled")
ACTIVE_RUN = text("status IN ('queued', 'running', 'deferred')")
LIVE_RUN = text("status IN ('queued', 'running', 'deferred') AND trigger <> 'backfill'")
BACKFILL_RUN = text("status IN ('queued', 'running', 'deferred') AND trigger = 'backfill'")
RUN_TRIGGERS = ("manual", "schedule", "retry", "backfill")
PAUSERS = ("studio", "connection")


class SyncSchedule(Base):
    """A stream of a connection: when it syncs next, and how its last runs went."""

    __tablename__ = "sync_schedule"
    __table_args__ = (
        UniqueConstraint("studio_id", "platform", "stream"),
        same_studio("connection_id", "platform_connection"),
        Index("sync_schedule_connection_idx", "studio_id", "connection_id"),
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
    """Set while the tick passes over it."""
    paused_by: Mapped[str | None]
    """The studio, until it resumes the schedule itself; or the connection, until it is reconnected."""
    next_run_at: Mapped[datetime | None]
    account_kind: Mapped[str | None]
    """The kind of account that it reads; None for a stream that reads the connection as a whole."""
    accounts_listed_at: Mapped[datetime | None]
    """When a run last asked the platform which accounts there are; None: the next run asks."""
    last_run_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    missed_windows: Mapped[Count]
    skipped: Mapped[dict[str, int]] = mapped_column(JSON, server_default=text("'{}'"))
    """How many records the stream's rules leave out, by reason."""
    created_at: Mapped[CreatedAt]


class AccountPosition(Base):
    """Where a stream stands with one account that it reads. A backfill has positions of its own beside the live ones.

    A run visits the accounts that are due: those whose position names the run and is open are still to be read by it.
    """

    __tablename__ = "account_position"
    __table_args__ = (
        UniqueConstraint(
            *("studio_id", "connection_id", "stream", "account_id", "backfill_id"),
            name="account_position_account_key",
            postgresql_nulls_not_distinct=True,
        ),
        same_studio("connection_id", "platform_connection"),
        same_studio("backfill_id", "sync_log"),
        Index(
            "account_position_backfill_idx",
            *("studio_id", "backfill_id"),
            postgresql_where=text("backfill_id IS NOT NULL"),
        ),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    stream: Mapped[str]
    account_id: Mapped[UUID]
    """A connected account; the connection's own id for a stream that reads the connection as a whole."""
    backfill_id: Mapped[UUID | None]
    """The backfill that it belongs to; None for the live sync."""
    run_id: Mapped[UUID | None]
    """The run that reads the account, or was the last to do so."""
    is_open: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether that run has still to read it."""
    cursor: Mapped[str | None]
    """Where the last live sync ended."""
    page_cursor: Mapped[str | None]
    """Where the next page starts while a run reads it."""
    full_read: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether the run reads it from its start: no cursor yet, or one the platform no longer knows."""
    read_started_at: Mapped[datetime | None]
    """When the run began to read it: at its start, or when it started over."""
    turn_at: Mapped[datetime | None]
    """When it last had a turn. The account that has waited longest comes first, so that none holds up the others."""
    skipped: Mapped[dict[str, int]] = mapped_column(JSON, server_default=text("'{}'"))
    """How many records the stream's rules left out in the run, by reason."""
    attempts_without_progress: Mapped[int] = mapped_column(server_default=text("0"))
    """Attempts since the last stored page; after too many it counts as failed."""
    resume_at: Mapped[datetime | None]
    """Until then it is not read: the platform asked for that, or it failed just now."""
    report_asks: Mapped[int] = mapped_column(server_default=text("0"))
    """How often the run was told that the platform still prepares the page it waits for."""
    report_asked_at: Mapped[datetime | None]
    """When it was told so first."""
    code: Mapped[str | None]
    """Why the last attempt to read it failed; None once it was read."""
    message: Mapped[str | None]
    since: Mapped[datetime | None]
    """Since when it has failed with that code."""
    last_success_at: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    refused_deletions: Mapped[Count]
    """Rows that its last complete read did not meet and that were kept all the same: too many to believe it."""
    created_at: Mapped[CreatedAt]


class SyncLog(Base):
    """One run: every attempt to sync a stream, also one that did nothing."""

    __tablename__ = "sync_log"
    __table_args__ = (
        UniqueConstraint("studio_id", "id"),  # also what the newest runs are listed by
        one_of("status", RUN_STATUSES),
        one_of("trigger", RUN_TRIGGERS),
        same_studio("connection_id", "platform_connection"),
        CheckConstraint("(trigger = 'backfill') = (backfill_from IS NOT NULL)", name="backfill_from"),
        CheckConstraint("(trigger = 'backfill') = (backfill_to IS NOT NULL)", name="backfill_to"),
        Index("sync_log_one_live_idx", "studio_id", "platform", "stream", unique=True, postgresql_where=LIVE_RUN),
        Index(
            "sync_log_one_backfill_idx",
            *("studio_id", "platform", "stream"),
            unique=True,
            postgresql_where=BACKFILL_RUN,
        ),
        Index("sync_log_window_idx", "studio_id", "platform", "stream", "window_at", unique=True),
        Index("sync_log_stream_newest_idx", "studio_id", "platform", "stream", "id"),
        Index("sync_log_connection_idx", "studio_id", "connection_id"),
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
    """The schedule window it stands for; one run a window."""
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
    """Those that could not be read."""
    skipped: Mapped[dict[str, int]] = mapped_column(JSON, server_default=text("'{}'"))
    """How many records the stream's rules left out, by reason."""
    reads_again: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it was asked for once more after it had begun: then it goes on from its new position at its end."""
    deletions_refused: Mapped[Count]
    deletions_confirmed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it may delete however much a complete read does not meet."""
    backfill_from: Mapped[date | None]
    backfill_to: Mapped[date | None]
    """The days a backfill reads, both included."""
    api_calls: Mapped[Count]
    full_read: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it reads an account from its start: no cursor yet, or one the platform no longer knows."""
    accounts: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    """What became of each account it read, once it has ended."""
    lease_owner: Mapped[UUID | None]
    lease_expires_at: Mapped[datetime | None]
    resume_at: Mapped[datetime | None]
    enqueue_at: Mapped[CreatedAt]
    """When the tick sends the message again, unless the run has moved on."""
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_at: Mapped[datetime | None]


class SyncSeen(Base):
    """The external ids a full read of an account has met so far, so that what it did not meet can be told at its end.

    Without foreign keys, which took more than half of the time of noting an id; maintenance forgets what outlives its
    run.
    """

    __tablename__ = "sync_seen"

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    table_name: Mapped[str] = mapped_column(primary_key=True)
    """Behind the id, so that keys are told apart before it is compared."""
    studio_id: Mapped[UUID]


class PlatformCircuit(Base):
    """Whether a platform answers at all, whoever asks. Shared by all studios, and holds nothing of any."""

    __tablename__ = "platform_circuit"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    """The one of the platform's interfaces that a stream reads; empty where the platform counts all as one."""
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    open_until: Mapped[datetime | None]
    """Until then nobody asks; after it one run at a time tries."""


class AppQuota(Base):
    """How much of a platform's quota for this application is used. Shared by all studios, and holds nothing of any."""

    __tablename__ = "app_quota"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[float] = mapped_column(server_default=text("0"))
    """A share as the platform last told it; 1.0 is all."""
    used_until: Mapped[datetime | None]
    """When `used` stops to say anything: the platform's quota starts over, or what it said is too old."""
    calls: Mapped[Count]
    """Ours, by all studios, since `window_at`."""
    studios: Mapped[int] = mapped_column(server_default=text("0"))
    """How many of them had a part in `calls`."""
    window_at: Mapped[CreatedAt]
    blocked_until: Mapped[datetime | None]


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
