"""The packages' wheels for a Lambda runtime: pip downloads them by hash, and each use checks them again."""

import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from deploy.pins import ROOT, Pin, packed_pins

CACHE = ROOT / ".cache" / "wheels"
ARCHITECTURES = ("arm64", "x86_64")


class PackagingError(Exception):
    """A problem with the package, worded for its builder."""


@dataclass(frozen=True)
class Target:
    """A Lambda runtime. `python` is also the version of the interpreter that builds for it, because of the bytecode."""

    architecture: str
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"

    @classmethod
    def host(cls) -> "Target":
        return cls("arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64")

    @property
    def tags(self) -> list[str]:
        """Amazon Linux 2 (Python 3.11) and 2023 (3.12, 3.13) both support glibc 2.17."""
        machine = "aarch64" if self.architecture == "arm64" else self.architecture
        return [f"manylinux_2_17_{machine}", f"manylinux2014_{machine}"]


@dataclass(frozen=True)
class Wheel:
    pin: Pin
    path: Path
    sha256: str

    def open(self) -> ZipFile:
        return ZipFile(self.path)


def _known(folder: Path, pins: list[Pin]) -> list[Wheel]:
    """The wheels in `folder` whose hash is in the lock."""
    by_hash = {digest: pin for pin in pins for digest in pin.hashes}
    found = []
    for path in sorted(folder.glob("*.whl")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if pin := by_hash.get(digest):
            found.append(Wheel(pin, path, digest))
    return found


def _download(target: Target, pins: list[Pin], folder: Path) -> None:
    """pip accepts only wheels for the target, and only those whose hash is in the lock."""
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{pin.line()}\n" for pin in pins), encoding="utf-8")
    tags = [part for tag in target.tags for part in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation=cp", *tags]
    command += [f"--python-version={target.python}", f"--dest={folder}", f"--requirement={requirements}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")][-1:] or [done.stderr[-400:]]
        raise PackagingError(f"the wheels could not be downloaded: {reason[0]}")


def wheels(target: Target, cache: Path = CACHE) -> list[Wheel]:
    """A wheel for every packed pin, sorted by name. Needs no network once they have been downloaded."""
    pins = packed_pins()
    folder = cache / f"{target.python}-{target.architecture}"
    found = _known(folder, pins)
    if len(found) != len(pins):
        cache.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=folder.name, dir=cache))
        try:
            _download(target, pins, fresh)
            folder.mkdir(exist_ok=True)
            for path in fresh.glob("*.whl"):
                path.replace(folder / path.name)  # atomically, because another build may be doing the same
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        found = _known(folder, pins)
    if missing := sorted({pin.name for pin in pins} - {wheel.pin.name for wheel in found}):
        raise PackagingError(f"no wheel matches the lock for {', '.join(missing)}")
    return sorted(found, key=lambda wheel: wheel.pin.name)


def main() -> int:
    """Downloads what building for this machine's architecture needs, so that the tests need no network."""
    try:
        wheels(Target.host())
    except (PackagingError, ValueError) as error:
        print(f"wheels: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
