"""The contents allowed in the package: our sources, RDS's certificates, the wheels; nothing that looks secret."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from deploy.wheels import PackagingError

CERTIFICATES = "certificates/rds.pem"
_OURS_IN_SQL = r"chalicelib/data/system/(earlier/)?\w+(\.\d+)?\.sql|migrations/baseline/\w+\.sql"
_OURS = re.compile(
    r"app\.py|chalicelib/.+\.py|migrations/(env|steps|privileges)\.py|migrations/script\.py\.mako"
    rf"|migrations/versions/\w+\.py|{_OURS_IN_SQL}"
)
_SECRET_NAME = re.compile(
    r"(^|/)(\.[^/]+|id_(rsa|ecdsa|ed25519)[^/]*|credentials(?!\.pyc?$)[^/]*"  # a module may have that name
    r"|[^/]+\.(pem|key|p12|pfx|jks|env|kdbx|sqlite|sql|dump))$",
    re.IGNORECASE,
)
_SECRET_CONTENT = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(AKIA|ASIA)[0-9A-Z]{16}\b|postgresql://\w+:[^@\s{}<]{3,}@[\w.-]+\.rds\."
)


def check_ours(folder: Path) -> None:
    """PackagingError naming any file that Chalice packed from the project and that does not belong there."""
    for path in sorted(folder.rglob("*")):
        name = str(PurePosixPath(path.relative_to(folder)))
        if path.is_dir() or name == CERTIFICATES:
            continue
        looks_secret = _SECRET_NAME.search(name) and not re.fullmatch(_OURS_IN_SQL, name)
        if not _OURS.fullmatch(name) or looks_secret:
            raise PackagingError(f"{name} does not belong in the package")
        if _SECRET_CONTENT.search(path.read_bytes()):
            raise PackagingError(f"{name} seems to contain a secret")


def check_others(names: Iterable[str]) -> None:
    """The same for the wheels' files: none may look like a secret or like one of our own files."""
    for name in names:
        if _SECRET_NAME.search(name) or PurePosixPath(name).parts[0] in (
            "app.py",
            "chalicelib",
            "migrations",
            "certificates",
        ):
            raise PackagingError(f"{name} came with a wheel and does not belong in the package")
