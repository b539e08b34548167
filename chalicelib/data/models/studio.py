"""The table `studio`."""

from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt, UuidKey


class Studio(Base):
    """The tenant."""

    __tablename__ = "studio"

    id: Mapped[UuidKey]
    name: Mapped[str]
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    address_key: Mapped[bytes | None]
    """Key for hashing the addresses of skipped records; created when first needed."""
    created_at: Mapped[CreatedAt]
