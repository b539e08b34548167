"""What all commands are made of."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from chalicelib.data.rows import Row
from chalicelib.secret import Secret

RemainingMs = Callable[[], int]
StudioId = Annotated[UUID, Meta(description="The studio's id")]
Name = Annotated[str, Meta(description="What people know it by", min_length=1, max_length=200, pattern=r"\S")]
DryRun = Annotated[bool, Meta(description="Only tell what would be done")]
Limit = Annotated[int, Meta(description="How many at most", ge=1, le=1000)]


class Command(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True, tag_field="command"):
    """What an operator wants done. The docstrings of its kinds are what `help` says of them."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        raise NotImplementedError


class Listing(Row):
    items: list[Any]


class ShownKey(Row):
    """A new API key, which is shown this once."""

    studio_id: UUID
    key_id: UUID
    api_key: Secret
