"""`dev/venv.sh`: an environment of two small locks and our own wheels, and one line for every failure."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest

from tests.conftest import ROOT

UV = Path(sys.executable).with_name("uv")
UNREACHABLE = "http://127.0.0.1:1/simple"
"""No server listens there."""


def add_wheel(folder: Path, name: str, files: Mapping[str, str]) -> str:
    """Puts a wheel of version 1 into the folder; returns its line for a lock."""
    info = f"{name}-1.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {path: hashlib.sha256(text.encode()).digest() for path, text in content.items()}
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(content[path].encode())}\n"
        for path, digest in digests.items()
    ]
    wheel = folder / f"{name}-1-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for path, text in {**content, f"{info}/RECORD": "".join([*record, f"{info}/RECORD,,\n"])}.items():
            entry = ZipInfo(path)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return f"{name}==1 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


class Checkout:
    """A folder with the locks of two small environments: `thing` for running, `tool` for development."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        # Stands in for uv in the lock; it is this environment's uv.
        shim = f'#!/bin/sh\n[ "$1" = --version ] && echo "uv 1 (a stand-in)" && exit\nexec "{UV}" "$@"\n'
        run = [add_wheel(self.wheels, "uv", {"uv-1.data/scripts/uv": shim}), add_wheel(self.wheels, "thing", {})]
        self.lock("run", *run)
        self.lock("dev", *run, add_wheel(self.wheels, "tool", {}))

    def lock(self, kind: str, *lines: str) -> None:
        (self.folder / f"requirements-{kind}.txt").write_text("".join(lines))

    def set_up(self, kind: str, **environ: str) -> subprocess.CompletedProcess[str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        env = {
            **own,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_RETRIES": "1",
            "UV_HTTP_RETRIES": "0",
            "UV_CACHE_DIR": str(self.folder / "cache"),
            **environ,
        }
        command = ["sh", str(ROOT / "dev" / "venv.sh"), ".venv", kind, sys.executable]
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)

    def fails(self, kind: str, **environ: str) -> str:
        """The one line that it prints."""
        done = self.set_up(kind, **environ)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert not (self.folder / ".venv-setup.lock").exists()
        return line

    def installed(self) -> set[str]:
        packages = next((self.folder / ".venv" / "lib").glob("python*")) / "site-packages"
        return {path.name.partition("-")[0] for path in packages.glob("*.dist-info")} - {"pip", "setuptools"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """An environment with the packages for running."""
    checkout = Checkout(tmp_path_factory.mktemp("made"))
    done = checkout.set_up("run")
    assert done.returncode == 0, done.stderr
    assert "Installing the 2 packages of requirements-run.txt" in done.stdout
    assert checkout.installed() == {"uv", "thing"}
    return checkout


@pytest.fixture
def checkout(made: Checkout, tmp_path: Path) -> Checkout:
    """A copy of it; an environment can be moved if its scripts are not run, and uv's stand-in contains no path."""
    shutil.copytree(made.folder, tmp_path / "copy", symlinks=True)
    copy = object.__new__(Checkout)
    copy.folder, copy.wheels = tmp_path / "copy", tmp_path / "copy" / "wheels"
    return copy


def test_a_second_time_does_nothing_and_needs_no_index(checkout: Checkout) -> None:
    done = checkout.set_up("run", PIP_FIND_LINKS="", PIP_NO_INDEX="", PIP_INDEX_URL=UNREACHABLE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_development_packages_are_added_and_running_removes_none(checkout: Checkout) -> None:
    assert checkout.set_up("dev").returncode == 0
    assert checkout.installed() == {"uv", "thing", "tool"}
    assert checkout.set_up("run").stdout == ""
    with (checkout.folder / "requirements-run.txt").open("a") as lock:
        lock.write("# a newer lock\n")
    assert "requirements-dev.txt" in checkout.set_up("run").stdout
    assert checkout.installed() == {"uv", "thing", "tool"}


def test_without_a_network_it_fails_with_one_line(checkout: Checkout) -> None:
    line = checkout.fails("dev", PIP_FIND_LINKS="", PIP_NO_INDEX="", PIP_INDEX_URL=UNREACHABLE)
    assert "the package index cannot be reached; is this machine online" in line


def test_without_a_network_and_uv_it_fails_with_the_same_line(checkout: Checkout) -> None:
    (checkout.folder / ".venv" / "bin" / "uv").unlink()
    line = checkout.fails("dev", PIP_FIND_LINKS="", PIP_NO_INDEX="", PIP_INDEX_URL=UNREACHABLE)
    assert "the package index cannot be reached; is this machine online" in line


def test_a_file_that_is_not_the_locked_one_is_refused(checkout: Checkout) -> None:
    add_wheel(checkout.wheels, "tool", {"tool.py": "raise SystemExit\n"})
    assert "one is not the file that was locked (hash mismatch)" in checkout.fails("dev")
    assert checkout.set_up("dev").returncode == 1


def test_a_uv_that_is_not_the_locked_one_is_refused(checkout: Checkout) -> None:
    (checkout.folder / ".venv" / "bin" / "uv").unlink()
    add_wheel(checkout.wheels, "uv", {"uv-1.data/scripts/uv": "#!/bin/sh\necho not this one\n"})
    assert "one is not the file that was locked (hash mismatch)" in checkout.fails("dev")


def test_a_package_that_cannot_be_found_is_named(checkout: Checkout) -> None:
    (checkout.wheels / "tool-1-py3-none-any.whl").unlink()
    assert "tool" in checkout.fails("dev")


def test_a_missing_python_leaves_the_existing_environment(tmp_path: Path) -> None:
    for kind in ("run", "dev"):
        (tmp_path / f"requirements-{kind}.txt").touch()
    (tmp_path / "venv").mkdir()
    setup = ["sh", str(ROOT / "dev" / "venv.sh"), "venv", "dev", "/no/such/python"]
    done = subprocess.run(setup, cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 1
    assert done.stderr.startswith("make: no suitable Python: /no/such/python is missing or older than 3.11")
    assert (tmp_path / "venv").exists()
