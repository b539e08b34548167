"""The CI workflow: it does what `.ci/run` does, on each supported Python, with pinned actions and no secrets."""

import re
import subprocess
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT

FILE = ROOT / ".github" / "workflows" / "check.yml"


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def test_it_runs_what_ci_runs(workflow: dict[Any, Any]) -> None:
    steps = workflow["jobs"]["check"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
    assert "make check" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_it_runs_each_python_in_the_readme(workflow: dict[Any, Any]) -> None:
    job = workflow["jobs"]["check"]
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert job["steps"][-1]["env"] == {"PYTHON": "python${{ matrix.python }}"}


def test_every_action_is_pinned_to_a_commit_and_says_its_version() -> None:
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if "uses:" in line]
    assert lines
    assert [line for line in lines if not re.search(r"uses: [\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+$", line)] == []


def test_it_has_read_permission_and_no_secrets(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert "secrets." not in FILE.read_text(encoding="utf-8")


def test_the_python_in_the_environment_is_used() -> None:
    """The one that the matrix chose, of several Pythons on the machine."""
    command = ["make", "--dry-run", "--no-print-directory", "setup"]
    output = subprocess.run(
        command, cwd=ROOT, env={"PATH": "/usr/bin:/bin", "PYTHON": "python3.12"}, capture_output=True, text=True
    )
    assert output.stdout.strip() == 'sh dev/venv.sh ".venv" dev "python3.12"'
