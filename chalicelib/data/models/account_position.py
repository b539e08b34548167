"""The table `account_position`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt, StudioId, UuidKey, same_studio


class AccountPosition(Base):
    """Where a stream stands with one account that it reads. A backfill has its own positions, separate from live ones.

    A run visits due accounts: it still has to read those whose position names the run and is open.
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
    """The backfill it belongs to; None for the live sync."""
    run_id: Mapped[UUID | None]
    """The run that reads the account, or last did."""
    is_open: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether that run still has to read it."""
    cursor: Mapped[str | None]
    """Where the last live sync ended."""
    page_cursor: Mapped[str | None]
    """Where the next page starts while a run reads it."""
    full_read: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether the run reads it from its start: no cursor yet, or one the platform no longer knows."""
    read_started_at: Mapped[datetime | None]
    """When the run began, or restarted, reading it from its start."""
    turn_at: Mapped[datetime | None]
    """When it last had a turn. The account that has waited longest comes first, so that none holds up the others."""
    skipped: Mapped[dict[str, int]] = mapped_column(JSON, server_default=text("'{}'"))
    """How many records the stream's rules left out in the run, by reason."""
    attempts_without_progress: Mapped[int] = mapped_column(server_default=text("0"))
    """Attempts since the last stored page; after too many it counts as failed."""
    resume_at: Mapped[datetime | None]
    """Until then it is not read: the platform requested a wait, or the last attempt failed."""
    report_asks: Mapped[int] = mapped_column(server_default=text("0"))
    """How often the platform responded that the page is still being prepared."""
    report_asked_at: Mapped[datetime | None]
    """When it first did."""
    code: Mapped[str | None]
    """Why the last attempt failed; None after a success."""
    message: Mapped[str | None]
    since: Mapped[datetime | None]
    """Since when attempts have failed with that code."""
    last_success_at: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    refused_deletions: Mapped[Count]
    """Rows that its last complete read did not see but that were kept, because implausibly many were missing."""
    created_at: Mapped[CreatedAt]
