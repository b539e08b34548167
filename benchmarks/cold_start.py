"""Cold starts under AWS's own runtime client: from the start of a container to its first response."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

import yaml

from app import app
from benchmarks import handlers, local_kms, packages, studios
from benchmarks.server import Server
from benchmarks.source import Source
from benchmarks.table import Row, Table
from chalicelib.services.api_keys import create_api_key
from chalicelib.services.studios import create_studio
from chalicelib.services.sync.runs import list_runs
from chalicelib.workers.sync import sync
from dev.environment import cloud
from dev.invocation import Context, message_event, request_event, schedule_event
from dev.lambda_runtime import Container, Function, Usage, functions, lay_out_runtime
from dev.runtime_api import Outcome

HELLO, LIST = "hello world", "GET /api/connections (of 4)"
SETTINGS = ("ANSEL_STAGE", "DATABASE_URL", "ENCRYPTION_KEY", "TENANT_PROOF_KEYS", *cloud(0))
AIM = 5
NOTE = (
    "From the start of the process to its first response, in turn. CPU and peak resident size are the process's own. "
    "Nothing is deployed: loading the zip and starting the container are Lambda's part and not included, memory is not "
    "limited to the function's share, the database is on this machine and without TLS. Unless stated otherwise, the "
    f"zip is as packaged. Target: at most {AIM} times hello world."
)


@dataclass(frozen=True)
class Case:
    """A function and its first event."""

    name: str
    function: Function
    task: Path
    event: Callable[[], Any]
    answered: Callable[[Outcome], object]
    environ: Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    milliseconds: float
    usage: Usage


def measure(quick: bool, server: Server) -> list[Table]:
    rounds = 1 if quick else 15
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ansel-cold-")))
        running = stack.enter_context(studios.at_work())
        kms = stack.enter_context(local_kms.running(folder))
        cases = list(_cases(folder, server, running, kms))
        runtime = lay_out_runtime(folder / "runtime")
        samples: dict[str, list[Sample]] = {case.name: [] for case in cases}
        for turn in range(rounds):
            first = turn % len(cases)
            for case in cases[first:] + cases[:first]:
                samples[case.name].append(_start(case, runtime, folder / "log"))
    return [_table(samples, rounds)]


def _start(case: Case, runtime: Path, log: Path) -> Sample:
    event = case.event()
    with Container(case.function, case.task, runtime, case.environ, log=log) as container:
        outcome = container.invoke(event)
        milliseconds = (perf_counter() - container.started_at) * 1000
        usage = container.stop()
        assert case.answered(outcome), (outcome, container.output)
    return Sample(milliseconds, usage)


def _cases(folder: Path, server: Server, running: Source, kms: dict[str, str]) -> Iterator[Case]:
    package = packages.build(folder / "package")
    known = functions(yaml.safe_load((folder / "package" / "template.yaml").read_text()), "prod")
    environ = {**{name: os.environ[name] for name in SETTINGS}, **running.environ}
    api, hello = known["APIHandler"], packages.hello(folder / "hello", package)
    sources = packages.sources(folder / "sources")
    every = packages.everything(folder / "everything")

    yield Case(HELLO, api, hello, partial(request_event, "GET", "/"), _is_ok, environ)
    key = _studio_of_four()
    listing = partial(request_event, "GET", handlers.CONNECTIONS, {"Authorization": f"Bearer {key}"})
    yield Case(LIST, api, package, listing, _lists_four, environ)
    yield Case("GET /api/health", api, package, partial(request_event, "GET", "/api/health"), _is_ok, environ)
    yield Case("tick, nothing due", known["Tick"], package, partial(schedule_event, "tick"), _is_done, environ)
    yield from _worker_cases(known["Sync"], package, server, environ, kms)
    yield Case(f"{LIST}, zip without bytecode", api, sources, listing, _lists_four, environ)
    whole = Function("everything", "everything.run", api.memory_mib, api.timeout_seconds)
    for name, task in (("as packaged", package), ("zip without bytecode", sources)):
        path = {"PYTHONPATH": f"{every}:{task}:{folder / 'runtime'}"}
        yield Case(f"every package imported, {name}", whole, task, dict, _is_done, {**environ, **path})


def _worker_cases(
    worker: Function, package: Path, server: Server, environ: Mapping[str, str], kms: dict[str, str]
) -> Iterator[Case]:
    studio_id = _studio_in_step(server)
    ended = _run(studio_id)
    sync(ended, Context("ansel-sync", 900.0))
    yield Case("worker, run has ended", worker, package, lambda: ended, _is_done, environ)
    run = partial(_run, studio_id)
    yield Case("worker, nothing new: unwraps a key", worker, package, run, partial(_ran, studio_id), environ)
    with local_kms.in_use(kms):
        of_kms = _studio_in_step(server)
    under_kms = {**environ, **kms}
    del under_kms["ENCRYPTION_KEY"]
    run = partial(_run, of_kms)
    yield Case("the same, by KMS", worker, package, run, partial(_ran, of_kms), under_kms)
    fresh = FirstRuns(server)
    yield Case("worker, stores a first page", worker, package, fresh.start, fresh.ran, environ)


class FirstRuns:
    """Each run is the first of a new studio."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._studio_id = UUID(int=0)

    def start(self) -> dict[str, Any]:
        self._studio_id = _unscheduled_studio(self._server)
        return _run(self._studio_id)

    def ran(self, outcome: Outcome) -> bool:
        return _ran(self._studio_id, outcome)


def _studio_of_four() -> str:
    key = create_api_key(create_studio("Benchmark"), "benchmark", ["admin"]).reveal()
    headers = {"Authorization": f"Bearer {key}"}
    for platform, tokens in handlers.CONNECTED.items():
        body = json.dumps({"platform": platform, **tokens})
        created = app(request_event("POST", handlers.CONNECTIONS, headers, body), Context("ansel", 30.0))
        assert created["statusCode"] == 201, created
    return key


def _studio_in_step(server: Server) -> UUID:
    """A studio whose next runs find nothing new."""
    studio_id = _unscheduled_studio(server)
    sync(_run(studio_id), Context("ansel-sync", 900.0))
    return studio_id


def _unscheduled_studio(server: Server) -> UUID:
    """A studio that is never due, so that ticks find nothing."""
    studio_id = studios.connect(server, "bulk-100")
    superuser = server.connect(server.urls.superuser)
    superuser.run("UPDATE sync_schedule SET enabled = false")
    superuser.close()
    return studio_id


def _run(studio_id: UUID) -> dict[str, Any]:
    """The message of a new run."""
    run_id = studios.queue_run(studio_id, "bookings")
    return message_event({"kind": "run", "id": str(run_id), "studioId": str(studio_id)})


def _ran(studio_id: UUID, outcome: Outcome) -> bool:
    """Whether the run started last has succeeded."""
    (latest,) = list_runs(studio_id, platform=None, sync_type="bookings", status=None, before=None, limit=1)
    return outcome.error is None and latest.status == "succeeded"


def _is_ok(outcome: Outcome) -> bool:
    return outcome.error is None and outcome.payload["statusCode"] == 200


def _lists_four(outcome: Outcome) -> bool:
    return _is_ok(outcome) and len(json.loads(outcome.payload["body"])["items"]) == len(handlers.CONNECTED)


def _is_done(outcome: Outcome) -> bool:
    return outcome.error is None


def _table(samples: Mapping[str, list[Sample]], rounds: int) -> Table:
    base = median(sample.milliseconds for sample in samples[HELLO])
    cpu_base = median(sample.usage.cpu_ms for sample in samples[HELLO])
    rows: list[Row] = []
    for name, found in samples.items():
        milliseconds = median(sample.milliseconds for sample in found)
        cpu_ms = median(sample.usage.cpu_ms for sample in found)
        peak = median(sample.usage.peak_mib for sample in found)
        rows.append((name, milliseconds, milliseconds / base, cpu_ms, cpu_ms / cpu_base, peak))
    columns = ("first response", "ms", "times hello world", "CPU ms", "times its CPU", "peak MiB")
    return Table(f"Cold starts (medians of {rounds})", columns, rows, [NOTE])
