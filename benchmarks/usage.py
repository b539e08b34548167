"""What one invocation of each function uses, for the bill: time, log lines, calls to KMS and to platforms."""

import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import boto3

from app import app
from benchmarks import handlers, null_queue, server, source, studios
from benchmarks.consumption import Invocation, Usage
from benchmarks.handlers import quiet
from benchmarks.profiler import Profiler, Watched
from benchmarks.server import Server, configure
from chalicelib import telemetry
from chalicelib.data.postgres.database import read
from chalicelib.data.postgres.driver import PgConnection
from chalicelib.data.sync.runs import FIND_RUN
from chalicelib.platforms.core.transport import Transport
from chalicelib.security.vault import vault
from chalicelib.workers.sync import sync
from chalicelib.workers.tick import tick
from dev.environment import cloud, plain
from dev.invocation import Context, message_event, schedule_event
from dev.ports import find_free_port
from dev.supervisor import Part, Supervisor

SAMPLES = 50
DUE = 100
DATABASE, PLATFORM = "database", "platform"
WATCHED = (
    Watched(PgConnection, "pipeline_all", DATABASE),
    Watched(PgConnection, "execute_simple", DATABASE),
    Watched(Transport, "send", PLATFORM),
)
MAKE_DUE = "UPDATE sync_schedule SET next_run_at = now() - interval '1 minute' WHERE :due"
END_RUNS = "UPDATE sync_log SET status = 'cancelled', finished_at = now() WHERE finished_at IS NULL"
Work = Callable[[], Any]


def measure(samples: int = SAMPLES) -> Usage:
    """On an embedded server, with moto's KMS and SQS and the sandbox's Google."""
    with ExitStack() as stack:
        running = stack.enter_context(server.running())
        stack.enter_context(_cloud())
        google = stack.enter_context(source.running())
        configure(**google.environ, PUBLIC_URL="https://api.example.com")
        idle_tick, due_run = _ticks(running, samples)
        return Usage(
            measured_on=date.today().isoformat(),  # noqa: DTZ011  the local day of the measurement
            machine=f"{platform.machine()}, Python {platform.python_version()}",
            api=_api(running, samples),
            tick=idle_tick,
            tick_per_run=due_run,
            sync=_sync(running, google, samples),
            metric_series=_metric_series(),
        )


@contextmanager
def _cloud() -> Iterator[None]:
    """A local SQS and KMS, and the `test` stage: the product wraps keys and reports metrics as when deployed."""
    port = find_free_port()
    environ = cloud(port)
    with Supervisor() as parts, tempfile.TemporaryDirectory() as folder:
        parts.start(
            Part("queue", ["-m", "dev.aws", "--port", str(port)], {**plain({}), **environ}, Path(folder) / "log")
        )
        parts.wait_ready()
        kms = boto3.client(
            "kms",
            endpoint_url=environ["AWS_ENDPOINT_URL"],
            region_name=environ["AWS_REGION"],
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        key = kms.create_key()["KeyMetadata"]["Arn"]
        configure(**environ, ANSEL_STAGE="test", KMS_KEY_IDS=key, ENCRYPTION_KEY="")
        vault.cache_clear()
        yield


def _api(running: Server, samples: int) -> Invocation:
    studio_id = running.new_studio()
    bearer = handlers.bearer_of(studio_id)
    event = handlers.event("GET", handlers.CONNECTIONS, bearer)
    for platform_name, tokens in handlers.CONNECTED.items():
        body = {"platform": platform_name, **tokens}
        app(handlers.event("POST", handlers.CONNECTIONS, bearer, body), handlers.context())
    return _used([partial(app, event, handlers.context())] * (samples + 1))


def _ticks(running: Server, samples: int) -> tuple[Invocation, Invocation]:
    """A tick that finds nothing due, and what each due schedule adds; sending counts this process's own part only."""
    for _ in range(DUE // 2):
        studios.connect(running, f"bulk-{DUE}")  # its two streams are scheduled
    superuser = running.connect(running.urls.superuser)
    before = dict(os.environ)

    def prepared(*, due: bool) -> Work:
        superuser.run(END_RUNS)
        superuser.run(MAKE_DUE, due=due)
        return partial(tick, schedule_event("ansel-tick"), Context("ansel-tick", 55))

    with null_queue.in_use():
        idle, busy = (_used(prepared(due=due) for _ in range(samples // 5 + 2)) for due in (False, True))
    superuser.run("UPDATE sync_schedule SET enabled = false")
    superuser.run(END_RUNS)
    superuser.close()
    configure(**before)
    return idle, _difference(busy, idle, DUE)


def _sync(running: Server, google: source.Source, samples: int) -> Invocation:
    """Runs of one change each, Calendar and Gmail in turn, in a container that has not used the studio's data key."""
    account = "bulk-100"
    studio_id = studios.connect(running, account)
    runs: list[UUID] = []

    def prepared(stream: str, changes: int) -> Work:
        changed = {"events" if stream == "bookings" else "messages": changes}
        google.change(account, edition=uuid4().int % 1_000_000, **changed)
        runs.append(studios.queue_run(studio_id, stream))
        vault.cache_clear()
        event = message_event({"kind": "run", "id": str(runs[-1]), "studioId": str(studio_id)})
        return partial(sync, event, Context("ansel-sync", 300))

    streams = ("bookings", "inquiries")
    for stream in streams:
        prepared(stream, 0)()  # from here on they are incremental
    runs.clear()
    used = _used(prepared(stream, 1) for _, stream in product(range(samples // 2 + 1), streams))
    ended = [read(studio_id, FIND_RUN, run_id=run_id) for run_id in runs]
    assert all(run is not None and run.status == "succeeded" for run in ended), ended
    used.api_calls = sum(run.api_calls for run in ended if run is not None) / len(runs)
    return used


def _used(works: Iterable[Work]) -> Invocation:
    """Medians of all calls but the first, which is a warm-up. Bytes and calls are those of the last."""
    seconds, in_database = [], []
    for work in works:
        watch, lines = Profiler(), io.StringIO()
        with quiet(lines), redirect_stdout(lines), watch.watching(WATCHED):
            started = time.perf_counter()
            answer = work()
            seconds.append(time.perf_counter() - started - watch.wall(PLATFORM))
        in_database.append(watch.wall(DATABASE))
    logged = lines.getvalue()
    return Invocation(
        ms=median(seconds[1:]) * 1000,
        database_ms=median(in_database[1:]) * 1000,
        log_bytes=len(logged),
        answer_bytes=len(answer["body"]) if answer else 0,
        kms_calls=_counted(logged, "KmsCalls"),
    )


def _counted(lines: str, metric: str) -> float:
    return float(sum(json.loads(line).get(metric, 0) for line in lines.splitlines() if metric in line))


def _difference(busy: Invocation, idle: Invocation, times: int) -> Invocation:
    return Invocation(
        ms=(busy.ms - idle.ms) / times,
        database_ms=(busy.database_ms - idle.database_ms) / times,
        log_bytes=(busy.log_bytes - idle.log_bytes) / times,
    )


def _metric_series() -> int:
    """Metrics as CloudWatch counts them: by name and dimension values, at most five values per dimension."""
    return sum(1 + (5 ** len(metric.dimensions) if metric.dimensions else 0) for metric in telemetry.METRICS.values())
