"""Caches unwrapped data keys in the process, for a limited time and up to a limited number."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class KeyCache(Generic[KeyT, ValueT]):
    """Loads each value once, even if several threads request it at the same time."""

    def __init__(
        self, load: Callable[[KeyT], ValueT], *, seconds: float, size: int, clock: Callable[[], float]
    ) -> None:
        self._load = load
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[KeyT, tuple[float, ValueT]] = OrderedDict()
        self._loading: dict[KeyT, Lock] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: KeyT) -> ValueT:
        entry = self._entries.get(key)  # no lock: a dictionary look-up is atomic, and entries never change
        if entry is not None and self._clock() < entry[0]:
            return entry[1]
        with self._lock:
            turn = self._loading.setdefault(key, Lock())
        with turn:
            return self._get_in_turn(key)

    def _get_in_turn(self, key: KeyT) -> ValueT:
        try:
            entry = self._entries.get(key)
            if entry is not None and self._clock() < entry[0]:
                return entry[1]
            value = self._load(key)
            self._store(key, value)
            return value
        finally:
            with self._lock:
                self._loading.pop(key, None)

    def _store(self, key: KeyT, value: ValueT) -> None:
        """All entries have the same lifetime, so the first one in is also the first to expire."""
        with self._lock:
            now = self._clock()
            self._entries[key] = (now + self._seconds, value)
            self._entries.move_to_end(key)
            while self._entries and (len(self._entries) > self._size or next(iter(self._entries.values()))[0] <= now):
                self._entries.popitem(last=False)
