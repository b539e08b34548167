"""Waiting cut short: what would pass only after minutes is made to pass at once, in the database and nowhere else."""

from collections.abc import Callable
from typing import Any

from chalicelib.services.leases import LEASE_SECONDS

SILENT_LEASE_SECONDS = 1.5
"""A lease that was not refreshed for so long expires here, as it does after LEASE_SECONDS elsewhere."""
SLOWNESS = 40
"""Where a sync takes long the machine is slow: leases last at least this part of the time since its start."""
LOST_MESSAGE_SECONDS = 1.0
"""A message that nobody took up for so long is enqueued again, as it is after two minutes elsewhere."""
SILENT_LEASES = """
    UPDATE sync_log SET lease_expires_at = now() - interval '1 ms', enqueue_at = now()
    WHERE status = 'running' AND lease_expires_at > now()
      AND lease_expires_at < now() + make_interval(secs => :left)
"""
PUT_OFF = "UPDATE sync_log SET resume_at = now(), enqueue_at = now() WHERE status = 'deferred' AND resume_at > now()"
LOST_MESSAGES = f"""
    UPDATE sync_log SET enqueue_at = now()
    WHERE status IN ('queued', 'running') AND lease_owner IS NULL AND enqueue_at > now()
      AND enqueue_at < now() - make_interval(secs => {LOST_MESSAGE_SECONDS})
                  + greatest(interval '2 minutes', (now() - queued_at) / 2)
"""
PAUSES = """
    SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND column_name IN ('open_until', 'blocked_until')
"""
"""Where a circuit or a quota notes until when a platform is not asked."""
TABLES = """
    SELECT schemaname || '.' || tablename FROM pg_tables
    WHERE schemaname IN ('public', 'chaos') AND tablename NOT IN ('alembic_version', 'tenant_key')
"""


class TimeWarp:
    """Lets time pass, one statement after the other: what the first one did is then seen by the others."""

    def __init__(self, sql: Callable[..., list[list[Any]]]) -> None:
        self._sql = sql
        pauses = [f"UPDATE {table} SET {column} = now() WHERE {column} > now()" for table, column in sql(PAUSES)]
        self._statements = [*pauses, PUT_OFF]

    def pass_time(self, *, elapsed_seconds: float, messages_wait: bool) -> None:
        """A message that still waits in the queue is not lost, however long it takes."""
        silence = max(SILENT_LEASE_SECONDS, elapsed_seconds / SLOWNESS)
        self._sql(SILENT_LEASES, left=LEASE_SECONDS - silence)
        for statement in self._statements:
            self._sql(statement)
        if not messages_wait:
            self._sql(LOST_MESSAGES)
