"""Finds the known vulnerabilities of a version in OSV advisories: https://ossf.github.io/osv-schema/"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from deploy.pins import Pin

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """A vulnerability of a pinned package."""

    pin: Pin
    id: str
    aliases: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        names = ", ".join([self.id, *self.aliases])
        mended = f"; fixed in {', '.join(self.fixed)}" if self.fixed else "; no fixed version"
        return f"{self.pin.name} {self.pin.version}: {names}: {self.summary}{mended}"


def read_records(source: Path) -> Iterator[Record]:
    """Reads a folder of JSON files, at any depth, or a zip like the one OSV publishes for PyPI. Raises ValueError."""
    if source.is_dir():
        for path in sorted(source.rglob("*.json")):
            yield _record(path.name, path.read_bytes())
        return
    if not is_zipfile(source):
        raise ValueError("it is neither a folder nor a zip")
    with ZipFile(source) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".json"):
                yield _record(name, archive.read(name))


def _record(name: str, content: bytes) -> Record:
    try:
        record: object = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{name} is not JSON: {error}") from error
    if not isinstance(record, dict) or "id" not in record:
        raise ValueError(f"{name} is not an OSV record")
    return record


def _at(text: str) -> Version | None:
    """None for a string that is not a Python version, as in some old entries."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _in_range(version: Version, events: Iterable[Mapping[str, str]]) -> bool:
    """The specification's evaluation: the last event at or before the version decides. "0" is before every version."""
    affected = False
    texts = [("0.dev0" if text == "0" else text, kind) for event in events for kind, text in event.items()]
    dated = [(at, kind) for text, kind in texts if (at := _at(text)) is not None]
    for at, kind in sorted(dated, key=lambda event: event[0]):
        if kind == "introduced" and version >= at:
            affected = True
        elif (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at):
            affected = False
    return affected


def _entries(record: Record) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for entry in record.get("affected", []):
        package = entry.get("package", {})
        if package.get("ecosystem") == "PyPI":
            yield canonicalize_name(package["name"]), entry


def _ranges(entry: Mapping[str, Any]) -> list[list[Mapping[str, str]]]:
    return [found["events"] for found in entry.get("ranges", []) if found["type"] == "ECOSYSTEM"]


def _is_affected(version: Version, entry: Mapping[str, Any]) -> bool:
    listed = {_at(text) for text in entry.get("versions", [])}
    return version in listed or any(_in_range(version, events) for events in _ranges(entry))


def _finding(pin: Pin, record: Record, entry: Mapping[str, Any]) -> Finding:
    events = [event for events in _ranges(entry) for event in events]
    fixed = tuple(event["fixed"] for event in events if "fixed" in event)
    summary = record.get("summary") or record.get("details", "").strip().split("\n")[0]
    return Finding(pin, record["id"], tuple(record.get("aliases", [])), summary, fixed)


def find(pins: Iterable[Pin], records: Iterable[Record]) -> list[Finding]:
    """Every vulnerability once: of several databases' records for one, the first that names the others is used."""
    by_name: dict[str, list[Pin]] = {}
    for pin in pins:
        by_name.setdefault(pin.name, []).append(pin)
    found: list[Finding] = []
    told: set[tuple[Pin, str]] = set()
    for record in records:
        if record.get("withdrawn"):
            continue
        names = {record["id"], *record.get("aliases", [])}
        for name, entry in _entries(record):
            for pin in by_name.get(name, []):
                if not any((pin, it) in told for it in names) and _is_affected(Version(pin.version), entry):
                    found.append(_finding(pin, record, entry))
                    told |= {(pin, it) for it in names}
    return sorted(found, key=lambda finding: (finding.pin.name, finding.id))
