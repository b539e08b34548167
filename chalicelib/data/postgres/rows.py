"""Rows as they leave the database: decoded from its JSON directly into what the API returns."""

from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone; only then does msgspec describe it as a date-time."""
PlatformText = Annotated[str, msgspec.Meta(description="The platform, by one of the names of `Platform`.")]
ConnectionIdText = Annotated[UUID, msgspec.Meta(description="The id of the connection.")]
StreamText = Annotated[str, msgspec.Meta(description="The stream: one kind of data of a platform, such as `bookings`.")]
FailuresInRow = Annotated[int, msgspec.Meta(description="How many times in a row it has failed; 0 after a success.")]
ErrorCode = Annotated[str, msgspec.Meta(description="A stable code that says what went wrong.")]
ErrorMessage = Annotated[
    str, msgspec.Meta(description="What went wrong, in a sentence for a person; the wording may change.")
]
SkippedCounts = Annotated[
    dict[str, int],
    msgspec.Meta(description="How many records the stream's rules left out, by reason; empty when none were."),
]
BEFORE_ALL_IDS = UUID(int=0)
"""Where paging by id starts."""


RowT = TypeVar("RowT", bound="Row")


class Row(msgspec.Struct, kw_only=True, rename="camel"):
    """A row or a part of one; the wire names are camelCase."""


class Deleted(Row):
    """How many rows a statement has deleted."""

    count: int


def reshape(shape: type[RowT], row: Row, **others: Any) -> RowT:
    """A row of another shape: its fields are those of `others`, and for the rest those of the same name in `row`."""
    same = {field: getattr(row, field) for field in shape.__struct_fields__ if field not in others}
    return shape(**same, **others)
