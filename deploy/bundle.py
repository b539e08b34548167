"""The zip that Lambda runs: our sources and the wheels' content, with bytecode; every build produces the same bytes."""

import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from deploy.wheels import PackagingError, Wheel

TASK_ROOT = "/var/task"
"""Where Lambda unpacks the zip; tracebacks show this path instead of a build folder."""
EPOCH = (1980, 1, 1, 0, 0, 0)
ONLY = {
    "cffi": re.compile(r"_cffi_backend\b"),  # used by cryptography's binary; the rest compiles bindings
    "chalice": re.compile(r"chalice/(app|__init__)\.py$"),  # what Chalice packs of itself; the rest is its command line
}
"""Packages that are packed only in part."""

_UNUSED = re.compile(
    r"""
    \.data/                          # scripts and headers
    | (^|/)(tests?|testing)/         # the packages' own tests
    | \.(pyi|pyx|pxd|c|h|cpp)$       # for type checkers and compilers
    | (^|/)py\.typed$
    | ^alembic/templates/            # templates for `alembic init`
    | ^sqlalchemy/dialects/(mssql|mysql|oracle|sqlite)/
    | ^sqlalchemy/ext/(asyncio/|automap|horizontal_shard)
    | ^urllib3/contrib/emscripten/   # for browsers
    | ^dateutil/zoneinfo/            # we use tzdata
    | \.dist-info/(?!METADATA$|LICEN[CS]E|COPYING|NOTICE|AUTHORS|licenses/|sboms/)
    """,
    re.VERBOSE,
)

_COMPILED = re.compile(r"(?P<module>sqlalchemy/.+)\.[^/.]+\.so$")
"""Cython's build of a Python module that is in the wheel as well. Together they are ten times the size of what they
speed up, which only migrations use."""


def _has_source(name: str, names: Collection[str]) -> bool:
    """Whether this is a compiled module that Python can also import from its source."""
    match = _COMPILED.match(name)
    return match is not None and f"{match['module']}.py" in names


def _headers(metadata: bytes) -> bytes:
    """Without the description, which is the package's README and long."""
    return re.split(rb"\r?\n\r?\n", metadata, maxsplit=1)[0] + b"\n"


def unpack(wheel: Wheel, folder: Path) -> None:
    """The parts of the wheel that the functions need, and its metadata: scanners read it, pg8000 looks up its own."""
    only = ONLY.get(wheel.pin.name)
    with wheel.open() as archive:
        names = frozenset(archive.namelist())
        for entry in archive.infolist():
            name = entry.filename
            wanted = only is None or only.match(name) or ".dist-info/" in name
            unused = entry.is_dir() or _UNUSED.search(name) or _has_source(name, names)
            if wanted and not unused:
                path = Path(archive.extract(entry, folder))
                if name.endswith(".dist-info/METADATA"):
                    path.write_bytes(_headers(path.read_bytes()))


def compile_tree(folder: Path, *, keep_sources: bool) -> None:
    """Adds unchecked bytecode to each module. A fresh interpreter with a fixed hash seed compiles it, because a
    process's earlier work shows in the bytecode's references."""
    command = [sys.executable, "-S", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash"]
    command += ["-s", str(folder), "-p", TASK_ROOT, *([] if keep_sources else ["-b"]), str(folder)]
    done = subprocess.run(command, env={"PYTHONHASHSEED": "0", "PATH": os.defpath}, capture_output=True, text=True)
    if done.returncode:
        raise PackagingError(f"a module does not compile: {(done.stdout + done.stderr).strip()[:400]}")
    if not keep_sources:
        for source in folder.rglob("*.py"):
            source.unlink()


def write_zip(folders: Iterable[Path], target: Path) -> None:
    """Sorted, without dates, readable by all. A path that is in two folders is an error."""
    files: dict[str, Path] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            name = str(PurePosixPath(path.relative_to(folder)))
            if path.is_file() and files.setdefault(name, path) != path:
                raise PackagingError(f"two packages contain {name}")
    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for name, path in sorted(files.items()):
            entry = ZipInfo(name, EPOCH)
            entry.compress_type = ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes())
