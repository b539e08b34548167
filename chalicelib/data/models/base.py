"""Shared by all tables: constraint names, column types, and references that stay within a studio."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    LargeBinary,
    MetaData,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, mapped_column

UuidKey = Annotated[UUID, mapped_column(primary_key=True, server_default=text("uuidv7()"))]
StudioId = Annotated[UUID, mapped_column(ForeignKey("studio.id", ondelete="CASCADE"))]
CreatedAt = Annotated[datetime, mapped_column(server_default=text("now()"))]
UpdatedAt = Annotated[datetime, mapped_column(server_default=text("now()"))]
"""When a sync last changed the row; reading the same values again does not count."""
Count = Annotated[int, mapped_column(BigInteger, server_default=text("0"))]
AccountIds = Annotated[list[UUID], mapped_column(server_default=text("'{}'"))]
"""The accounts under the connection that hold a row, in no particular order; empty if none does."""
Personal = Annotated[str, mapped_column(info={"personal": True})]
"""Text that may tell who somebody is, or what they wrote: it belongs to an erasure or an export of a person."""
NotPersonal = Annotated[str, mapped_column(info={"personal": False})]
Minor = Annotated[int, mapped_column(BigInteger)]
"""Money in minor units; the currency is a separate column."""


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
            "uq": "%(table_name)s_%(column_0_N_name)s_key",
            "ck": "%(table_name)s_%(constraint_name)s_check",
            "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        }
    )
    type_annotation_map = {
        str: Text(),
        datetime: DateTime(timezone=True),
        bytes: LargeBinary(),
        float: Double(),
        list[str]: ARRAY(Text()),
        list[UUID]: ARRAY(Uuid()),
    }


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def no_null_in(column: str) -> CheckConstraint:
    """Rows are decoded as lists of strings, so no element may be NULL."""
    return CheckConstraint(f"array_position({column}, NULL) IS NULL", name=column)


def same_studio(column: str, table: str, *, on_delete: str = "CASCADE") -> ForeignKeyConstraint:
    """A reference that cannot leave the studio: foreign key checks bypass row-level security."""
    return ForeignKeyConstraint(["studio_id", column], [f"{table}.studio_id", f"{table}.id"], ondelete=on_delete)
