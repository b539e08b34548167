"""The table `account_position`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, Count, CreatedAt, StudioId, UuidKey, same_studio


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
