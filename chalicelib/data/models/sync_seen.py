"""The table `sync_seen`."""

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base


class SyncSeen(Base):
    """The external ids that a full read of an account has seen so far, so that missing ones are known at its end.

    Without foreign keys, which took more than half of the time of an insert; maintenance deletes rows that outlive
    their run.
    """

    __tablename__ = "sync_seen"

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    external_id: Mapped[str] = mapped_column(primary_key=True)
    table_name: Mapped[str] = mapped_column(primary_key=True)
    """After the id, so that key comparisons rarely reach it."""
    studio_id: Mapped[UUID]
