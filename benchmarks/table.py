"""The result of a subject: a table of figures, printed as Markdown and stored as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Cell = str | int | float | None
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}

    def as_markdown(self) -> str:
        grid = [self.columns, *(tuple(_shown(cell) for cell in row) for row in self.rows)]
        widths = [max(len(line[column]) for line in grid) for column in range(len(self.columns))]
        are_numbers = [all(not isinstance(row[column], str) for row in self.rows) for column in range(len(widths))]
        lines = [_line(line, widths, are_numbers) for line in grid]
        rule = [("-" * (width - 1)) + (":" if right else "-") for width, right in zip(widths, are_numbers, strict=True)]
        lines.insert(1, f"| {' | '.join(rule)} |")
        return "\n".join([f"**{self.title}**", "", *lines, *(f"\n{note}" for note in self.notes)])


def _line(cells: Sequence[str], widths: Sequence[int], are_numbers: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, are_numbers, strict=True)
    )
    return f"| {' | '.join(padded)} |"


def _shown(cell: Cell) -> str:
    """Three significant digits, which is more than these figures are reproducible to."""
    if cell is None:
        return ""
    if isinstance(cell, str | int):
        return f"{cell:,}" if isinstance(cell, int) else cell
    if abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.1f}" if abs(cell) >= 10 else f"{cell:.2f}" if abs(cell) >= 1 else f"{cell:.3f}"
