"""Shortens waiting: what would take minutes happens at once, by changing the database only."""

from collections.abc import Callable
from typing import Any

from chalicelib.services.sync.leases import LEASE_SECONDS

SILENT_LEASE_SECONDS = 1.5
"""A lease without a heartbeat for this long expires here, as it does after LEASE_SECONDS in production."""
SLOWNESS = 40
"""On a slow machine syncs take long: leases last at least this fraction of the time since the sync started."""
LOST_MESSAGE_SECONDS = 1.0
"""A message that no worker received for this long is re-enqueued, as it is after two minutes in production."""
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
"""Columns in which circuits and quotas store until when a platform must not be called."""
TABLES = """
    SELECT schemaname || '.' || tablename FROM pg_tables
    WHERE schemaname IN ('public', 'chaos') AND tablename NOT IN ('alembic_version', 'tenant_key')
"""


class TimeWarp:
    """Skips time in separate statements, so that each sees what the previous one did."""

    def __init__(self, sql: Callable[..., list[list[Any]]]) -> None:
        self._sql = sql
        pauses = [f"UPDATE {table} SET {column} = now() WHERE {column} > now()" for table, column in sql(PAUSES)]
        self._statements = [*pauses, PUT_OFF]

    def pass_time(self, *, elapsed_seconds: float, messages_wait: bool) -> None:
        """A message that is still in the queue is not lost, however long it waits."""
        silence = max(SILENT_LEASE_SECONDS, elapsed_seconds / SLOWNESS)
        self._sql(SILENT_LEASES, left=LEASE_SECONDS - silence)
        for statement in self._statements:
            self._sql(statement)
        if not messages_wait:
            self._sql(LOST_MESSAGES)
