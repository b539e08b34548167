"""The table `connection_event`."""

from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, same_studio


class ConnectionEvent(Base):
    """Something that happened to a connection: connected, reconnected, failed, recovered, disconnected, and so on."""

    __tablename__ = "connection_event"
    __table_args__ = (
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        Index("connection_event_connection_idx", "studio_id", "connection_id", "id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    kind: Mapped[str]
    code: Mapped[str | None]
    message: Mapped[str | None]
    at: Mapped[CreatedAt]
