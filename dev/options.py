"""A developer's options for the local stack; an invalid value results in one line that names the variable."""

import fcntl
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dev import process
from dev.errors import StackError
from dev.ports import HOST

LONGEST_INTERVAL_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class Options:
    port: int
    local_dir: Path
    sandbox_url: str
    """The URL of the platforms; if empty, our own sandbox is started."""
    tick_seconds: float = 60
    maintenance_seconds: float = 3600

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        port = environ.get("PORT") or "8000"
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise StackError(f"PORT must be a number from 1 to 65535, not {port!r}")
        return cls(
            int(port),
            Path(environ.get("LOCAL_DIR") or ".local").absolute(),
            environ.get("PLATFORM_SANDBOX_URL", "").rstrip("/"),
            read_seconds(environ, "TICK_SECONDS", cls.tick_seconds),
            read_seconds(environ, "MAINTENANCE_SECONDS", cls.maintenance_seconds),
        )

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def key_file(self) -> Path:
        return self.local_dir / "secrets" / "api_key"

    @property
    def admin_file(self) -> Path:
        """The admin function's environment, for commands in another terminal"""
        return self.local_dir / "secrets" / "admin.json"

    @property
    def api_file(self) -> Path:
        """The API's environment, for `chalice local`"""
        return self.local_dir / "secrets" / "api.json"

    @property
    def parts_file(self) -> Path:
        """The processes of the running stack, for `make status`"""
        return self.local_dir / "parts.json"

    @property
    def lock_file(self) -> Path:
        return self.local_dir / "lock"

    @property
    def postgres_dir(self) -> Path:
        return self.local_dir / "postgres"

    def log(self, name: str) -> Path:
        return self.local_dir / "logs" / f"{name}.log"


def read_seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    value = environ.get(name, "").strip() or str(default)
    if not re.fullmatch(r"\d{1,7}(\.\d{1,3})?", value, re.ASCII) or not 0 < float(value) <= LONGEST_INTERVAL_SECONDS:
        raise StackError(
            f"{name} must be a number of seconds above 0, at most {LONGEST_INTERVAL_SECONDS}, not {value!r}"
        )
    return float(value)


@contextmanager
def locked(options: Options) -> Iterator[None]:
    """Locks the folder for one stack. Raises StackError while another stack holds it."""
    try:
        options.local_dir.mkdir(parents=True, exist_ok=True)
        file = options.lock_file.open("w")
    except OSError as error:
        raise StackError(f"LOCAL_DIR {options.local_dir} {_why_unusable(options.local_dir, error)}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(
                f"another stack is running in {options.local_dir}; choose another folder with LOCAL_DIR"
            ) from error
        yield


def is_locked(options: Options) -> bool:
    """Whether a stack is running or starting in the folder."""
    try:
        with options.lock_file.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def ensure_running(options: Options) -> None:
    """Raises StackError unless a stack has started far enough to be used."""
    if not (is_locked(options) and options.admin_file.exists()):
        raise StackError(f"no stack is running in {options.local_dir}; start one with `make run`, in another terminal")


def _why_unusable(folder: Path, error: OSError) -> str:
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            return "is a file, not a folder" if path == folder else f"is below {path}, which is a file, not a folder"
    return f"cannot be written to: {process.reason(error)}"
