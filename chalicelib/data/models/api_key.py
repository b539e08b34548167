"""The table `api_key`."""

from datetime import datetime

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from chalicelib.data.models.base import Base, CreatedAt, StudioId, UuidKey, no_null_in


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
