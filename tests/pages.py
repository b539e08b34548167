"""The shell commands of README, CONTRIBUTING and docs/: what each block says, and what its mark says about running it.

A mark is an HTML comment right above a block, so readers do not see it: `<!-- run by tests/dev/test_stack.py -->` or
`<!-- not run: needs an AWS account -->`. A part that begins with the first words of a command speaks of that command
alone: `<!-- aws not run: needs an AWS account -->`. Commands without a mark are run by tests/dev/test_commands.py.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHELL = {"sh", "bash", "shell", "console"}
FENCE = re.compile(r"^( *(?:(?:[-*]|\d+\.) +)?)```+(\S*)\s*$")
COMMENT = re.compile(r"^ *<!-- (.+) -->$")
CLAUSE = re.compile(r"(?P<command>.*?) ?\b(?:run by (?P<tests>tests/\S+\.py(?:, tests/\S+\.py)*)|not run: (?P<why>.+))")
TRAILING_COMMENT = re.compile(r"(?:^|\s+)#\s.*$")


@dataclass(frozen=True)
class Command:
    """One command, continued lines joined, without its comment."""

    text: str
    documented: str = ""
    """The output that the page shows"""
    tests: tuple[str, ...] = ()
    """The files that run it"""
    not_run: str = ""
    """Why nothing runs it"""

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    @property
    def is_unmarked(self) -> bool:
        """So tests/dev/test_commands.py runs it"""
        return not self.tests and not self.not_run


@dataclass(frozen=True)
class Block:
    """What is between two fences."""

    page: str
    line: int
    language: str
    code: str
    mark: str
    answer: str
    """The JSON block that follows it, if one does"""

    @property
    def is_shell(self) -> bool:
        return self.language in SHELL

    @property
    def commands(self) -> list[Command]:
        found = list(_transcript(self.code) if self.language == "console" else _script(self.code))
        if len(found) == 1 and self.answer:
            found = [(found[0][0], self.answer)]
        return [self._marked(text, documented) for text, documented in found]

    def _marked(self, text: str, documented: str) -> Command:
        """The part of the mark with the longest beginning of the command is the one about it."""
        applying = [clause for clause in self.clauses if text.startswith(clause["command"])]
        if not applying:
            return Command(text, documented)
        clause = max(applying, key=lambda clause: len(clause["command"]))
        tests = tuple(clause["tests"].split(", ")) if clause["tests"] else ()
        return Command(text, documented, tests, clause["why"] or "")

    @property
    def clauses(self) -> list[re.Match[str]]:
        """The parts of the mark. Raises ValueError for one that is not understood."""
        matches = [(part, CLAUSE.fullmatch(part)) for part in self.mark.split("; ") if part]
        unclear = [part for part, match in matches if match is None]
        if unclear:
            raise ValueError(f"{self.page}:{self.line}: a mark that is not understood: {unclear}")
        return [match for _, match in matches if match]


@cache
def read_blocks() -> list[Block]:
    """Every block of every page, in the order in which they are read."""
    return [block for page in PAGES for block in blocks_of(str(page.relative_to(ROOT)), page.read_text("utf-8"))]


def shell_blocks(page: str | None = None) -> list[Block]:
    return [block for block in read_blocks() if block.is_shell and page in (None, block.page)]


def blocks_of(page: str, text: str) -> list[Block]:
    lines = text.splitlines()
    fences = [index for index, line in enumerate(lines) if FENCE.match(line)]
    spans = list(zip(fences[::2], fences[1::2], strict=True))
    return [
        Block(page, first + 1, _language(lines[first]), _code(lines, first, last), _mark(lines, first),
              _answer(lines, last))
        for first, last in spans
    ]  # fmt: skip


def inline_commands(page: Path, *programs: str) -> list[str]:
    """Commands in the text of a page that begin with one of these words: `make run`."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    return [span for span in spans if span.split(" ")[0] in programs and " " in span]


def _language(fence: str) -> str:
    match = FENCE.match(fence)
    return match[2] if match else ""


def _code(lines: list[str], first: int, last: int) -> str:
    indent = len(FENCE.sub(r"\1", lines[first]))
    return "\n".join(line[indent:] for line in lines[first + 1 : last])


def _mark(lines: list[str], first: int) -> str:
    match = COMMENT.match(lines[first - 1]) if first else None
    return match[1] if match else ""


def _answer(lines: list[str], last: int) -> str:
    """The JSON block that begins on the line after this block's end."""
    if last + 1 >= len(lines) or _language(lines[last + 1]) != "json":
        return ""
    end = next(index for index in range(last + 2, len(lines)) if FENCE.match(lines[index]))
    return _code(lines, last + 1, end)


def _script(code: str) -> Iterator[tuple[str, str]]:
    joined = re.sub(r"\s*\\\n\s*", " ", code)
    for line in joined.splitlines():
        if text := TRAILING_COMMENT.sub("", line).strip():
            yield text, ""


def _transcript(code: str) -> Iterator[tuple[str, str]]:
    """What is typed after `$ `, and what was printed up to the next one."""
    for part in re.split(r"^\$ ", code, flags=re.MULTILINE)[1:]:
        text, _, documented = part.partition("\n")
        yield text, documented.strip()
