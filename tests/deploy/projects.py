"""What these tests deploy: the project as Chalice sees it, minimal packages, and the local AWS."""

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import pytest
import yaml

from dev.environment import cloud, plain
from dev.ports import find_free_port
from dev.supervisor import Part, Supervisor
from tests.conftest import ROOT

CHALICE = "import sys; from chalice.cli import main; sys.exit(main())"
MADE_BY_TOOLS = shutil.ignore_patterns("__pycache__", "deployments", "deployed")


def copy_project(folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "app.py", folder)
    for name in ("chalicelib", "vendor", ".chalice"):
        shutil.copytree(ROOT / name, folder / name, ignore=MADE_BY_TOOLS)
    (folder / "requirements.txt").touch()
    return folder


def clone(folder: Path) -> Path:
    """The same with the programs that prepare and complete a deployment, as in a clone; its stages run this Python."""
    copy_project(folder)
    for name in ("deploy", "dev", "migrations"):
        shutil.copytree(ROOT / name, folder / name, ignore=MADE_BY_TOOLS)
    path = folder / ".chalice" / "config.json"
    config = json.loads(path.read_text())
    for stage in config["stages"].values():
        stage["python"] = f"{sys.version_info.major}.{sys.version_info.minor}"
    path.write_text(json.dumps(config))
    return folder


def run_module(project: Path, module: str, *arguments: str) -> str:
    """Runs one of the project's programs there; returns its output."""
    return _run(project, "-m", module, *arguments)


def chalice(project: Path, *arguments: str, given: str = "", **environment: str) -> str:
    """Runs Chalice's command line there, with `given` as its input; returns its output."""
    return _run(project, "-c", CHALICE, *arguments, given=given, **environment)


def _run(project: Path, *command: str, given: str = "", **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


def write_package(folder: Path, document: Mapping[str, Any], admin: str, *files: str) -> Path:
    """A package with this template, whose code is just an admin function with this source, and empty files."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = io.BytesIO()
    with ZipFile(archive, "w") as zipped:
        zipped.writestr(
            ZipInfo("chalicelib/workers/admin.py"), admin
        )  # dated 1980, so that equal content gives equal bytes
        for name in files:
            zipped.writestr(ZipInfo(name), "")
    (folder / "deployment.zip").write_bytes(archive.getvalue())
    (folder / "template.yaml").write_text(yaml.safe_dump(dict(document)))
    return folder


@contextmanager
def running_cloud(folder: Path, databases: Mapping[str, str] | None = None) -> Iterator[None]:
    """The local AWS of local_cloud.py, which boto3 uses meanwhile. Its functions find `databases`, URLs by role."""
    port = find_free_port()
    with pytest.MonkeyPatch.context() as patched, Supervisor() as parts:
        for name, value in cloud(port).items():
            patched.setenv(name, value)
        env = {**plain(os.environ), **cloud(port), "LOCAL_DATABASES": json.dumps(dict(databases or {}))}
        parts.start(Part("cloud", ["-m", "tests.deploy.local_cloud", "--port", str(port)], env, folder / "cloud.log"))
        parts.wait_ready()
        yield
