"""The commands of the pages, typed into a shell beside a running stack, and what the pages say they print.

A page's commands run in their order. Ids in them are examples: whatever stands in the documented output of an earlier
command is replaced by what that command really printed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dev.ports import find_free_port
from tests.conftest import ROOT
from tests.dev.stacks import WAIT_SECONDS, Stack, running
from tests.pages import Command, shell_blocks

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DEFINES = re.compile(r"export |\w+=|\w+\(\)|\. ")
"""What later commands of the page need to have been said in the same shell."""
FREE = {"rows", "skipped"}
"""Objects whose fields are data."""
PAGES = sorted({block.page for block in shell_blocks() if any(command.is_unmarked for command in block.commands)})


@dataclass
class Shell:
    """A terminal beside the stack, in a folder that has its `.local`."""

    stack: Stack
    folder: Path
    defined: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    """Ids of the page, and the real ones"""
    spare: dict[str, str] = field(default_factory=dict)
    """A studio and its key, for the words STUDIO and KEY of runbooks"""

    def type(self, command: Command) -> str:
        """The command's output. Fails the test if the command fails."""
        text = self._with_real_values(command.text)
        done = self._run("\n".join([*self.defined, text]))
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        if DEFINES.match(text):
            self.defined.append(text)
        if text.startswith("curl"):
            assert self._is_documented(int(done.stderr), command), f"{text}\n{done.stderr}{done.stdout}"
        if documented := _json(command.documented):
            printed = json.loads(done.stdout)
            assert differences(documented, printed) == [], f"{text}\n{done.stdout}"
            self._learn(documented, printed)
        return done.stdout

    def _run(self, script: str) -> subprocess.CompletedProcess[str]:
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "LOCAL_DIR": str(self.stack.local_dir),
            "PORT": str(self.stack.port),
        }
        return subprocess.run(
            ["sh", "-ec", script], cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=WAIT_SECONDS, check=False,
        )  # fmt: skip

    def _with_real_values(self, text: str) -> str:
        if '"STUDIO"' in text:
            self.spare = self.spare or json.loads(self.type(Command("make admin CMD='studio create --name Spare'")))
            text = text.replace('"STUDIO"', f'"{self.spare["studioId"]}"').replace('"KEY"', f'"{self.spare["keyId"]}"')
            if re.search(r"confirm|rotate|revoke", text):
                self.spare = {}
        # Days in examples are past, whatever the machine's clock says.
        text = re.sub(r"\b2026-(\d\d-\d\d)", r"2020-\1", text.replace('"TIME"', '"2020-01-01T00:00:00Z"'))
        return UUID.sub(lambda found: self.ids.get(found[0], found[0]), text)

    def _is_documented(self, status: int, command: Command) -> bool:
        """An error, if the page shows one; a success otherwise"""
        documented = _json(command.documented) or {}
        return status == documented["status"] if "errors" in documented else status < 400

    def _learn(self, documented: Any, printed: Any) -> None:
        if isinstance(documented, dict):
            for name in documented.keys() & printed.keys():
                self._learn(documented[name], printed[name])
        elif isinstance(documented, list) and isinstance(printed, list):
            for one, other in zip(documented, printed, strict=False):
                self._learn(one, other)
        elif isinstance(documented, str) and UUID.fullmatch(documented):
            self.ids.setdefault(documented, printed)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack") / "local"
    with running(folder, find_free_port(), TICK_SECONDS="3600") as stack:
        stack.await_output("AnselAI is running")
        yield stack


@pytest.fixture
def shell(stack: Stack, tmp_path: Path) -> Shell:
    (tmp_path / ".local").symlink_to(stack.local_dir)
    binaries = tmp_path / "bin"
    binaries.mkdir()
    # Everything of the Makefile but the set-up, which tests/dev/test_venv.py tries: this environment is ready.
    make = (
        f"{shutil.which('make')} -C {ROOT} --no-print-directory -o setup -o setup-run BIN={Path(sys.executable).parent}"
    )
    stand_in = f"env PYTHONPATH={ROOT} {sys.executable} -m tests.dev.stand_ins"
    for name, program in {"make": make, "aws": f"{stand_in} aws", "curl": f"{stand_in} curl"}.items():
        (binaries / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (binaries / name).chmod(0o755)
    return Shell(stack, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work(page: str, shell: Shell) -> None:
    for block in shell_blocks(page):
        for command in block.commands:
            if command.is_unmarked:
                shell.type(command)


def test_an_empty_database_is_migrated_as_documented(shell: Shell) -> None:
    """The last test, because it deletes the stack's data: `migrate status`, `migrate up` and `migrate down`."""
    operations, admin = shell_blocks("docs/operations.md"), shell_blocks("docs/admin.md")
    reverting, example = (
        next(block.commands for block in blocks if "migrate down" in block.code) for blocks in (operations, admin)
    )
    for command in (*operations[0].commands, *reverting, *example):
        shell.type(command)


def differences(documented: Any, printed: Any, path: str = "") -> list[str]:
    """Fields that only one of the two has, or that are of another type. `...` in what is documented stands for more."""
    if documented is None or printed is None:
        return []
    if isinstance(documented, dict) and isinstance(printed, dict):
        extra = set() if "..." in documented else printed.keys() - documented.keys()
        unlike = (documented.keys() - {"..."} - printed.keys()) | extra
        return [f"{path}.{name}" for name in sorted(unlike)] + [
            difference
            for name in sorted(documented.keys() & printed.keys() - FREE)
            for difference in differences(documented[name], printed[name], f"{path}.{name}")
        ]
    if isinstance(documented, list) and isinstance(printed, list):
        return differences(documented[0], printed[0], f"{path}[0]") if documented and printed else []
    numbers = isinstance(documented, int | float) and isinstance(printed, int | float)
    return [] if numbers or type(documented) is type(printed) else [path]


def _json(documented: str) -> Any:
    """JSON in which `...` may end an object or a list."""
    if not documented.startswith(("{", "[")):
        return None
    whole = re.sub(r",\s*\.\.\.\s*\}", ', "...": null}', documented)
    return json.loads(re.sub(r",\s*\.\.\.\s*\]", "]", whole))


@pytest.mark.parametrize(
    ("documented", "printed", "found"),
    [
        ('{"id": "x", "count": 1}', {"id": "y", "count": 2.5}, []),
        ('{"id": "x", ...}', {"id": "y", "name": "z"}, []),
        ('{"items": [{"id": "x"}, ...]}', {"items": [{"id": "y"}, {"id": "z"}]}, []),
        ('{"items": [{"id": "x"}]}', {"items": []}, []),
        ('{"rows": {"booking": 3}}', {"rows": {"inquiry": 4}}, []),
        ('{"id": "x"}', {"id": "y", "name": "z"}, [".name"]),
        ('{"items": [{"id": "x", "old": 1}]}', {"items": [{"id": "y"}]}, [".items[0].old"]),
        ('{"id": "x"}', {"id": 7}, [".id"]),
    ],
)
def test_documented_output_has_the_fields_that_are_printed(documented: str, printed: Any, found: list[str]) -> None:
    assert differences(_json(documented), printed) == found
