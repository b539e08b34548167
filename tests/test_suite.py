"""Rules for the tests themselves: none depends on the current day, all share one hypothesis profile, and helpers are
kept out of test files."""

import ast
import re
from pathlib import Path

import pytest

from tests.names import full_name, imported_names

TESTS = Path(__file__).parent
SOURCES = sorted(TESTS.rglob("*.py"))
WALL_CLOCKS = {
    *("datetime.datetime.now", "datetime.datetime.today", "datetime.datetime.utcnow", "datetime.date.today"),
    *("time.time", "time.time_ns", "time.localtime", "time.gmtime", "time.ctime", "chalicelib.clock.now"),
}
SANDBOXES = {"dev.sandbox.Sandbox", "dev.sandbox.sandbox.Sandbox"}
REASON = re.compile(r"#.*\btoday: \w+( \w+)+")
"""A use of the current time must be explained in a comment, e.g. `# today: the database judges a token's lifetime`."""
PROFILES = {"hypothesis.settings.register_profile", "hypothesis.settings.load_profile"}


def unexplained_todays(source: str) -> list[int]:
    """Lines that use the current time or day, or start a sandbox on it, without an explanation."""
    lines = source.splitlines()
    tree, imported = _parsed(source)
    found = {
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.expr) and (full_name(node, imported) in WALL_CLOCKS or _is_undated(node, imported))
    }
    return sorted(number for number in found if not _has_reason(lines, number))


def sets_a_profile(source: str) -> bool:
    tree, imported = _parsed(source)
    return any(full_name(node, imported) in PROFILES for node in ast.walk(tree))


def _parsed(source: str) -> tuple[ast.AST, dict[str, str]]:
    tree = ast.parse(source)
    return tree, imported_names(tree)


def _is_undated(node: ast.expr, imported: dict[str, str]) -> bool:
    if not isinstance(node, ast.Call) or full_name(node.func, imported) not in SANDBOXES:
        return False
    return all(keyword.arg != "today" for keyword in node.keywords)


def _has_reason(lines: list[str], number: int) -> bool:
    """On the line itself, or in the comment right above it."""
    above = lines[number - 2].strip() if number > 1 else ""
    return any(REASON.search(line) for line in (lines[number - 1], above if above.startswith("#") else ""))


def test_no_test_depends_on_the_current_day() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}" for path in SOURCES for line in unexplained_todays(path.read_text("utf-8"))
    ]
    assert found == [], "fix the day, or say why it must be today's: # today: ..."


def test_hypothesis_has_one_profile_set_in_one_place() -> None:
    found = {str(path.relative_to(TESTS)) for path in SOURCES if sets_a_profile(path.read_text("utf-8"))}
    assert found == {"conftest.py"}


def test_no_test_file_exports_helpers() -> None:
    """Helpers of several files are in conftest or in a module of their own."""
    found = {
        f"{path.relative_to(TESTS)}: {name}"
        for path in SOURCES
        for name in imported_names(ast.parse(path.read_text("utf-8"))).values()
        if re.match(r"tests\.(\w+\.)*test_", name)
    }
    assert found == set()


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import UTC, datetime\nday = datetime.now(UTC)",
        "from datetime import datetime as moment\nday = moment.utcnow()",
        "import datetime as d\nday = d.date.today()",
        "import time\nat = int(time.time()) - 60",
        "from time import time_ns as at\nat()",
        "from dataclasses import field\nfrom time import time\nat = field(default_factory=time)",
        "from chalicelib import clock\ndef late():\n    return clock.now()",
        "def late():\n    from datetime import date\n    return date.today()",
        "from dev.sandbox import Sandbox\nwith Sandbox(state_dir=None) as sandbox: pass",
        "import time\n# not today\nat = time.time()",
        "import time\nat = time.time()  # today:",
        "import time\n# today: a reason that stands too far away\n\nat = time.time()",
        "import time\nsince = 0  # today: the reason of another line\nat = time.time()",
    ],
)
def test_a_use_of_the_current_day_is_found(source: str) -> None:
    assert unexplained_todays(source) == [len(source.splitlines())]


@pytest.mark.parametrize(
    "source",
    [
        "import time\nat = time.time()  # today: the database judges it",
        "import time\n# today: the database judges it\nat = time.time()",
        "import time\nbegan = time.monotonic()",
        "from datetime import date, datetime\nday = datetime(2026, 5, 4), date.fromisoformat('2026-05-04')",
        "def time():\n    return 4\nat = time()",
        "from dev.sandbox import Sandbox\nwith Sandbox(today=DAY, state_dir=None) as sandbox: pass",
        "from dev.sandbox import Sandbox\ndef reads(sandbox: Sandbox) -> None: ...",
    ],
)
def test_a_fixed_day_or_an_explained_use_passes(source: str) -> None:
    assert unexplained_todays(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "from hypothesis import settings as chosen\nchosen.load_profile('mine')",
        "import hypothesis\nhypothesis.settings.register_profile('mine', max_examples=3)",
    ],
)
def test_a_second_profile_is_found(source: str) -> None:
    assert sets_a_profile(source)
