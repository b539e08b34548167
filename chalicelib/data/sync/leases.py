"""Leases: they let exactly one worker at a time write to a run. Also the writes that a worker makes under one."""

from datetime import date
from uuid import UUID

from chalicelib.data.connections import STORED, StoredConnection
from chalicelib.data.postgres.query import Query, columns, returned, typed
from chalicelib.data.postgres.rows import Row
from chalicelib.data.studios import NewId
from chalicelib.data.sync.positions import OF_RUN, Visit, opened, visits
from chalicelib.data.sync.runs import ACTIVE, FIRST_ENQUEUE, LIVE, RunTrigger
from chalicelib.data.throttle import ThrottleState, throttle_states_of


class LeasedRun(Row):
    """A run that this worker holds, with everything needed to continue it."""

    id: UUID
    platform: str
    stream: str
    trigger: RunTrigger
    backfill_from: date | None
    backfill_to: date | None
    deletions_confirmed: bool
    attempts: int
    attempts_without_progress: int
    has_left_out: bool
    """Whether any record of the stream is skipped or set aside"""
    address_key: bytes | None
    connection: StoredConnection
    accounts_age: float | None
    """Seconds since the platform's accounts were last listed"""
    visits: list[Visit]
    throttles: list[ThrottleState]


class OpenedRun(Row):
    """What a run still has to visit."""

    visits: list[Visit]
    accounts_age: float | None


HAS_LEFT_OUT = " OR ".join(
    f"EXISTS (SELECT FROM {table} AS x WHERE x.studio_id = run.studio_id AND x.connection_id = run.connection_id"
    " AND x.stream = run.stream)"
    for table in ("set_aside", "skipped_record")
)
ADDRESS_KEY = (
    "(SELECT translate(encode(s.address_key, 'base64'), E'\\n', '') FROM studio AS s WHERE s.id = run.studio_id)"
)

ACCOUNTS_AGE = "extract(epoch FROM now() - run.accounts_listed_at)"

LEASE_RUN: Query[LeasedRun | None] = Query(
    f"""
    WITH leased AS (
        UPDATE sync_log AS r SET
            status = 'running', lease_owner = :owner,
            lease_expires_at = now() + make_interval(secs => :lease_seconds),
            enqueue_at = now() + make_interval(secs => :lease_seconds),
            resume_at = NULL, started_at = coalesce(r.started_at, now()),
            attempts = r.attempts + 1, attempts_without_progress = r.attempts_without_progress + 1,
            full_read = r.full_read OR (r.started_at IS NULL AND {LIVE} AND (
                r.deletions_confirmed OR NOT EXISTS (
                    SELECT FROM account_position AS p
                    WHERE p.studio_id = r.studio_id AND p.connection_id = r.connection_id AND p.stream = r.stream
                      AND p.cursor IS NOT NULL
                )
            ))
        FROM sync_schedule AS s
        WHERE r.id = :run_id AND {ACTIVE}
          AND s.studio_id = r.studio_id AND s.connection_id = r.connection_id AND s.stream = r.stream
          AND (r.lease_expires_at IS NULL OR r.lease_expires_at < now())
          AND (r.resume_at IS NULL OR r.resume_at <= now())
        RETURNING r.*, s.account_kind, s.accounts_listed_at
    ), {opened("leased")}, woken AS (
        UPDATE account_position AS p SET resume_at = NULL
        FROM leased AS run
        WHERE {OF_RUN} AND p.is_open AND NOT EXISTS (
            SELECT FROM account_position AS o
            WHERE {OF_RUN.replace("p.", "o.")} AND o.is_open AND coalesce(o.resume_at <= now(), true)
        )
    )
    SELECT row_to_json(shown) FROM (
        SELECT {
        columns(
            LeasedRun,
            "run",
            connection=f"(SELECT row_to_json(c) FROM (SELECT {STORED} FROM platform_connection AS c"
            " WHERE c.studio_id = run.studio_id AND c.id = run.connection_id) AS c)",
            has_left_out=HAS_LEFT_OUT,
            address_key=ADDRESS_KEY,
            accounts_age=ACCOUNTS_AGE,
            visits=visits("leased"),
            throttles=throttle_states_of("run"),
        )
    }
        FROM leased AS run
    ) AS shown
    """,
    LeasedRun | None,
)
"""Takes a run, and opens the positions of the accounts that are due.

If all accounts of the run have to wait and it was woken anyway, it reads them all: an operator or the studio has ended
the wait."""

HeldWrite = Query[NewId | None]
"""A write that a worker may make only while it holds the run's lease; otherwise it returns nothing."""

HELD = "r.id = :run_id AND r.lease_owner = :owner AND r.status = 'running'"


OPEN_VISITS: Query[OpenedRun | None] = Query(
    typed(
        f"""
        WITH held AS (
            SELECT r.*, s.account_kind, s.accounts_listed_at FROM sync_log AS r
            JOIN sync_schedule AS s
              ON s.studio_id = r.studio_id AND s.connection_id = r.connection_id AND s.stream = r.stream
            WHERE {HELD} FOR UPDATE OF r
        ), {opened("held", again=":again")}
        SELECT json_build_object('visits', {visits("held")}, 'accountsAge', {ACCOUNTS_AGE}) FROM held AS run
        """,
        again="boolean",
    ),
    OpenedRun | None,
)
"""For a run whose accounts may have changed since it was leased, or that should read them all `again`."""

RESTART_VISIT: HeldWrite = Query(
    f"""
    WITH run AS (
        UPDATE sync_log AS r SET full_read = true, api_calls = r.api_calls + :api_calls
        WHERE {HELD} RETURNING r.*
    ), forgotten AS (
        UPDATE account_position AS p SET
            cursor = NULL, page_cursor = NULL, full_read = true, read_started_at = now(), skipped = '{{}}'
        FROM run WHERE {OF_RUN} AND p.account_id = :account_id
    ), unseen AS (
        DELETE FROM sync_seen AS seen USING run WHERE seen.run_id = run.id AND seen.account_id = :account_id
    )
    SELECT json_build_object('id', run.id) FROM run
    """,
    NewId | None,
)
"""Sends a live run back to the start of an account; the dead cursor is not used again."""

KEEP_LEASE: HeldWrite = Query(
    returned(
        f"""
        UPDATE sync_log AS r SET
            lease_expires_at = now() + make_interval(secs => :lease_seconds),
            enqueue_at = now() + make_interval(secs => :lease_seconds)
        WHERE {HELD} RETURNING r.id
        """
    ),
    NewId | None,
)
"""The heartbeat during a slow page."""

YIELD_RUN: HeldWrite = Query(
    returned(
        f"""
        UPDATE sync_log AS r SET lease_owner = NULL, lease_expires_at = now(), enqueue_at = {FIRST_ENQUEUE}
        WHERE {HELD} RETURNING r.id
        """
    ),
    NewId | None,
)
"""The lease ends now but its end is stored, so a run that no worker picks up shows since when."""

DEFER_RUN: HeldWrite = Query(
    returned(
        f"""
        UPDATE sync_log AS r SET
            status = 'deferred', resume_at = now() + make_interval(secs => :delay_seconds),
            enqueue_at = now() + make_interval(secs => :delay_seconds),
            attempts_without_progress = r.attempts_without_progress - CASE WHEN :idle THEN 0 ELSE 1 END,
            lease_owner = NULL, lease_expires_at = NULL, api_calls = r.api_calls + :api_calls,
            error_code = :code, error_message = :message, error_at = now()
        WHERE {HELD} RETURNING r.id
        """
    ),
    NewId | None,
)
FAIL_RUN: HeldWrite = Query(
    f"""
    WITH run AS (
        UPDATE sync_log AS r SET
            status = 'failed', finished_at = now(),
            duration_ms = extract(epoch FROM now() - r.started_at) * 1000,
            lease_owner = NULL, lease_expires_at = NULL, api_calls = r.api_calls + :api_calls,
            error_code = :code, error_message = :message, error_at = now()
        WHERE {HELD}
        RETURNING r.*
    ), visits AS (
        UPDATE account_position AS p SET
            is_open = false, resume_at = NULL, code = :code, message = :message,
            since = CASE WHEN p.code = :code THEN p.since ELSE now() END, failures_in_row = p.failures_in_row + 1
        FROM run WHERE {OF_RUN} AND p.is_open
    ), schedule AS (
        UPDATE sync_schedule AS s SET last_run_at = now(), failures_in_row = s.failures_in_row + 1
        FROM run
        WHERE run.trigger <> 'backfill'
          AND s.studio_id = run.studio_id AND s.connection_id = run.connection_id AND s.stream = run.stream
    ), connection AS (
        UPDATE platform_connection AS c SET
            last_error_code = :code, last_error_message = :message, last_error_at = now()
        FROM run
        WHERE run.trigger <> 'backfill' AND c.studio_id = run.studio_id AND c.id = run.connection_id
          AND c.status = 'active'
    ), forgotten AS (
        DELETE FROM sync_seen AS seen USING run WHERE seen.run_id = run.id
    )
    SELECT json_build_object('id', run.id) FROM run
    """,
    NewId | None,
)
"""For an error that stops the whole run, whichever account it occurred at, such as a dead grant."""
