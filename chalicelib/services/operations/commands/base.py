"""The base of all commands."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import Meta

from chalicelib.data.postgres.rows import Row
from chalicelib.secret import Secret

RemainingMs = Callable[[], int]
StudioId = Annotated[UUID, Meta(description="The studio's id")]
Name = Annotated[str, Meta(description="A name for people", min_length=1, max_length=200, pattern=r"\S")]
DryRun = Annotated[bool, Meta(description="Only report what would be done")]
Limit = Annotated[int, Meta(description="The maximum number", ge=1, le=1000)]


class Command(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True, tag_field="command"):
    """An operator's command. `help` shows the docstrings of its subclasses."""

    def run(self, remaining_ms: RemainingMs) -> Row:
        raise NotImplementedError


class Listing(Row):
    items: list[Any]


class ShownKey(Row):
    """A new API key, which is shown only once."""

    studio_id: UUID
    key_id: UUID
    api_key: Secret
