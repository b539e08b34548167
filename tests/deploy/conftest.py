"""The deployable package, built once for all its tests and cached until its inputs change."""

import fcntl
import hashlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile
from zlib import crc32

import pytest

from deploy.package import build
from deploy.wheels import Target
from tests.deploy.projects import running_cloud
from tests.deploy.small_stage import HEALTHY, Operator
from tests.http_fake import Fake, http_fake

ROOT = Path(__file__).parent.parent.parent
CACHE = ROOT / ".cache" / "package"
INPUTS = (
    "app.py",
    "chalicelib",
    "migrations",
    "vendor/certificates",
    "requirements.txt",
    "requirements-dev.txt",
    ".chalice/*.json",
    ".chalice/policies",
    ".chalice/resources",
    "deploy",
)
HOST = Target.host()
KEPT_FOR = 3600
"""Seconds; longer than any test run that may still read a package of older sources."""


@dataclass(frozen=True)
class Package:
    """The output of `make package STAGE=prod` for this machine's architecture and Python."""

    folder: Path
    """deployment.zip, template.yaml, sbom.cdx.json and package.json"""
    task: Path
    """the unpacked zip: what Lambda has at /var/task. Must not be written to"""

    @property
    def zip(self) -> Path:
        return self.folder / "deployment.zip"


def _key() -> str:
    digest = hashlib.sha256(f"{HOST}".encode())
    for pattern in INPUTS:
        for top in sorted(ROOT.glob(pattern)):
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if path.is_file() and "__pycache__" not in path.parts:
                    digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_old(kept: Path) -> None:
    for folder in CACHE.iterdir():
        # today: file times come from the system clock
        if folder.is_dir() and folder != kept and time.time() - folder.stat().st_mtime > KEPT_FOR:
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def package() -> Package:
    with _one_at_a_time():
        made = Package(CACHE / _key(), CACHE / _key() / "task")
        if not made.task.exists():
            shutil.rmtree(made.folder, ignore_errors=True)
            build("prod", HOST, made.folder)
            with ZipFile(made.zip) as archive:
                archive.extractall(made.folder / "unpacked")
            (made.folder / "unpacked").rename(made.task)
        made.folder.touch()
        _forget_old(made.folder)
    return made


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An AWS account to deploy to, in which CloudFormation works; the suite's `local_aws` has no stacks."""
    with running_cloud(tmp_path_factory.mktemp("cloud")):
        yield


@pytest.fixture
def api() -> Iterator[Fake]:
    """Stands in for the deployed API, which the local AWS does not serve."""
    with http_fake() as fake:
        fake.on("/api/health", HEALTHY)
        yield fake


@pytest.fixture
def operator(request: pytest.FixtureRequest, tmp_path: Path, api: Fake, capsys: pytest.CaptureFixture[str]) -> Operator:
    """For the test's own stage, in which nothing is deployed."""
    return Operator(f"s{crc32(request.node.name.encode())}", tmp_path, api.url, capsys)
