"""The table `sync_seen`."""

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base


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
