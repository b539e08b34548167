"""The table `data_key`."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in


class DataKey(Base):
    """A studio's wrapped data key. Deleting it makes every token sealed with it unreadable."""

    __tablename__ = "data_key"
    __table_args__ = (
        UniqueConstraint("studio_id", "id"),
        no_null_in("wrapped_under"),
        Index("data_key_one_current_idx", "studio_id", unique=True, postgresql_where=text("retired_at IS NULL")),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    wrapped: Mapped[bytes]
    provider: Mapped[str]
    created_at: Mapped[CreatedAt]
    retired_at: Mapped[datetime | None]
    wrapped_under: Mapped[list[str] | None]
    """ARNs of the KMS keys, each of which unwraps it; None if not recorded."""
