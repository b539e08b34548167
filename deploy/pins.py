"""The pinned packages: `requirements.txt` (for the cloud), and the locks for running locally and for development."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
RUNTIME = ROOT / "requirements.txt"
LOCK = ROOT / "requirements-dev.txt"
RUN_LOCK = ROOT / "requirements-run.txt"
"""What `make run` needs, with the same versions as the full lock."""

LEFT_TO_THE_RUNTIME = frozenset({"boto3", "botocore", "jmespath", "s3transfer"})
"""Lambda's Python has them, and only they need each other. Dependencies they share with ours are
packed (urllib3, dateutil): the package comes before Lambda's own on the path."""

LEFT_OUT = frozenset({"pycparser"})
"""Only needed when cffi compiles C; cryptography, which needs cffi, comes compiled."""

_COMMENT = re.compile(r"(^|\s)#.*")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pin:
    """One exact version of one package."""

    name: str
    version: str
    marker: str = ""
    hashes: frozenset[str] = frozenset()

    def line(self) -> str:
        """In pip's format."""
        marker = f" ; {self.marker}" if self.marker else ""
        return " ".join(
            [f"{self.name}=={self.version}{marker}", *(f"--hash=sha256:{it}" for it in sorted(self.hashes))]
        )


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments, with continuation lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        if (bare := _COMMENT.sub("", line).strip()) and not bare.startswith("-"):
            yield bare


def parse_pins(text: str) -> list[Pin]:
    """Every pin of a requirements file; ValueError for a line that does not pin one exact version."""
    pins = []
    for line in _logical_lines(text):
        requirement = Requirement(line.split("--hash=")[0])
        specifiers = list(requirement.specifier)
        if len(specifiers) != 1 or specifiers[0].operator != "==" or "*" in specifiers[0].version:
            raise ValueError(f"{requirement.name} is not pinned to one version")
        marker = str(requirement.marker or "")
        hashes = frozenset(_HASH.findall(line))
        pins.append(Pin(canonicalize_name(requirement.name), specifiers[0].version, marker, hashes))
    return pins


def read_pins(path: Path) -> list[Pin]:
    return parse_pins(path.read_text(encoding="utf-8"))


def packed_pins() -> list[Pin]:
    """The pins that are packed, with the hashes of the lock."""
    locked = {(pin.name, pin.version): pin for pin in read_pins(LOCK)}
    wanted = [pin for pin in read_pins(RUNTIME) if pin.name not in LEFT_TO_THE_RUNTIME | LEFT_OUT]
    if unlocked := [pin.name for pin in wanted if not locked.get((pin.name, pin.version), pin).hashes]:
        raise ValueError(f"requirements-dev.txt has no hashes for {', '.join(unlocked)}: run make lock")
    return [locked[pin.name, pin.version] for pin in wanted]
