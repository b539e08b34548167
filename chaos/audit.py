"""Reads the database: the rows to compare, the log of the runs, and how long runs were deferred."""

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

import msgspec

from chaos.oracle import Database, Difference, StoredBooking, StoredInquiry

Sql = Callable[..., list[list[Any]]]

ACTIVE = "status IN ('queued', 'running', 'deferred')"
LEFTOVERS = {
    "active runs": f"SELECT count(*) FROM sync_log WHERE {ACTIVE}",
    "leases": "SELECT count(*) FROM sync_log WHERE lease_owner IS NOT NULL",
    "remembered ids": "SELECT count(*) FROM sync_seen",
}
# As JSON, because the driver is slow with individual values.
BOOKINGS = """
    SELECT json_build_array(studio_id, external_id, title, starts_at, ends_at,
                            CASE WHEN skip_reason IS NULL THEN status ELSE 'left out' END, client_email, location,
                            series_id) AS row
    FROM booking
"""
INQUIRIES = """
    SELECT json_build_array(studio_id, external_id, subject, received_at, contact_email, message, first_response_at,
                            waiting_since, CASE WHEN status = 'new' THEN 'new' ELSE 'answered' END) AS row
    FROM inquiry
"""
SEEN = """
    SELECT r.stream, r.records_seen, CASE r.stream
        WHEN 'bookings' THEN (SELECT count(*) FROM booking AS b WHERE b.studio_id = r.studio_id)
        ELSE (SELECT count(*) FROM inquiry AS i WHERE i.studio_id = r.studio_id)
    END
    FROM sync_log AS r WHERE r.status = 'succeeded' AND r.full_read
"""
WATCH = (
    "CREATE SCHEMA chaos",
    "CREATE TABLE chaos.put_off (run_id uuid, seconds double precision)",
    """
    CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO chaos.put_off VALUES (NEW.id, extract(epoch FROM NEW.resume_at - now()));
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER chaos AFTER UPDATE ON sync_log FOR EACH ROW
    WHEN (NEW.status = 'deferred' AND OLD.status = 'running') EXECUTE FUNCTION chaos.note()
    """,
)
"""Records how long each run is deferred, before the environment skips that time."""
LONGEST_DELAY_SECONDS = 3600.0


def databases(sql: Sql) -> dict[UUID, Database]:
    """Each studio's rows, read bypassing row-level security."""
    found: dict[UUID, Database] = {}
    for studio_id, *booking in _decoded(sql, BOOKINGS, StoredBooking):
        found.setdefault(studio_id, Database()).bookings.append(tuple(booking))
    for studio_id, *inquiry in _decoded(sql, INQUIRIES, StoredInquiry):
        found.setdefault(studio_id, Database()).inquiries.append(tuple(inquiry))
    return found


def created(sql: Sql) -> dict[tuple[UUID, str], int]:
    """How many records the runs of each stream counted as created. Counters are committed with their pages."""
    query = "SELECT studio_id, stream, sum(records_created)::bigint FROM sync_log GROUP BY studio_id, stream"
    return {(studio_id, stream): count for studio_id, stream, count in sql(query)}


def log_difference(sql: Sql, started: Collection[UUID]) -> Difference:
    """There is one row per run that was started, and none is still active."""
    found = Difference()
    logged = {row[0] for row in sql("SELECT id FROM sync_log WHERE trigger = 'manual'")}
    if logged != set(started):
        found.note(f"{len(started)} runs were started, {len(logged)} are in the log")
    for what, query in LEFTOVERS.items():
        if count := sql(query)[0][0]:
            found.note(f"{count} {what} are left")
    return found


def delays(sql: Sql) -> tuple[int, Difference]:
    """How often runs were deferred; a time in the past or beyond the longest backoff is wrong."""
    found = Difference()
    seconds = [row[0] for row in sql("SELECT seconds FROM chaos.put_off")]
    for delay in seconds:
        if not 0 <= delay <= LONGEST_DELAY_SECONDS:
            found.note(f"a run was deferred by {delay:,.0f} seconds")
    return len(seconds), found


def counted_once(sql: Sql) -> Difference:
    """After first reads: a run saw each record once, so no page was stored under two leases or after its cursor."""
    found = Difference()
    for stream, seen, stored in sql(SEEN):
        if seen != stored:
            found.note(f"a first read of {stream} saw {seen} records, {stored} are stored")
    return found


def pages(sql: Sql) -> int:
    return int(sql("SELECT coalesce(sum(pages), 0) FROM sync_log")[0][0])


def takeovers(sql: Sql) -> int:
    """Attempts beyond the first of each run."""
    return int(sql("SELECT coalesce(sum(greatest(attempts - 1, 0)), 0) FROM sync_log")[0][0])


def _decoded(sql: Sql, query: str, row: Any) -> Any:
    text = sql(f"SELECT coalesce(json_agg(row), '[]')::text FROM ({query}) AS rows")[0][0]
    return msgspec.json.decode(text, type=list[row])
