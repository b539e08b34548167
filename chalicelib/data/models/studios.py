"""The tenant, its API keys, its data keys and what they no longer open, and the writes it may repeat."""

from datetime import datetime
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import ForeignKey, Index, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.audit import ActorKind
from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in, one_of


class Studio(Base):
    """The tenant."""

    __tablename__ = "studio"

    id: Mapped[UuidKey]
    name: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    address_key: Mapped[bytes | None]
    """What addresses of skipped records are hashed with; made when it is first needed."""
    created_at: Mapped[CreatedAt]


class ApiKey(Base):
    __tablename__ = "api_key"
    __table_args__ = (Index(None, "studio_id"), no_null_in("scopes"))

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    name: Mapped[str]
    secret_hash: Mapped[bytes]
    scopes: Mapped[list[str]]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class DataKey(Base):
    """A studio's data key, wrapped. Deleting it makes every token it sealed unreadable."""

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
    """ARNs of the KMS keys, each of which unwraps it; None when nobody has noted them."""


class AuditEntry(Base):
    """Who changed what. Rows are only ever added, by the statements that make the changes."""

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
    """The API key's"""
    request_id: Mapped[str | None]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID | None]
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    """Neither secrets nor what a person wrote. `person` is the id or hash of one that may be erased."""


class Quarantine(Base):
    """A sealed value, or a wrapped data key, that did not open when keys were rotated. It is left as it is."""

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


class StudioErasure(Base):
    """A studio that was erased, so that it can be erased again from a backup. It outlives the studio."""

    __tablename__ = "studio_erasure"

    studio_id: Mapped[UUID] = mapped_column(primary_key=True)
    started_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]


class TenantKey(Base):
    """A key that studios are proved with, prepared for HMAC.

    Only the owner and the role of the cross-tenant functions can read it.
    """

    __tablename__ = "tenant_key"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    inner_pad: Mapped[bytes]
    outer_pad: Mapped[bytes]
    created_at: Mapped[CreatedAt]
    in_use_since: Mapped[datetime | None]


class IdempotencyKey(Base):
    """A write that a client may repeat: its answer, kept for a day."""

    __tablename__ = "idempotency_key"
    __table_args__ = (Index("idempotency_key_started_idx", "started_at"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[bytes]
    started_at: Mapped[CreatedAt]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    location: Mapped[str | None]
    body: Mapped[str | None]
