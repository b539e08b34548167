"""Identifies quick tests: those that start nothing, judged by their fixtures and their file's imports."""

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.names import imported_names

STARTING_FIXTURES = frozenset({"server", "local_aws", "started_delivery_function", "cloud", "package"})
"""PostgreSQL, local services and the deployment build: a test that uses them, directly or not, is not quick."""
STARTERS = (
    *("subprocess", "multiprocessing", "psutil", "http.server", "socketserver", "moto", "schemathesis"),
    *("dev.postgres", "dev.process", "dev.sandbox", "dev.supervisor", "tests.dev.stacks", "tests.oauth_server"),
    *("cfnlint", "samtranslator", "tests.deploy.containers"),
    *("tests.deploy.local_cloud", "tests.deploy.projects", "tests.deploy.templates"),
)
"""Modules that start a process or a server, or are slow: a file that imports one is not quick."""


def is_quick(item: pytest.Item) -> bool:
    return not STARTING_FIXTURES.intersection(getattr(item, "fixturenames", ())) and not _imports_a_starter(item.path)


@cache
def _imports_a_starter(path: Path) -> bool:
    imported = imported_names(ast.parse(path.read_text(encoding="utf-8"))).values()
    return any(name == starter or name.startswith(f"{starter}.") for name in imported for starter in STARTERS)
