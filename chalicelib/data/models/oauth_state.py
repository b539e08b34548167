"""The table `oauth_state`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in, same_studio


class OauthState(Base):
    """A started authorization: single use, identified by the hash of its state, with the PKCE verifier sealed."""

    __tablename__ = "oauth_state"
    __table_args__ = (
        UniqueConstraint("state_hash"),
        same_studio("connection_id", "platform_connection"),
        no_null_in("streams"),
        Index("oauth_state_connection_idx", "studio_id", "connection_id"),
        Index("oauth_state_expires_idx", "expires_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    connection_id: Mapped[UUID | None]
    """The connection to reconnect, if the studio named one"""
    state_hash: Mapped[bytes]
    verifier: Mapped[bytes | None]
    streams: Mapped[list[str] | None]
    return_to: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
