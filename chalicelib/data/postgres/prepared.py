"""Prepared statements: parsed by the server once per connection, then executed by name.

Parsing and planning cost a statement of row-level security more than its execution does.
"""

from collections import OrderedDict
from secrets import token_hex
from typing import Any

import msgspec

LIMIT = 200
"""Statements that a connection keeps. Each holds some 100 kB on the server; the product has fewer of them, and no
function of it uses all."""


class Prepared(msgspec.Struct):
    """A statement that the server keeps by a name."""

    name: bytes
    columns: tuple[Any, Any] | None = None
    """The columns it returns (None for no rows) and how they are read; None until the server has described them"""


class PreparedStatements:
    """Those of one connection, the one used longest ago first."""

    def __init__(self) -> None:
        self._prefix = f"ansel_{token_hex(4)}_"  # behind a pooler others name statements on the same session
        self._count = 0
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        self._dropped: list[bytes] = []

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, statement: str) -> Prepared | None:
        kept = self._kept.get(statement)
        if kept is not None:
            self._kept.move_to_end(statement)
        return kept

    def new(self) -> Prepared:
        """One with a name that was never used: a statement that fails after it was parsed stays on the server."""
        self._count += 1
        return Prepared(f"{self._prefix}{self._count}".encode())

    def keep(self, statement: str, prepared: Prepared) -> None:
        """After the server said that it has parsed it."""
        if (replaced := self._kept.pop(statement, None)) is not None:
            self._dropped.append(replaced.name)
        self._kept[statement] = prepared
        while len(self._kept) > LIMIT:
            self._dropped.append(self._kept.popitem(last=False)[1].name)

    def clear(self) -> None:
        self._dropped += [kept.name for kept in self._kept.values()]
        self._kept.clear()

    def take_dropped(self) -> list[bytes]:
        """The names that the server is to forget with the next pipeline."""
        dropped, self._dropped = self._dropped, []
        return dropped
