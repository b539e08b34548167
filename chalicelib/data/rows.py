"""Rows as they leave the database: decoded from its JSON straight into what the API answers with."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time that names its zone; only so does msgspec describe it as a date-time."""
BEFORE_ALL_IDS = UUID(int=0)
"""Where paging by id begins."""


class Row(msgspec.Struct, kw_only=True, rename="camel"):
    """A row or a part of one; the wire names are camelCase."""
