"""The table `webhook_delivery`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, StudioId, UuidKey, same_studio

OPEN_TEST = text("event_id IS NULL AND due_at IS NOT NULL")


class WebhookDelivery(Base):
    """The delivery of one event to one webhook endpoint; without an event it is a test."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("studio_id", "endpoint_id", "event_id"),
        same_studio("endpoint_id", "webhook_endpoint"),
        same_studio("event_id", "connection_event"),
        Index("webhook_delivery_due_idx", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("webhook_delivery_event_idx", "studio_id", "event_id"),
        Index("webhook_delivery_newest_idx", "studio_id", "endpoint_id", "id"),
        Index("webhook_delivery_one_test_idx", "studio_id", "endpoint_id", unique=True, postgresql_where=OPEN_TEST),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    endpoint_id: Mapped[UUID]
    event_id: Mapped[UUID | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    due_at: Mapped[datetime | None] = mapped_column(server_default=text("now()"))
    """None once it is delivered or abandoned."""
    delivered_at: Mapped[datetime | None]
    last_problem: Mapped[str | None]
