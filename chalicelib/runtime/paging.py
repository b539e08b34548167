"""Lists: the shape of their pages, and the opaque cursor that leads from one page to the next."""

import base64
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Annotated, Generic, TypeVar

import msgspec

from chalicelib.errors import BadRequest, FieldProblem, InvalidInput

T = TypeVar("T")
K = TypeVar("K")

FINGERPRINT_BYTES = 8
Limit = Annotated[int, msgspec.Meta(ge=1, le=200)]
Cursor = Annotated[str, msgspec.Meta(min_length=1, max_length=512, pattern="^[A-Za-z0-9_-]+$")]
_keys = msgspec.msgpack.Encoder(uuid_format="bytes")


class ListQuery(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The query of a list. What a subclass adds are its filters and its sort order."""

    cursor: Cursor | None = None
    """The `nextCursor` of the page before, sent with the same filters. Leave it out for the first page."""
    limit: Limit = 50
    """The most items to return in one page."""


class Listing(msgspec.Struct, Generic[T], kw_only=True, rename="camel"):
    """One page of a list."""

    items: list[T]
    """The items of this page; may be empty."""
    next_cursor: str | None = None
    """Send it as `cursor` to get the next page; null on the last page."""


class Pages(Generic[K]):
    """The pages of one list: `name` says of which one, and what of the path it depends on.

    A list is ordered by a key that no two of its rows share: an id, or a value and an id. The cursor holds the key of
    the last row of a page, behind a fingerprint of the list, its filters and its order.
    """

    def __init__(self, query: ListQuery, key_type: type[K], *name: str) -> None:
        """Raises InvalidInput for a cursor that is none of ours, BadRequest for one of another list."""
        self._limit = query.limit
        filters = [getattr(query, field) for field in query.__struct_fields__ if field not in ("cursor", "limit")]
        self._fingerprint = sha256(msgspec.json.encode([name, filters])).digest()[:FINGERPRINT_BYTES]
        self.after = self._decode(query.cursor, key_type) if query.cursor is not None else None
        """The key of the row before this page; None for the first page"""

    @property
    def fetched(self) -> int:
        """How many rows to fetch: one that is too many says that there is another page."""
        return self._limit + 1

    def page_of(self, rows: Sequence[T], key: Callable[[T], K]) -> Listing[T]:
        items = list(rows[: self._limit])
        return Listing(items=items, next_cursor=self._encode(key(items[-1])) if len(rows) > self._limit else None)

    def _encode(self, key: K) -> str:
        return base64.urlsafe_b64encode(self._fingerprint + _keys.encode(key)).decode().rstrip("=")

    def _decode(self, cursor: str, key_type: type[K]) -> K:
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            fingerprint, encoded = raw[:FINGERPRINT_BYTES], raw[FINGERPRINT_BYTES:]
            msgspec.msgpack.decode(encoded)
            if fingerprint != self._fingerprint:
                raise BadRequest(
                    "The cursor belongs to another list: send it with the same filters and order as the page before",
                    code="cursor_of_another_list",
                )
            key: K = msgspec.msgpack.decode(encoded, type=key_type)
        except (ValueError, msgspec.MsgspecError) as error:
            raise _not_ours() from error
        if self._encode(key) != cursor:
            raise _not_ours()
        return key


def _not_ours() -> InvalidInput:
    return InvalidInput(fields=[FieldProblem("cursor", "is not the nextCursor of a list")])
