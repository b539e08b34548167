"""The table `set_aside`."""

from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, same_studio


class SetAside(Base):
    """A record that could not be decoded, with the invalid field and the problem. It is stored sealed until it can be
    decoded."""

    __tablename__ = "set_aside"
    __table_args__ = (
        UniqueConstraint(
            *("studio_id", "connection_id", "stream", "account_id", "external_id", "table_name"),
            name="set_aside_record_key",
        ),
        same_studio("connection_id", "platform_connection"),
        Index("set_aside_seen_idx", "last_seen_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    stream: Mapped[str]
    account_id: Mapped[UUID]
    """As in `account_position`."""
    external_id: Mapped[str]
    table_name: Mapped[str]
    """Where the record would be stored."""
    field: Mapped[str]
    """A path such as `start.date`; empty for the record as a whole."""
    reason: Mapped[str]
    content: Mapped[bytes | None]
    """The record as the platform sent it; None if it is too large."""
    first_seen_at: Mapped[CreatedAt]
    last_seen_at: Mapped[CreatedAt]
    retried_at: Mapped[CreatedAt]
    """When it was last retried."""
