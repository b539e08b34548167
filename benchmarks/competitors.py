"""Competitors loading the same records into the same server: worker, COPY + merge, dlt, Meltano's target-postgres."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import msgspec

from benchmarks import records, studios, timing
from benchmarks.server import ROOT, Server
from chalicelib.platforms.core.records import BookingRecord
from chalicelib.services.sync.execute import execute_run

VENVS = ROOT / "build" / "bench"
LOADERS = ROOT / "benchmarks" / "loaders"
PLENTY_MS = 900_000
STREAM = "booking"
FORMATS = {
    "event_date": "date",
    "starts_at": "date-time",
    "ends_at": "date-time",
    "booked_at": "date-time",
    "source_updated_at": "date-time",
}


@dataclass
class Material:
    """What to load now: the list at the source, and the same records as the product maps them."""

    account: str
    url: str
    token: str = field(repr=False)
    pages: Sequence[Sequence[BookingRecord]] = ()


class Competitor(Protocol):
    table: str
    """Where the records are stored, with a condition; to check that all of them are."""

    def begin(self) -> None:
        """Removes what was loaded before, so that the next load starts empty."""

    def load(self) -> float:
        """Seconds, excluding the start of a process."""


class Worker:
    """The complete worker: page by page from the source, each with its cursor and counters in one transaction."""

    def __init__(self, server: Server, material: Material) -> None:
        self._server, self._material = server, material
        self.table = ""
        self._studio_id: UUID

    def begin(self) -> None:
        self._studio_id = studios.connect(self._server, self._material.account)
        self.table = f"ansel.public.booking WHERE studio_id = '{self._studio_id}'"

    def load(self) -> float:
        run_id = studios.queue_run(self._studio_id, "bookings")
        return timing.seconds(partial(self._execute, run_id))

    def _execute(self, run_id: UUID) -> None:
        assert execute_run(self._studio_id, run_id, lambda: PLENTY_MS) == "succeeded"


class Copying:
    """The rows are already in memory; same table, same policies."""

    def __init__(self, server: Server, material: Material) -> None:
        self._server, self._material = server, material
        self.table = ""
        self._studio_id: UUID

    def begin(self) -> None:
        self._studio_id = self._server.new_studio()
        records.connect(self._server, self._studio_id)
        self.table = f"ansel.public.booking WHERE studio_id = '{self._studio_id}'"

    def load(self) -> float:
        with records.copying(self._server, self._studio_id) as store:
            return timing.seconds(partial(store, self._material.pages))


class Dlt:
    """A pipeline with its own database, without policies or foreign keys."""

    def __init__(self, python: Path, database_url: str, material: Material, folder: Path, form: str) -> None:
        self._python, self._material = python, material
        self._order = {"database_url": database_url, "folder": str(folder / f"dlt_{form}"), "form": form}
        self._turn = 0
        self.table = ""

    def begin(self) -> None:
        self._turn += 1
        self._order["dataset"] = f"dlt_{self._order['form']}_{self._turn}"
        self.table = f"loaders.{self._order['dataset']}.booking WHERE true"

    def load(self) -> float:
        order = {**self._order, "url": self._material.url, "token": self._material.token}
        return _seconds(self._python, "dlt_pages.py", order)


class Singer:
    """A target that reads a prepared file of messages; with its own database, like dlt."""

    def __init__(
        self, python: Path, database_url: str, material: Material, folder: Path, name: str, config: dict[str, Any]
    ) -> None:
        self._python, self._material, self._messages, self._name = python, material, folder / f"{name}.singer", name
        url = database_url.replace("postgresql://", "postgresql+psycopg://")
        self._config = {"sqlalchemy_url": url, "load_method": "upsert", **config}
        self._turn = 0
        self.table = ""

    def begin(self) -> None:
        self._turn += 1
        self._config["default_target_schema"] = f"{self._name}_{self._turn}"
        self.table = f"loaders.{self._config['default_target_schema']}.{STREAM} WHERE true"

    def load(self) -> float:
        with self._messages.open("wb") as messages:
            messages.write(msgspec.json.encode(singer_schema()) + b"\n")
            for page in self._material.pages:
                messages.writelines(
                    msgspec.json.encode({"type": "RECORD", "stream": STREAM, "record": _flat(record)}) + b"\n"
                    for record in page
                )
        order = {"config": self._config, "messages": str(self._messages)}
        return _seconds(self._python, "singer_file.py", order)


FASTEST_SINGER = {"use_copy": True, "validate_records": False, "add_record_metadata": False, "activate_version": False}


@contextmanager
def all_there_are(server: Server, material: Material, *, quick: bool) -> Iterator[dict[str, Competitor | None]]:
    """By name; None for one that could not be installed."""
    found: dict[str, Competitor | None] = {
        "worker": Worker(server, material),
        "COPY + merge": Copying(server, material),
    }
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ansel-bench-")))
        database_url = _database_of_loaders(server)
        dlt, singer = (_installed(name, quick=quick) for name in ("dlt", "target-postgres"))
        for form in ("dicts", "tables"):
            found[f"dlt, {form}"] = Dlt(dlt, database_url, material, folder, form) if dlt else None
        for name, config in (("tuned", FASTEST_SINGER), ("plain", {})):
            made = Singer(singer, database_url, material, folder, name, config) if singer else None
            found[f"target-postgres, {name}"] = made
        yield found


def _flat(record: BookingRecord) -> dict[str, Any]:
    """Lists, such as an event's guests, are JSON text: the target has a column of text for them."""
    fields = msgspec.structs.asdict(record)
    return {
        name: msgspec.json.encode(value).decode() if isinstance(value, list) else value
        for name, value in fields.items()
    }


def singer_schema() -> dict[str, Any]:
    """The stream's SCHEMA message."""
    properties: dict[str, Any] = {}
    for name in BookingRecord.__struct_fields__:
        kind = "boolean" if name == "all_day" else "string"
        properties[name] = {"type": [kind, "null"], **({"format": FORMATS[name]} if name in FORMATS else {})}
    schema = {"type": "object", "properties": properties}
    return {"type": "SCHEMA", "stream": STREAM, "schema": schema, "key_properties": ["external_id"]}


def _database_of_loaders(server: Server) -> str:
    superuser = server.connect(server.urls.superuser)
    try:
        if not superuser.run("SELECT 1 FROM pg_database WHERE datname = 'loaders'"):
            superuser.run("CREATE DATABASE loaders")
    finally:
        superuser.close()
    return server.urls.superuser.rpartition("/")[0] + "/loaders"


def _installed(name: str, *, quick: bool) -> Path | None:
    """The Python of a virtual environment that has the loader; created if missing, unless there is no time for that."""
    venv, requirements = VENVS / name, ROOT / "benchmarks" / f"requirements-{name}.txt"
    python, ready = venv / "bin" / "python", venv / "ready"
    recipe = requirements.read_text()
    if ready.exists() and ready.read_text() == recipe:
        return python
    if quick:
        return None
    commands = (
        [sys.executable, "-m", "venv", "--clear", str(venv)],
        [str(python), "-m", "pip", "install", "--quiet", "--no-input", "-r", str(requirements)],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name} is not installed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
            return None
    ready.write_text(recipe)
    return python


def _seconds(python: Path, program: str, order: dict[str, Any]) -> float:
    done = subprocess.run(
        [str(python), str(LOADERS / program)],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR"},
    )
    if done.returncode:
        raise RuntimeError(f"{program} failed:\n{done.stderr[-4000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])
