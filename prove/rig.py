"""The rig: server, queue, sandbox and workers for the proofs, and a time that passes faster than the real one."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import boto3
import pg8000.native
from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib import clock
from chalicelib.data.database import close_pool
from chalicelib.errors import Unavailable
from chalicelib.secret import Secret
from chalicelib.services.connections import create_connection
from chalicelib.services.runs import LEASE_SECONDS
from chalicelib.services.studios import create_studio
from chalicelib.services.sync import start_sync
from chalicelib.services.tokens import Tokens
from chalicelib.settings import get_settings
from dev import environment, process
from dev.ports import find_free_port
from dev.postgres import Postgres, Urls, bootstrap
from dev.sandbox import Sandbox, mint
from dev.supervisor import Part, Supervisor
from prove.crew import Crew
from prove.truth import BOOKINGS, INQUIRIES, Database, Difference, compare

T = TypeVar("T")
STREAMS = ("bookings", "inquiries")
DELIVERY = "prove-delivery"
DELIVERY_VISIBILITY_SECONDS = 5
SILENT_LEASE_SECONDS = 2.5
"""A lease that was not renewed for so long expires here, as it does after LEASE_SECONDS elsewhere."""
LOST_MESSAGE_SECONDS = 3.0
PATIENCE_SECONDS = 30.0
ACTIVE = "status IN ('queued', 'running', 'deferred')"
# Each in a statement of its own: what the first one did is then seen by the others.
PASS_TIME = (
    f"""
    UPDATE sync_log SET lease_expires_at = now() - interval '1 ms', ring_at = now()
    WHERE status = 'running' AND lease_expires_at > now()
      AND lease_expires_at < now() + make_interval(secs => {LEASE_SECONDS - SILENT_LEASE_SECONDS})
    """,
    "UPDATE sync_log SET resume_at = now(), ring_at = now() WHERE status = 'deferred' AND resume_at > now()",
    f"""
    UPDATE sync_log SET ring_at = now()
    WHERE status IN ('queued', 'running') AND lease_owner IS NULL AND ring_at > now()
      AND ring_at < now() + interval '2 minutes' - make_interval(secs => {LOST_MESSAGE_SECONDS})
    """,
)


class Unfinished(Exception):
    """The runs were not done in time."""


@dataclass(frozen=True)
class Studio:
    """A studio connected to an account of the sandbox, and the streams it syncs."""

    id: UUID
    account: str
    streams: tuple[str, ...]


class Rig:
    """What a scenario works with. Everything the harness itself asks of the database survives a cut connection."""

    def __init__(self, postgres: Postgres, urls: Urls, sandbox: Sandbox, crew: Crew, sqs: Any) -> None:
        self.postgres, self.sandbox, self.crew, self.sqs = postgres, sandbox, crew, sqs
        self.queue_url = os.environ["SYNC_QUEUE_URL"]
        self.delivery_url = sqs.get_queue_url(QueueName=DELIVERY)["QueueUrl"]
        self.studios: list[Studio] = []
        self.started: set[UUID] = set()
        self._urls = urls
        self._superuser: pg8000.native.Connection | None = None

    def sql(self, statement: str, **params: Any) -> list[list[Any]]:
        """As superuser: past row-level security."""
        return insisting(lambda: self._sql(statement, params), self._disconnect)

    def connect(self, account: str, streams: Sequence[str] = STREAMS, *, lifetime: int = 3600) -> Studio:
        """A new studio. Its schedules wait; a token that lives shorter than an hour is believed to live that long."""
        grant = mint(account, lifetime=lifetime)
        studio_id = create_studio("Proof", time_zone="Europe/Berlin")
        tokens = Tokens(
            Secret(grant.access_token),
            Secret(grant.refresh_token),
            clock.now() + timedelta(hours=1),
            list(grant.scopes),
        )
        create_connection(studio_id, "google", tokens)
        self.sql(
            "UPDATE sync_schedule SET next_run_at = now() + interval '1 day' WHERE studio_id = :id", id=str(studio_id)
        )
        studio = Studio(studio_id, account, tuple(streams))
        self.studios.append(studio)
        return studio

    def sync(self) -> None:
        """Starts a run for every stream of every studio, and the tick if there is none yet."""
        self.crew.ensure_ticker()
        for studio in self.studios:
            for stream in studio.streams:
                self.start(studio, stream)

    def start(self, studio: Studio, stream: str) -> None:
        runs = insisting(lambda: start_sync(studio.id, "google", stream))
        self.started.update(run.id for run in runs if run.sync_type == stream)

    def finish(self, disturb: Callable[[], object] = lambda: None, *, seconds: float = 300.0) -> None:
        """Disturbs, and lets time pass, until each stream's last run has succeeded; one that failed is started anew.

        Raises Unfinished.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            disturb()
            for statement in PASS_TIME:
                self.sql(statement)
            states = self._last_states()
            for studio, stream in states:
                if states[studio, stream] == "failed":
                    self.start(studio, stream)
            if all(state == "succeeded" for state in states.values()):
                return
            time.sleep(0.05)
        raise Unfinished(f"not done after {seconds:.0f} seconds: {self.sql(_STATES)}")

    def difference(self) -> Difference:
        """The database against the platform, and the log against what was started."""
        found = self._log_difference()
        for studio in self.studios:
            account = self.sandbox.google.account(studio.account)
            rows = Database(studio.id, *(self._rows(query, studio.id) for query in (BOOKINGS, INQUIRIES)))
            found.add(compare(account, rows, studio.streams))
            found.add(self._count_difference(studio, rows))
        return found

    def restart_server(self, *, crash: bool) -> None:
        """In order (the default of `pg_ctl restart`), or as after a crash."""
        if crash:
            self.postgres.process.send_signal(signal.SIGQUIT)
            self.postgres.process.wait(PATIENCE_SECONDS)
        self.postgres.stop()
        self.postgres.start()

    def clean(self) -> None:
        """Nothing in the database is left of a scenario for the next one."""
        self.crew.dismiss()
        self.sandbox.clear_faults()
        self.sandbox.requests.clear()
        # What is still in the queues names runs that are gone, so a worker drops it.
        self.sql("DELETE FROM studio")
        self.studios.clear()
        self.started.clear()

    def close(self) -> None:
        self._disconnect()
        close_pool()

    def _log_difference(self) -> Difference:
        found = Difference()
        logged = {row[0] for row in self.sql("SELECT id FROM sync_log WHERE trigger = 'manual'")}
        if logged != self.started:
            found.note(f"{len(self.started)} runs were started, {len(logged)} are in the log")
        leftovers = {
            "active runs": f"SELECT count(*) FROM sync_log WHERE {ACTIVE}",
            "leases": "SELECT count(*) FROM sync_log WHERE lease_owner IS NOT NULL",
            "remembered ids": "SELECT count(*) FROM sync_seen",
        }
        for what, query in leftovers.items():
            if count := self.sql(query)[0][0]:
                found.note(f"{count} {what} are left")
        return found

    def _count_difference(self, studio: Studio, rows: Database) -> Difference:
        """The runs' counters commit with their pages, so they add up to the rows however often a page was tried."""
        found = Difference()
        counted = dict(
            self.sql(
                "SELECT stream, sum(records_created)::bigint FROM sync_log WHERE studio_id = :id GROUP BY stream",
                id=str(studio.id),
            )
        )
        for stream, stored in (("bookings", rows.bookings), ("inquiries", rows.inquiries)):
            if stream in studio.streams and counted.get(stream, 0) != len(stored):
                found.note(f"{stream}: {counted.get(stream, 0)} counted as created, {len(stored)} there")
        return found

    def _rows(self, query: str, studio_id: UUID) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.sql(query, studio_id=str(studio_id))]

    def _last_states(self) -> dict[tuple[Studio, str], str]:
        last = {(studio_id, stream): status for studio_id, stream, status in self.sql(_STATES)}
        return {
            (studio, stream): last.get((studio.id, stream), "none")
            for studio in self.studios
            for stream in studio.streams
        }

    def _sql(self, statement: str, params: dict[str, Any]) -> list[list[Any]]:
        if self._superuser is None:
            port, passwords = self.postgres.port, self.postgres.passwords
            self._superuser = pg8000.native.Connection(
                "postgres",
                host="127.0.0.1",
                port=port,
                database="ansel",
                password=passwords.get("postgres"),
                timeout=20,
            )
        return list(self._superuser.run(statement, **params) or ())

    def _disconnect(self) -> None:
        if self._superuser is not None:
            try:
                self._superuser.close()
            except (InterfaceError, DatabaseError, OSError):
                pass  # it was cut
            self._superuser = None


_STATES = "SELECT DISTINCT ON (studio_id, stream) studio_id, stream, status FROM sync_log ORDER BY 1, 2, id DESC"


def insisting(ask: Callable[[], T], after_failure: Callable[[], object] = lambda: None) -> T:
    """Asks again while the database is away or cut."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (Unavailable, InterfaceError, DatabaseError, OSError):
            after_failure()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def running(log_dir: Path) -> Iterator[Rig]:
    """A rig of its own; nothing of it is left afterwards but its logs. The server is durable, as in production."""
    folder = Path(tempfile.mkdtemp(prefix="ansel-prove-"))
    folder.chmod(0o755)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        # A fixed port: workers have to find the server again after a restart.
        postgres = stack.enter_context(Postgres(folder / "data", port=find_free_port(), log=log_dir / "postgres.log"))
        urls = bootstrap(postgres)
        sandbox = stack.enter_context(Sandbox())
        queue_port = find_free_port()
        env = environment.product(
            os.environ, urls=urls, queue_port=queue_port, sandbox_url=sandbox.url, encryption_key="5e" * 32
        )
        parts = stack.enter_context(Supervisor())
        parts.start(Part("queue", ["-m", "dev.aws", "--port", str(queue_port)], env, log_dir / "queue.log"))
        migration = {**env, "MIGRATION_DATABASE_URL": urls.owner}
        process.run("migration", ["-m", "alembic", "upgrade", "head"], log_dir / "migration.log", migration)
        parts.wait_ready()
        os.environ.update(env)
        get_settings.cache_clear()
        sqs = boto3.client("sqs")
        attributes = {"VisibilityTimeout": str(DELIVERY_VISIBILITY_SECONDS)}
        delivery = sqs.create_queue(QueueName=DELIVERY, Attributes=attributes)["QueueUrl"]
        crew = stack.enter_context(Crew(env, delivery, log_dir))
        rig = Rig(postgres, urls, sandbox, crew, sqs)
        stack.callback(rig.close)
        yield rig


def chance_of(seed: int, name: str) -> random.Random:
    """The same draws for a scenario however many ran before it."""
    return random.Random(f"{seed} {name}")
