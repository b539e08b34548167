"""The table `platform_circuit`."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base


class PlatformCircuit(Base):
    """Whether a platform responds at all. Shared by all studios, without data of any."""

    __tablename__ = "platform_circuit"

    platform: Mapped[str] = mapped_column(primary_key=True)
    api: Mapped[str] = mapped_column(primary_key=True)
    """The platform's API that a stream reads; empty if the platform counts all its APIs together."""
    failures_in_row: Mapped[int] = mapped_column(server_default=text("0"))
    open_until: Mapped[datetime | None]
    """Until then no worker calls it; afterwards one run at a time probes it."""
