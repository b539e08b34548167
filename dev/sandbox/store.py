"""Records with a journal of changes, for incremental syncs."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, Protocol, TypeVar

from dev.sandbox.clock import Clock, machine_time, milliseconds
from dev.sandbox.wire import Json

EntryT = TypeVar("EntryT")


class Expired(Exception):
    """The position is older than the journal, or was never reached here."""


class Journal(Generic[EntryT]):
    """Changes in order, each at an increasing position.

    A position is the time of the change in milliseconds, increased where needed to be unique. So a position issued
    by an earlier process is never mistaken for one of this process: it is either the start, or it has expired.
    """

    def __init__(self, start: int, clock: Clock = machine_time) -> None:
        self._clock = clock
        self.oldest = start
        self.position = start
        self._positions: list[int] = []
        self._entries: list[EntryT] = []
        self._lock = Lock()

    def append(self, make: Callable[[int], EntryT]) -> EntryT:
        """Adds the entry that `make` creates for its position."""
        with self._lock:
            position = self._next()
            entry = make(position)
            self._entries.append(entry)
            self._positions.append(position)
            self.position = position
            return entry

    def since(self, position: int) -> list[tuple[int, EntryT]]:
        """The later entries with their positions. Raises Expired."""
        if not self.oldest <= position <= self.position:
            raise Expired
        first = bisect_right(self._positions, position)
        return list(zip(self._positions[first:], self._entries[first:], strict=False))

    def forget(self) -> None:
        """Expires every position issued so far."""
        with self._lock:
            self.oldest = self.position = self._next()

    def _next(self) -> int:
        return max(self.position + 1, milliseconds(self._clock()))


class Records(Protocol):
    """Records by their index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Json: ...


class Original(Records, Protocol):
    """The initial records of a store."""

    def find(self, record_id: str) -> int | None: ...


class Listed:
    """Records that exist from the start."""

    def __init__(self, records: Sequence[Json]) -> None:
        self._records = records
        self._index = {record["id"]: index for index, record in enumerate(records)}

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Json:
        return self._records[index]

    def find(self, record_id: str) -> int | None:
        return self._index.get(record_id)


class Generated:
    """Any number of records, generated from their index on demand; ids count up from `first_id`, in hexadecimal."""

    def __init__(self, count: int, first_id: int, make: Callable[[str, int], Json]) -> None:
        self._count, self._first_id, self._make = count, first_id, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Json:
        return self._make(f"{self._first_id + index:016x}", index)

    def find(self, record_id: str) -> int | None:
        try:
            index = int(record_id, 16) - self._first_id
        except ValueError:
            return None
        return index if 0 <= index < self._count else None


class Store:
    """Records in order of arrival, with changed ones replacing the original ones."""

    def __init__(self, original: Original) -> None:
        self._original = original
        self._changed: dict[str, Json] = {}
        self._added: list[str] = []

    def __len__(self) -> int:
        return len(self._original) + len(self._added)

    def __getitem__(self, index: int) -> Json:
        if index >= len(self._original):
            return self._changed[self._added[index - len(self._original)]]
        record = self._original[index]
        return self._changed.get(record["id"], record)

    def get(self, record_id: str) -> Json | None:
        if (changed := self._changed.get(record_id)) is not None:
            return changed
        index = self._original.find(record_id)
        return None if index is None else self._original[index]

    def put(self, record: Json) -> None:
        """Adds the record, or replaces the one with its id."""
        record_id = record["id"]
        is_new = self.get(record_id) is None
        self._changed[record_id] = record
        if is_new:
            self._added.append(record_id)


def walk(
    records: Records, positions: range, size: int, admits: Callable[[Json], bool]
) -> tuple[list[Json], int | None]:
    """Up to `size` admitted records along `positions`, and the position to continue from, if any are left."""
    found: list[Json] = []
    for position in positions:
        if len(found) == size:
            return found, position
        record = records[position]
        if admits(record):
            found.append(record)
    return found, None
