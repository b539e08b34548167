"""The table `connected_account`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, one_of, same_studio

ACCOUNT_RULES = ("all", "matching")


class ConnectedAccount(Base):
    """An account that streams read under a connection, such as a calendar, and the rule by which its records count.
    Records of a deselected or gone account stay, and are excluded from all counts until it is back."""

    __tablename__ = "connected_account"
    __table_args__ = (
        UniqueConstraint("studio_id", "connection_id", "kind", "external_id"),
        # One account per kind may have an unknown id; the id is filled in later.
        Index(
            "connected_account_nameless_idx",
            *("studio_id", "connection_id", "kind"),
            unique=True,
            postgresql_where=text("external_id IS NULL AND gone_at IS NULL"),
        ),
        same_studio("connection_id", "platform_connection"),
        one_of("rule", ACCOUNT_RULES),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    connection_id: Mapped[UUID]
    kind: Mapped[str]
    external_id: Mapped[str | None]
    name: Mapped[str | None]
    time_zone: Mapped[str | None]
    currency: Mapped[str | None]
    is_primary: Mapped[bool] = mapped_column(server_default=text("false"))
    """Whether it is the grant's primary account, even if its id has changed"""
    selected: Mapped[bool] = mapped_column(server_default=text("true"))
    rule: Mapped[str] = mapped_column(server_default="matching")
    words: Mapped[list[str]] = mapped_column(JSONB, server_default=text("'[]'"))
    """Words that mark a record as the studio's business"""
    seen_at: Mapped[CreatedAt]
    """When the platform last listed it"""
    gone_at: Mapped[datetime | None]
    """Since when the platform no longer lists it, or since its connection was restored"""
    created_at: Mapped[CreatedAt]
