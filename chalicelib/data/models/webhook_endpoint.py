"""The table `webhook_endpoint`."""

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey


class WebhookEndpoint(Base):
    """A studio's URL that receives an event when a connection fails or recovers."""

    __tablename__ = "webhook_endpoint"
    __table_args__ = (UniqueConstraint("studio_id", "id"), UniqueConstraint("studio_id", "url"))

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    url: Mapped[str]
    secret: Mapped[bytes]
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
