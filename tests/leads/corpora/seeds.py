"""Reads seeds: blocks of text in which an author wrote what arrives at a studio, and what it is. README.md describes
the format."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
LINE = re.compile(
    r"(?P<mark>[<>][<>~!f]?|-|call|done|s|\?|!|[A-Z])\s+(?:\[(?P<count>\d+)(?P<unit>[mhd])\]\s+)?(?P<text>.*)"
)


@dataclass(frozen=True)
class Line:
    """`mark` is who wrote: < a person, > the studio, << and >> in a new thread, <~ only thanks, <! and >! a machine's
    reply, >f forwarded to a colleague, - a mail of its own."""

    mark: str
    text: str
    delay: timedelta | None = None

    @property
    def subject_and_text(self) -> tuple[str, str]:
        subject, separator, text = self.text.partition("::")
        return (subject.strip(), text.strip()) if separator else ("", self.text)


@dataclass
class Seed:
    number: int
    kind: str
    label: str
    times: int
    is_filler: bool
    sender: str
    options: dict[str, str]
    reason: str = ""
    hard: str = ""
    subjects: list[str] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def language(self) -> str:
        return self.options.get("lang", "")


def read_seeds(path: Path) -> list[Seed]:
    seeds: list[Seed] = []
    for number, text in _lines(path):
        if text.startswith("== "):
            seeds.append(_head(len(seeds) + 1, text[3:]))
        else:
            match = LINE.fullmatch(text)
            if match is None or not seeds:
                raise ValueError(f"{path.name}:{number}: {text!r} is no line of a seed")
            _add(seeds[-1], match)
    return seeds


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, text in enumerate(path.read_text("utf-8").splitlines(), 1):
        if text.strip() and not text.startswith("#"):
            yield number, text.strip()


def _head(number: int, text: str) -> Seed:
    kind, label, times, sender, *rest = (part.strip() for part in text.split("|"))
    options = dict(option.partition("=")[::2] for part in rest for option in part.split())
    return Seed(number, kind, label, int(times.rstrip("*")), times.endswith("*"), sender, options)


def _add(seed: Seed, match: re.Match[str]) -> None:
    mark, text = match["mark"], match["text"].strip()
    if mark == "?":
        seed.reason = text
    elif mark == "!":
        seed.hard = text
    elif mark == "s":
        seed.subjects.append(text)
    else:
        delay = timedelta(**{UNITS[match["unit"]]: int(match["count"])}) if match["count"] else None
        seed.lines.append(Line(mark, text, delay))
