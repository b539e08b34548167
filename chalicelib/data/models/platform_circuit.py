"""The table `platform_circuit`."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base


class PlatformCircuit(Base):
    """Whether a platform answers at all, whoever asks. Shared by all studios, and holds nothing of any."""

    __tablename__ = "platform_circuit"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    """The one of the platform's interfaces that a stream reads; empty where the platform counts all as one."""
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    open_until: Mapped[datetime | None]
    """Until then nobody asks; after it one run at a time tries."""
