"""The table `audit_entry`."""

from typing import Any, get_args
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.audit import ActorKind
from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, one_of


class AuditEntry(Base):
    """Who changed what. The statements that make changes add these rows."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        one_of("actor_kind", get_args(ActorKind)),
        Index("audit_entry_studio_idx", "studio_id", "id"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    at: Mapped[CreatedAt]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    """The API key's id"""
    request_id: Mapped[str | None]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID | None]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    """No secrets and no text that a person wrote. `person` is the id or hash of a person whose data may be erased."""
