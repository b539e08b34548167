"""Which tests are quick: those that start nothing, told by the fixtures they use and by what their file imports."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.names import imported_names

STARTING_FIXTURES = frozenset({"server", "local_aws", "package"})
"""PostgreSQL, the queue, and the build of what is deployed: whoever uses them, directly or not, is not quick."""
STARTERS = (
    *("subprocess", "multiprocessing", "psutil", "http.server", "socketserver", "moto", "schemathesis"),
    *("dev.postgres", "dev.process", "dev.sandbox", "dev.supervisor", "tests.dev.stacks", "tests.oauth_server"),
    *("cfnlint", "samtranslator", "tests.deploy.containers"),
    *("tests.deploy.local_cloud", "tests.deploy.projects", "tests.deploy.templates"),
)
"""What starts a process or a server, or takes its time: a file that imports it is not quick."""


def is_quick(item: pytest.Item) -> bool:
    return not STARTING_FIXTURES.intersection(getattr(item, "fixturenames", ())) and not _imports_a_starter(item.path)


@cache
def _imports_a_starter(path: Path) -> bool:
    imported = imported_names(ast.parse(path.read_text(encoding="utf-8"))).values()
    return any(name == starter or name.startswith(f"{starter}.") for name in imported for starter in STARTERS)
