"""The tables `person` and `person_identity`."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
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

IDENTITY_KINDS = ("email", "phone", "platform_user")


class Person(Base):
    """One human who writes to the studio, over all channels."""

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("studio_id", "id"),)

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    name: Mapped[Personal | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class PersonIdentity(Base):
    """What a person is recognized by: two people are the same only if one of these is exactly the same."""

    __tablename__ = "person_identity"
    __table_args__ = (
        same_studio("person_id", "person"),
        one_of("kind", IDENTITY_KINDS),
        Index("person_identity_person_idx", "studio_id", "person_id"),
    )

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[NotPersonal] = mapped_column(primary_key=True)
    value: Mapped[Personal] = mapped_column(primary_key=True)
    """An e-mail address in lower case, a phone number in E.164, or `{platform}:{user}`"""
    person_id: Mapped[UUID]
    hash: Mapped[bytes | None]
    """Of an address, under the studio's address key: it finds threads with this person that were left out"""
    created_at: Mapped[CreatedAt]
