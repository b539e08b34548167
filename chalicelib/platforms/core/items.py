"""Decodes the records of a page one by one: an unreadable record is set aside, and the others are stored."""

from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from chalicelib.platforms.core.decoding import decode_leniently, describe
from chalicelib.platforms.core.records import Record

ItemT = TypeVar("ItemT")
ContextT = TypeVar("ContextT", bound=msgspec.Struct)

LONGEST_ID = 500
"""Characters of an external id: a longer one fits into no index."""


class Gone(msgspec.Struct, frozen=True):
    """A record that the platform reports as deleted."""

    external_id: str
    record: type[Record] | None = None
    """As what it was stored; None: as the first of its stream's record types. The same for the two below."""


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A record that the stream's rules leave out, and why. None of its content is stored."""

    external_id: str
    reason: str
    """A stable code such as `no_match`"""
    called_off: bool = False
    """Whether it was called off: if it was stored before, it is treated like a deleted record"""
    counterpart: str | None = None
    """The e-mail address of the other party; only a keyed hash of it is stored."""
    first_in_at: datetime | None = None
    last_in_at: datetime | None = None
    first_out_at: datetime | None = None
    last_out_at: datetime | None = None
    record: type[Record] | None = None


class SetAside(msgspec.Struct, frozen=True, kw_only=True):
    """A record that could not be read: the invalid field and the reason. The repr does not show its content."""

    external_id: str
    field: str
    """A path such as `start.date`; empty for the record as a whole"""
    reason: str
    """What is wrong with the field, never its value"""
    content: bytes
    """What `Items.read_again` needs to read it again"""
    record: type[Record] | None = None

    def __repr__(self) -> str:
        return f"SetAside({self.field!r}, {self.reason!r})"


class UnreadableRecord(Exception):
    """Raised by a parser for a record that has the right shape but makes no sense."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


Outcome = Record | Gone | Skipped | SetAside


class Batch(msgspec.Struct):
    """The outcomes of a page's items."""

    records: list[Record] = []
    gone: list[Gone] = []
    skipped: list[Skipped] = []
    set_aside: list[SetAside] = []

    def add(self, outcome: Outcome) -> None:
        if isinstance(outcome, Record):
            self.records.append(outcome)
        elif isinstance(outcome, Gone):
            self.gone.append(outcome)
        elif isinstance(outcome, Skipped):
            self.skipped.append(outcome)
            if outcome.called_off:
                self.gone.append(Gone(outcome.external_id, outcome.record))
        else:
            self.set_aside.append(outcome)

    def extend(self, other: "Batch") -> None:
        """With items of the same page that become records of another type."""
        self.records += other.records
        self.gone += other.gone
        self.skipped += other.skipped
        self.set_aside += other.set_aside


class _StoredItem(msgspec.Struct, Generic[ContextT]):
    """The stored content of a record that was set aside."""

    item: Raw
    context: ContextT


def id_of(item: dict[str, Any], context: object) -> str:
    return str(item.get("id") or "")


class Items(msgspec.Struct, Generic[ItemT, ContextT], frozen=True, kw_only=True):
    """How items become records of one type: `parse(item, context)` returns the outcome of each.

    `context` holds what a parser needs besides the item, such as a currency. It is stored with a record that is set
    aside, so that the record can be read again without asking the platform.
    """

    record: type[Record]
    shape: type[ItemT]
    context: type[ContextT]
    parse: Callable[[ItemT, ContextT], Outcome]
    find_id: Callable[[dict[str, Any], ContextT], str] = id_of
    """The external id of an item that does not have the right shape; empty if unknown."""

    def read(self, raws: Iterable[Raw], context: ContextT) -> Batch:
        """If several items have the same external id, the last one counts."""
        outcomes = (self.read_one(raw, context) for raw in raws)
        batch = Batch()
        for outcome in {outcome.external_id: outcome for outcome in outcomes}.values():
            if not isinstance(outcome, Record):
                outcome = msgspec.structs.replace(outcome, record=self.record)
            batch.add(outcome)
        return batch

    def read_again(self, content: bytes) -> Outcome:
        """Reads a set-aside record again. Raises msgspec.MsgspecError if its context has another shape now."""
        stored = msgspec.json.decode(content, type=_StoredItem[self.context])  # type: ignore[name-defined]
        return self.read_one(stored.item, stored.context)

    def read_one(self, raw: Raw, context: ContextT) -> Outcome:
        try:
            outcome = self.parse(decode_leniently(raw, self.shape), context)
        except msgspec.ValidationError as error:
            return self._set_aside(raw, context, *describe(error))
        except UnreadableRecord as error:
            return self._set_aside(raw, context, error.field, error.reason)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
            return self._set_aside(raw, context, "", f"cannot be read ({type(error).__name__})")
        if not 0 < len(outcome.external_id) <= LONGEST_ID or "\0" in outcome.external_id:
            return self._set_aside(raw, context, "id", f"must have 1 to {LONGEST_ID} characters")
        return outcome

    def _set_aside(self, raw: Raw, context: ContextT, field: str, reason: str) -> SetAside:
        content = msgspec.json.encode({"item": raw, "context": context})
        return SetAside(external_id=self._id(raw, context), field=field, reason=reason, content=content)

    def _id(self, raw: Raw, context: ContextT) -> str:
        """An item without an id is identified by its content: read again unchanged, it is the same record."""
        try:
            plain = msgspec.json.decode(raw)
            found = self.find_id(plain, context) if isinstance(plain, dict) else ""
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError):
            found = ""
        usable = 0 < len(found) <= LONGEST_ID and found.isprintable()
        return found if usable else f"unknown-{sha256(bytes(raw)).hexdigest()[:32]}"
