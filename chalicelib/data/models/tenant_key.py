"""The table `tenant_key`."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt


class TenantKey(Base):
    """A key for tenant proofs, prepared for HMAC.

    Only the owner and the role of the cross-tenant functions can read it.
    """

    __tablename__ = "tenant_key"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    inner_pad: Mapped[bytes]
    outer_pad: Mapped[bytes]
    created_at: Mapped[CreatedAt]
    in_use_since: Mapped[datetime | None]
