"""The table `inquiry`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import (
    Base,
    CreatedAt,
    NotPersonal,
    Personal,
    StudioId,
    UpdatedAt,
    UuidKey,
    one_of,
    same_studio,
)

CERTAINTIES = ("lead", "perhaps")
INQUIRY_STATUSES = ("new", "contacted", "qualified", "converted", "lost", "spam", "not_a_lead")


class Inquiry(Base):
    """A conversation that is a lead, or perhaps one, and the times of its progress.

    What the person first wrote is repeated here, so that a list of leads reads one table.
    """

    __tablename__ = "inquiry"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "external_id"),
        UniqueConstraint("studio_id", "id"),
        UniqueConstraint("studio_id", "conversation_id"),
        same_studio("connection_id", "platform_connection"),
        same_studio("person_id", "person"),
        same_studio("conversation_id", "conversation"),
        one_of("certainty", CERTAINTIES),
        one_of("status", INQUIRY_STATUSES),
        Index("inquiry_received_idx", "studio_id", "received_at"),
        Index("inquiry_person_idx", "studio_id", "person_id"),
        Index(
            "inquiry_waiting_idx",
            *("studio_id", "waiting_since"),
            postgresql_where=text("waiting_since IS NOT NULL"),
        ),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    platform: Mapped[NotPersonal]
    external_id: Mapped[NotPersonal]
    """Of the thread in which the person first wrote"""
    person_id: Mapped[UUID]
    conversation_id: Mapped[UUID]
    channel: Mapped[NotPersonal]
    """How it came: email, website, instagram_dm ..."""
    certainty: Mapped[NotPersonal]
    reason: Mapped[NotPersonal]
    """The rule that decided, such as `trade_word`"""
    reason_detail: Mapped[Personal | None]
    """What the rule found, such as the word"""
    decided_at: Mapped[datetime | None]
    """When the studio decided on the certainty itself; the rules then no longer do"""
    contact_name: Mapped[Personal | None]
    contact_email: Mapped[Personal | None]
    subject: Mapped[Personal | None]
    message: Mapped[Personal | None]
    url: Mapped[NotPersonal | None]
    received_at: Mapped[datetime]
    first_response_at: Mapped[datetime | None]
    waiting_since: Mapped[datetime | None]
    """When the person wrote what is still unanswered; None if nobody waits"""
    answered_by_hand_at: Mapped[datetime | None]
    """The time of an answer that no connected platform shows, such as a call"""
    no_answer_needed_at: Mapped[datetime | None]
    """Messages up to this time need no answer"""
    status: Mapped[NotPersonal] = mapped_column(server_default="new")
    contacted_at: Mapped[datetime | None]
    qualified_at: Mapped[datetime | None]
    converted_at: Mapped[datetime | None]
    lost_at: Mapped[datetime | None]
    skip_reason: Mapped[NotPersonal | None]
    """Why the stream's rules leave it out; it is then excluded from all counts."""
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
