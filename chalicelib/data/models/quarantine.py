"""The table `quarantine`."""

from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey


class Quarantine(Base):
    """A sealed value or wrapped data key that could not be decrypted during a key rotation. It is left as it is."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("studio_id", "table_name", "column_name", "row_id"),)

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    table_name: Mapped[str]
    column_name: Mapped[str]
    row_id: Mapped[UUID]
    data_key_id: Mapped[UUID | None]
    reason: Mapped[str]
    found_at: Mapped[CreatedAt]
