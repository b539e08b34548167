"""Reads the cross-tenant functions' files. For migrations and tests only: serving code does not import it."""

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
EARLIER = FOLDER / "earlier"
"""Replaced versions, `{name}.{version}.sql`: earlier migrations keep applying them."""
OWNER = "owner"
"""The owner of the tables in a list of callers: its name is the operator's choice."""

_HEADER = re.compile(r"^-- (callers|version): (.+)$", re.MULTILINE)
_SIGNATURE = re.compile(r"^CREATE OR REPLACE FUNCTION cross_tenant\.(\w+)(\(.*?\)) RETURNS", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class SystemFunction:
    name: str
    version: int
    callers: tuple[str, ...]
    """The only roles that may execute it"""
    sql: str


def load_function(name: str, version: int) -> SystemFunction:
    """Raises LookupError if the version does not exist."""
    for path in (FOLDER / f"{name}.sql", EARLIER / f"{name}.{version}.sql"):
        if path.is_file() and (found := _parse(path)).version == version:
            return found
    raise LookupError(f"the function {name} has no version {version}")


def newest_functions() -> dict[str, SystemFunction]:
    found = (_parse(path) for path in sorted(FOLDER.glob("*.sql")))
    return {function.name: function for function in found}


def _parse(path: Path) -> SystemFunction:
    """Raises ValueError for a file that lacks a required statement."""
    sql = path.read_text(encoding="utf-8")
    header, signature = dict(_HEADER.findall(sql)), _SIGNATURE.findall(sql)
    name = path.name.partition(".")[0]
    if set(header) != {"callers", "version"} or [found for found, _ in signature] != [name]:
        raise ValueError(f"{path.name} must state callers and version, and create the one function {name}")
    return SystemFunction(name, int(header["version"]), tuple(header["callers"].split(", ")), sql)
