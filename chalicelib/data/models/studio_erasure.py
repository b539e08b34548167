"""The table `studio_erasure`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt


class StudioErasure(Base):
    """An erased studio, so that it can be erased again after a backup is restored. The row outlives the studio."""

    __tablename__ = "studio_erasure"

    studio_id: Mapped[UUID] = mapped_column(primary_key=True)
    started_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]
