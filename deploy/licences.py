"""The licences of the deployed packages; `python -m deploy.licences` writes docs/licences.md."""

import sys
from email.message import Message
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.pins import LEFT_OUT, LEFT_TO_THE_RUNTIME, ROOT, RUNTIME, read_pins

PAGE = ROOT / "docs" / "licences.md"

ALLOWED = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "MIT", "MIT-0", "PSF-2.0"})
"""SPDX identifiers. Any other licence must be justified in docs/decisions/0004 before it is added here."""

READ_IN_THE_FILE = {
    "cronsim": "BSD-3-Clause",  # its metadata only says BSD
    "python-dateutil": "BSD-3-Clause",  # "Dual License": BSD applies to all of it, Apache-2.0 to parts
}
"""What the licence file says, where the metadata is not precise enough."""

_SPELLINGS = {
    "apache license 2.0": "Apache-2.0",
    "bsd 3-clause license": "BSD-3-Clause",
    "mit license": "MIT",
}


def licence(metadata: Message) -> str:
    """The SPDX expression in a package's metadata, or else its own wording."""
    stated = metadata.get("License-Expression") or READ_IN_THE_FILE.get(canonicalize_name(metadata["Name"]))
    stated = stated or str(metadata.get("License") or "unknown").strip().splitlines()[0]
    return _SPELLINGS.get(stated.lower(), stated)


def is_allowed(expression: str) -> bool:
    """Whether one of the alternatives is fully allowed. Expressions with brackets cannot be parsed and are not."""
    alternatives = (alternative.split(" AND ") for alternative in expression.split(" OR "))
    return any(all(part.strip() in ALLOWED for part in parts) for parts in alternatives)


def _home(metadata: Message) -> str:
    links = dict(str(line).split(", ", 1) for line in metadata.get_all("Project-URL", []))
    by_label = {label.lower(): url for label, url in links.items()}
    labels = ("source", "code", "repository", "github", "homepage", "source code", "issue tracker", "documentation")
    found = next((by_label[label] for label in labels if label in by_label), None)
    return str(found or metadata.get("Home-page") or "")


def _wanted_by(names: list[str]) -> dict[str, list[str]]:
    """Which packages each is needed by; empty for our direct dependencies."""
    wanted: dict[str, list[str]] = {name: [] for name in names}
    for name in names:
        for line in distribution(name).requires or []:
            needed = canonicalize_name(Requirement(line).name)
            marker = Requirement(line).marker
            if needed in wanted and (marker is None or marker.evaluate({"extra": ""})):
                wanted[needed].append(name)
    return wanted


def _row(name: str, version: str, wanted: list[str]) -> str:
    metadata = distribution(name).metadata
    packed = "no: Lambda has it" if name in LEFT_TO_THE_RUNTIME else "no: unused" if name in LEFT_OUT else "yes"
    # importlib.metadata parses it as an email Message
    return f"| [{name}]({_home(metadata)}) | {version} | {licence(metadata)} | {packed} | {', '.join(sorted(wanted))} |"  # type: ignore[arg-type]


def page() -> str:
    pins = sorted(read_pins(RUNTIME), key=lambda pin: pin.name)
    wanted = _wanted_by([pin.name for pin in pins])
    rows = [_row(pin.name, pin.version, wanted[pin.name]) for pin in pins]
    return "\n".join(
        [
            "# Licences",
            "",
            "What `requirements.txt` pins, made by `make lock` of the packages' own metadata. Allowed are",
            f"{', '.join(sorted(ALLOWED))}; a test fails for anything else and when this page is not current.",
            "Each package's licence text is in the deployed zip, in its `.dist-info`.",
            "",
            "| package | version | licence (SPDX) | in the package | needed by |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


def main(path: Path = PAGE) -> int:
    try:
        path.write_text(page(), encoding="utf-8")
    except PackageNotFoundError as missing:
        print(f"licences: {missing.name} is not installed: make setup", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
