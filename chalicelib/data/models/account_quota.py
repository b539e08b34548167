"""The table `account_quota`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, same_studio


class AccountQuota(Base):
    """How much of a connected account's own quota is used."""

    __tablename__ = "account_quota"
    __table_args__ = (same_studio("connection_id", "platform_connection"),)

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    connection_id: Mapped[UUID] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    used: Mapped[float] = mapped_column(server_default=text("0"))
    blocked_until: Mapped[datetime | None]
