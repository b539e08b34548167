"""The tables `conversation`, `thread` and `message`."""

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

DIRECTIONS = ("in", "out")
MESSAGE_KINDS = ("person", "machine", "auto_reply", "relay")
EFFECTS = ("asks", "answers")


class Conversation(Base):
    """The messages with one person on one matter, over threads and channels."""

    __tablename__ = "conversation"
    __table_args__ = (
        UniqueConstraint("studio_id", "id"),
        same_studio("person_id", "person"),
        Index("conversation_person_idx", "studio_id", "person_id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    person_id: Mapped[UUID]
    created_at: Mapped[CreatedAt]


class Thread(Base):
    """The messages that a platform shows together, or the part of them that concerns one person."""

    __tablename__ = "thread"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "external_id"),
        UniqueConstraint("studio_id", "id"),
        same_studio("connection_id", "platform_connection"),
        same_studio("conversation_id", "conversation"),
        Index("thread_conversation_idx", "studio_id", "conversation_id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    external_id: Mapped[NotPersonal]
    conversation_id: Mapped[UUID]
    channel: Mapped[NotPersonal]
    url: Mapped[NotPersonal | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class Message(Base):
    """One thing that somebody wrote, or that the studio wrote."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("studio_id", "thread_id", "external_id"),
        same_studio("thread_id", "thread"),
        one_of("direction", DIRECTIONS),
        one_of("kind", MESSAGE_KINDS),
        one_of("effect", EFFECTS),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    thread_id: Mapped[UUID]
    external_id: Mapped[NotPersonal]
    direction: Mapped[NotPersonal]
    kind: Mapped[NotPersonal]
    effect: Mapped[NotPersonal | None]
    """Whether it asks for an answer or gives one; None for machines, thanks, and mail to others"""
    sent_at: Mapped[datetime]
    sender_name: Mapped[Personal | None]
    sender_address: Mapped[Personal | None]
    person_address: Mapped[Personal | None]
    """Whom to answer, which is not the sender if a relay sent it"""
    recipients: Mapped[list[str]] = mapped_column(server_default=text("'{}'"), info={"personal": True})
    subject: Mapped[Personal | None]
    preview: Mapped[Personal | None]
    message_id: Mapped[NotPersonal | None]
    """The Message-ID of RFC 5322"""
    answered_ids: Mapped[list[str]] = mapped_column(server_default=text("'{}'"), info={"personal": False})
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]
