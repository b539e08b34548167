"""The table `booking`."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import (
    AccountIds,
    Base,
    CreatedAt,
    Minor,
    StudioId,
    UpdatedAt,
    UuidKey,
    one_of,
    same_studio,
)

BOOKING_STATUSES = ("tentative", "confirmed", "cancelled")


class Booking(Base):
    __tablename__ = "booking"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "external_id"),
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        same_studio("inquiry_id", "inquiry", on_delete="SET NULL (inquiry_id)"),
        one_of("status", BOOKING_STATUSES),
        CheckConstraint("(value_minor IS NULL) = (currency IS NULL)", name="value_currency"),
        Index("booking_booked_idx", "studio_id", "booked_at"),
        Index("booking_inquiry_idx", "studio_id", "inquiry_id"),
        Index(
            "booking_ical_uid_idx",
            *("studio_id", "ical_uid", "starts_at"),
            postgresql_where=text("ical_uid IS NOT NULL"),
        ),
        Index("booking_series_idx", "studio_id", "series_id", postgresql_where=text("series_id IS NOT NULL")),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[str]
    external_id: Mapped[str]
    calendar_id: Mapped[str | None]
    """None while the connection's scopes do not permit reading it"""
    account_ids: Mapped[AccountIds]
    ical_uid: Mapped[str | None]
    """The same for all copies of an event, in whichever calendar, and for all dates of a series."""
    series_id: Mapped[str | None]
    title: Mapped[str | None]
    event_type: Mapped[str]
    event_date: Mapped[date]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    all_day: Mapped[bool] = mapped_column(server_default=text("false"))
    status: Mapped[str]
    value_minor: Mapped[Minor | None]
    currency: Mapped[str | None]
    client_name: Mapped[str | None]
    client_email: Mapped[str | None]
    guests: Mapped[list[dict[str, str | None]]] = mapped_column(JSONB, server_default=text("'[]'"))
    """All invited people: name, email, response"""
    location: Mapped[str | None]
    notes: Mapped[str | None]
    url: Mapped[str | None]
    inquiry_id: Mapped[UUID | None]
    source_updated_at: Mapped[datetime | None]
    skip_reason: Mapped[str | None]
    """As in `inquiry`."""
    booked_at: Mapped[CreatedAt]
    """When it became a booking; metrics count bookings by this time."""
    updated_at: Mapped[UpdatedAt]
