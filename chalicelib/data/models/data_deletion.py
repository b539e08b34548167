"""The table `data_deletion`."""

from datetime import datetime

from sqlalchemy import UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt, UuidKey


class DataDeletion(Base):
    """A user's request, made at a platform, to delete their data. It does not identify the user."""

    __tablename__ = "data_deletion"
    __table_args__ = (UniqueConstraint("code_hash"),)

    id: Mapped[UuidKey]
    platform: Mapped[str]
    code_hash: Mapped[bytes]
    """Hash of the confirmation code, by which the request is found."""
    requested_at: Mapped[CreatedAt]
    done_at: Mapped[datetime | None]
    connections: Mapped[int] = mapped_column(server_default=text("0"))
    """How many connections had data about the account."""
