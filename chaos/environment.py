"""The environment of the chaos tests: server, queue, sandbox and workers, with time that passes faster."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib import clock
from chalicelib.data.postgres.database import close_pool
from chalicelib.errors import Unavailable
from chalicelib.secret import Secret
from chalicelib.services.connections.connections import create_connection
from chalicelib.services.connections.tokens import Tokens
from chalicelib.services.studios import create_studio
from chalicelib.services.sync.runs import start_sync
from chalicelib.settings import get_settings
from chaos import audit
from chaos.oracle import Database, Difference, compare
from chaos.queue import Delivery, Queue
from chaos.time_warp import TABLES, TimeWarp
from chaos.worker_pool import WorkerPool
from dev import process
from dev.environment import product
from dev.ports import find_free_port
from dev.postgres import Postgres, bootstrap
from dev.sandbox import Sandbox, issue_token
from dev.sandbox.faults import Faults

T = TypeVar("T")
STREAMS = ("bookings", "inquiries")
THREADS = 8
RESTART_SECONDS = 30.0
RESTART_STATES = ("57P", "08", "53300")
"""SQLSTATEs of a server that shuts down or starts up, or that terminated the connection."""
STATES = "SELECT DISTINCT ON (studio_id, stream) studio_id, stream, status FROM sync_log ORDER BY 1, 2, id DESC"


class Unfinished(Exception):
    """The runs did not finish in time."""


@dataclass(frozen=True)
class Studio:
    """A studio connected to an account of the sandbox, and the streams it syncs."""

    id: UUID
    account: str
    streams: tuple[str, ...]
    access_token: str = field(repr=False)


class Environment:
    """What a scenario works with. The harness's own queries survive a cut connection."""

    def __init__(self, postgres: Postgres, sandbox: Sandbox, queue: Queue, pool: WorkerPool) -> None:
        self.postgres, self.sandbox, self.queue, self.pool = postgres, sandbox, queue, pool
        self.studios: list[Studio] = []
        self.started: set[UUID] = set()
        self._superuser: pg8000.native.Connection | None = None
        for statement in audit.WATCH:
            self.sql(statement)
        self._time_warp = TimeWarp(self.sql)

    def sql(self, statement: str, **params: Any) -> list[list[Any]]:
        """As superuser, so bypassing row-level security."""
        return insisting(lambda: self._sql(statement, params), self._disconnect)

    def connect(self, account: str, streams: Sequence[str] = STREAMS, *, lifetime: int = 3600) -> Studio:
        """A new studio. Its schedules wait; a token with a lifetime under an hour is recorded as valid for an hour."""
        grant = issue_token(account, lifetime=lifetime)
        studio_id = create_studio("Proof", time_zone="Europe/Berlin")
        tokens = Tokens(
            Secret(grant.access_token),
            Secret(grant.refresh_token),
            clock.now() + timedelta(hours=1),
            list(grant.scopes),
        )
        create_connection(studio_id, "google", tokens)
        studio = Studio(studio_id, account, tuple(streams), grant.access_token)
        self.studios.append(studio)
        return studio

    def connect_many(self, account: str, count: int) -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self.connect, [account] * count))

    def hold_schedules(self) -> None:
        """A new connection's schedules would be due at once; here they are postponed."""
        self.sql("UPDATE sync_schedule SET next_run_at = now() + interval '1 day'")

    def sync(self) -> None:
        """Starts a run for every stream of every studio, and the tick process if there is none yet."""
        self.hold_schedules()
        self.pool.ensure_ticker()
        for studio in self.studios:
            for stream in studio.streams:
                self.start(studio.id, stream)

    def start(self, studio_id: UUID, stream: str) -> None:
        runs = insisting(lambda: start_sync(studio_id, "google", stream))
        self.started.update(run.id for run in runs if run.sync_type == stream)

    def finish(self, disturb: Callable[[], object] = lambda: None, *, seconds: float = 300.0) -> None:
        """Calls `disturb` and skips time until each stream's last run has succeeded; a failed run is started again.

        Raises Unfinished.
        """
        started = time.monotonic()
        wanted = sum(len(studio.streams) for studio in self.studios)
        while (elapsed := time.monotonic() - started) < seconds:
            disturb()
            self._time_warp.pass_time(elapsed_seconds=elapsed, messages_wait=self.queue.waiting())
            states = dict(self.sql(f"SELECT status, count(*) FROM ({STATES}) AS last GROUP BY status"))
            if states == {"succeeded": wanted}:
                return
            if states.get("failed"):
                for studio_id, stream, _ in self.sql(f"SELECT * FROM ({STATES}) AS last WHERE status = 'failed'"):
                    self.start(studio_id, stream)
            time.sleep(0.05)
        raise Unfinished(f"not done after {seconds:.0f} seconds: {states}, {wanted} wanted")

    def difference(self) -> Difference:
        """Compares the database with the platform, and the log with the runs that were started."""
        found = audit.log_difference(self.sql, self.started)
        stored, created = audit.databases(self.sql), audit.created(self.sql)
        for studio in self.studios:
            rows = stored.get(studio.id, Database())
            found.add(compare(self.sandbox.google.account(studio.account), rows, studio.streams))
            for stream, there in (("bookings", rows.bookings), ("inquiries", rows.inquiries)):
                counted = created.get((studio.id, stream), 0)
                if stream in studio.streams and counted != len(there):
                    found.note(f"{stream}: {counted} counted as created, {len(there)} stored")
        return found

    def restart_server(self, *, crash: bool) -> None:
        """Restarts cleanly (the default of `pg_ctl restart`), or as after a crash."""
        if crash:
            self.postgres.process.send_signal(signal.SIGQUIT)
            self.postgres.process.wait(RESTART_SECONDS)
        self.postgres.stop()
        self.postgres.start()
        close_pool()  # this process's own connections to the previous server

    def clean(self) -> None:
        """Removes everything that a scenario left behind."""
        self.pool.stop_worker()
        self.queue.reset(Delivery(chance=random.Random(0)))
        self.sandbox.faults = Faults()
        self.sandbox.requests.clear()
        tables = [row[0] for row in self.sql(TABLES)]
        self.sql(f"TRUNCATE {', '.join(tables)}")
        self.studios.clear()
        self.started.clear()

    def close(self) -> None:
        self._disconnect()
        close_pool()

    def _sql(self, statement: str, params: dict[str, Any]) -> list[list[Any]]:
        if self._superuser is None:
            self._superuser = pg8000.native.Connection(
                "postgres",
                host="127.0.0.1",
                port=self.postgres.port,
                database="ansel",
                password=self.postgres.passwords.get("postgres"),
                timeout=RESTART_SECONDS,
            )
        return list(self._superuser.run(statement, **params) or ())

    def _disconnect(self) -> None:
        if self._superuser is not None:
            try:
                self._superuser.close()
            except (InterfaceError, DatabaseError, OSError):
                pass  # it was cut
            self._superuser = None


def insisting(ask: Callable[[], T], after_failure: Callable[[], object] = lambda: None) -> T:
    """Retries while the database is unavailable or has cut the connection."""
    deadline = time.monotonic() + RESTART_SECONDS
    while True:
        try:
            return ask()
        except (Unavailable, InterfaceError, DatabaseError, OSError) as error:
            after_failure()
            if time.monotonic() > deadline or not _may_pass(error):
                raise
            time.sleep(0.05)


def _may_pass(error: Exception) -> bool:
    if not isinstance(error, DatabaseError):
        return True
    details = error.args[0] if error.args else {}
    return isinstance(details, dict) and str(details.get("C", "")).startswith(RESTART_STATES)


@contextmanager
def running(log_dir: Path) -> Iterator[Environment]:
    """An environment that leaves only its logs behind. The server is durable, as in production."""
    folder = Path(tempfile.mkdtemp(prefix="ansel-chaos-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        # A fixed port, so that workers find the server again after a restart.
        postgres = stack.enter_context(Postgres(folder / "data", port=find_free_port(), log=log_dir / "postgres.log"))
        urls = bootstrap(postgres, joint=True)
        sandbox = stack.enter_context(Sandbox())
        queue = stack.enter_context(Queue())
        env = product(
            os.environ,
            urls=urls,
            queue_port=queue.port,
            sandbox_url=sandbox.url,
            encryption_key="5e" * 32,
            proof_key="7e" * 32,
        )
        migration = {**env, "MIGRATION_DATABASE_URL": urls.owner}
        process.run("migration", ["-m", "alembic", "upgrade", "head"], log_dir / "migration.log", migration)
        os.environ.update(env, DATABASE_URL=urls.joint)  # this process acts as an operator and as the API
        get_settings.cache_clear()
        pool = stack.enter_context(WorkerPool(env, urls, queue, log_dir))
        environment = Environment(postgres, sandbox, queue, pool)
        stack.callback(environment.close)
        yield environment


def chance_of(seed: int, name: str) -> random.Random:
    """The same random numbers for a scenario, however many ran before it."""
    return random.Random(f"{seed} {name}")
