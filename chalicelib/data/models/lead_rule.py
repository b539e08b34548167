"""The table `lead_rule`."""

from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from chalicelib.data.models.base import Base, CreatedAt, NotPersonal, Personal, one_of

RULE_KINDS = ("sender", "domain")
VERDICTS = ("lead", "perhaps", "not_a_lead")


class LeadRule(Base):
    """The studio's own decision about a sender or a domain; it comes before the product's rules."""

    __tablename__ = "lead_rule"
    __table_args__ = (one_of("kind", RULE_KINDS), one_of("verdict", VERDICTS))

    studio_id: Mapped[UUID] = mapped_column(ForeignKey("studio.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[NotPersonal] = mapped_column(primary_key=True)
    value: Mapped[Personal] = mapped_column(primary_key=True)
    """An address in lower case, or a domain"""
    verdict: Mapped[NotPersonal]
    created_at: Mapped[CreatedAt]
