"""Lists: the shape they answer in, and the opaque cursor that goes on with one."""

import base64
import binascii
from typing import Annotated, Generic, Protocol, TypeVar
from uuid import UUID

import msgspec

from chalicelib.errors import FieldProblem, InvalidInput

T = TypeVar("T")


class _Identified(Protocol):
    @property
    def id(self) -> UUID: ...


Identified = TypeVar("Identified", bound=_Identified)

Limit = Annotated[int, msgspec.Meta(ge=1, le=200)]
Cursor = Annotated[str, msgspec.Meta(min_length=22, max_length=22, pattern="^[A-Za-z0-9_-]{22}$")]


class Listing(msgspec.Struct, Generic[T], kw_only=True, rename="camel"):
    """A page of things; `nextCursor` asks for the next one, and is null on the last."""

    items: list[T]
    next_cursor: str | None = None


def page_of(found: list[Identified], limit: int) -> Listing[Identified]:
    """The first `limit` things found; one more than those says that there is another page."""
    items = found[:limit]
    return Listing(items=items, next_cursor=encode_cursor(items[-1].id) if len(found) > limit else None)


def encode_cursor(last_id: UUID) -> str:
    """The cursor behind the thing with this id."""
    return base64.urlsafe_b64encode(last_id.bytes).decode().rstrip("=")


def decode_cursor(cursor: str) -> UUID:
    """Raises InvalidInput unless it is exactly what `encode_cursor` makes."""
    try:
        last_id = UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise _not_ours() from error
    if encode_cursor(last_id) != cursor:
        raise _not_ours()
    return last_id


def _not_ours() -> InvalidInput:
    return InvalidInput(fields=[FieldProblem("cursor", "is not one that a list has answered")])
