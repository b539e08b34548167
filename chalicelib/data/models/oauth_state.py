"""The table `oauth_state`."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in


class OauthState(Base):
    """A consent that was asked for: single use, known by the hash of its state, with the PKCE verifier sealed."""

    __tablename__ = "oauth_state"
    __table_args__ = (
        UniqueConstraint("state_hash"),
        no_null_in("streams"),
        Index("oauth_state_studio_idx", "studio_id"),
        Index("oauth_state_expires_idx", "expires_at"),
    )

    id: Mapped[UuidKey]
    studio_id: Mapped[StudioId]
    platform: Mapped[str]
    state_hash: Mapped[bytes]
    verifier: Mapped[bytes | None]
    streams: Mapped[list[str] | None]
    return_to: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
