"""Runs: the sync log, and the lease that lets exactly one worker at a time write to a run."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from chalicelib.data.audit import audited, returned_and_audited
from chalicelib.data.connections import STORED, Problem, StoredConnection
from chalicelib.data.query import Query, array_of, columns, many, one, returned, typed
from chalicelib.data.rows import Moment, Row
from chalicelib.data.studios import NewId
from chalicelib.data.throttle import ThrottleState, throttle_states_of, unblocked

RunStatus = Literal["queued", "running", "deferred", "succeeded", "failed", "cancelled"]
Trigger = Literal["manual", "schedule", "retry", "backfill"]


class RecordCounts(Row):
    seen: int
    created: int
    updated: int
    unchanged: int
    deleted: int
    set_aside: int
    """Those that could not be read: GET /api/sync/set-aside lists them."""


class Backfill(Row):
    """The days that a run reads once more, both included; `progress` is the share of them that is done."""

    first: date = msgspec.field(name="from")
    last: date = msgspec.field(name="to")
    progress: float


class Run(Row):
    """A run as the API shows it."""

    id: UUID
    platform: str
    sync_type: str
    trigger: Trigger
    status: RunStatus
    queued_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    resume_at: Moment | None
    duration_ms: int | None
    schedule_lag_ms: int | None
    attempts: int
    pages: int
    api_calls: int
    full_read: bool
    records: RecordCounts
    skipped: dict[str, int]
    """How many records the stream's rules left out, by reason"""
    deletions_refused: int
    """Rows that a complete read did not meet and that were kept: too many to be believed without a confirmation."""
    backfill: Backfill | None
    error: Problem | None


class StartedRun(Row):
    """A run that a trigger made or found in progress."""

    id: UUID
    sync_type: str
    status: RunStatus
    reads_again: bool
    """Whether it had begun before it was asked for: then it reads once more, from where it ends"""


class Position(Row):
    """Where a run goes on."""

    full_read: bool
    page_cursor: str | None
    schedule_cursor: str | None


class AccountToRead(Row):
    """An account under the run's connection that its stream may be about."""

    kind: str
    external_id: str | None
    time_zone: str | None
    rule: Literal["all", "matching"]
    words: list[str]


class LeasedRun(Position):
    """A run this worker holds, with all it takes to go on."""

    id: UUID
    platform: str
    stream: str
    trigger: Trigger
    backfill_from: date | None
    backfill_to: date | None
    deletions_confirmed: bool
    skipped: dict[str, int]
    attempts: int
    attempts_without_progress: int
    has_left_out: bool
    """Whether any record of the stream is skipped or set aside"""
    address_key: bytes | None
    connection: StoredConnection
    accounts: list[AccountToRead]
    """Those that are selected"""
    throttles: list[ThrottleState]


class PageCursor(Row):
    page_cursor: str | None


class RunState(Row):
    status: RunStatus
    leased: bool
    resume_at: datetime | None


ERROR = """
    CASE WHEN r.error_code IS NOT NULL THEN
        json_build_object('code', r.error_code, 'message', coalesce(r.error_message, r.error_code),
                          'at', coalesce(r.error_at, r.finished_at, r.queued_at))
    END
"""
RECORDS = """
    json_build_object('seen', r.records_seen, 'created', r.records_created, 'updated', r.records_updated,
                      'unchanged', r.records_unchanged, 'deleted', r.records_deleted,
                      'setAside', r.records_set_aside)
"""
CURSOR_DAY = """
    CASE WHEN r.page_cursor IS JSON OBJECT AND pg_input_is_valid(r.page_cursor::json ->> 'last', 'date')
    THEN (r.page_cursor::json ->> 'last')::date END
"""
"""The newest day that a backfill has still to read; nothing where its cursor is no cursor."""
BACKFILL = f"""
    CASE WHEN r.trigger = 'backfill' THEN json_build_object(
        'from', r.backfill_from, 'to', r.backfill_to,
        'progress', CASE
            WHEN r.status = 'succeeded' THEN 1
            WHEN isfinite(r.backfill_from) AND isfinite(r.backfill_to) AND isfinite({CURSOR_DAY}) THEN round(
                (r.backfill_to - {CURSOR_DAY}) / greatest(r.backfill_to - r.backfill_from + 1, 1)::numeric, 4
            )
            ELSE 0
        END
    ) END
"""
SHOWN = columns(Run, "r", sync_type="r.stream", records=RECORDS, backfill=BACKFILL, error=ERROR)
STARTED = columns(StartedRun, "r", sync_type="r.stream")
ACTIVE = "r.status IN ('queued', 'running', 'deferred')"
LIVE = "r.trigger <> 'backfill'"
FIRST_ENQUEUE = "now() + interval '2 minutes'"
BY_HAND = """
    SELECT r.id FROM sync_log AS r
    WHERE r.platform = s.platform AND r.stream = s.stream AND r.trigger <> 'schedule'
      AND r.id > uuidv7(interval '-1 day')
"""
"""SQL for the runs of the schedule `s` that somebody started within a day. Ids are UUIDv7, so the index has them."""
HAS_ROOM = f"(SELECT count(*) FROM ({BY_HAND} LIMIT :most) AS started) < :most"
"""Requests at the same moment may each find room for one more."""


class SpentStream(Row):
    """A stream of which nobody may start a run by hand for now."""

    sync_type: str
    room_seconds: float
    """Until the first of its runs is a day old"""


ABOUT_RUN = "jsonb_build_object('platform', x.platform, 'stream', x.stream, 'trigger', x.trigger)"

INSERT_RUNS: Query[list[NewId]] = Query(
    f"""
    WITH started AS (
        INSERT INTO sync_log AS r (studio_id, connection_id, platform, stream, trigger, deletions_confirmed, enqueue_at)
        SELECT s.studio_id, s.connection_id, s.platform, s.stream, :trigger, :deletions_confirmed, {FIRST_ENQUEUE}
        FROM sync_schedule AS s
        WHERE s.platform = :platform AND s.stream = ANY({array_of("streams")}) AND {HAS_ROOM}
        ON CONFLICT DO NOTHING
        RETURNING r.studio_id, r.id, r.platform, r.stream, r.trigger, r.deletions_confirmed
    ), {audited("started", action="sync.start", subject="run", detail=ABOUT_RUN, when="NOT x.deletions_confirmed")}, {
        audited(
            "started", action="deletions.confirm", subject="run", detail=ABOUT_RUN, when="x.deletions_confirmed"
        ).replace("audit AS", "confirmed AS")
    }
    SELECT coalesce(json_agg(json_build_object('id', x.id)), '[]') FROM started AS x
    """,
    list[NewId],
)
"""Queues a run for each stream that has none under way, and not too many of the last day."""

INSERT_BACKFILL: Query[StartedRun | None] = Query(
    returned_and_audited(
        f"""
        INSERT INTO sync_log AS r (
            studio_id, connection_id, platform, stream, trigger, backfill_from, backfill_to, page_cursor, enqueue_at
        )
        SELECT s.studio_id, s.connection_id, s.platform, s.stream, 'backfill', :first, :last, :page_cursor,
               {FIRST_ENQUEUE}
        FROM sync_schedule AS s WHERE s.platform = :platform AND s.stream = :stream AND {HAS_ROOM}
        ON CONFLICT DO NOTHING
        """,
        "r.studio_id, r.id, r.platform, r.stream, r.trigger",
        STARTED,
        action="backfill.start",
        subject="run",
        detail=ABOUT_RUN,
    ),
    StartedRun | None,
)
"""Queues a backfill, unless the stream has one under way. `page_cursor` is where an earlier one ended, if any."""

LIST_SPENT_STREAMS: Query[list[SpentStream]] = Query(
    many(
        f"""
        SELECT s.stream AS "syncType",
               coalesce(extract(epoch FROM uuid_extract_timestamp(({BY_HAND} ORDER BY r.id LIMIT 1))
                                           + interval '1 day' - now()), 0) AS "roomSeconds"
        FROM sync_schedule AS s
        WHERE s.platform = :platform AND s.stream IN (SELECT json_array_elements_text(:streams::json))
          AND NOT {HAS_ROOM}
        """
    ),
    list[SpentStream],
)

FIND_ACTIVE_BACKFILL: Query[Run | None] = Query(
    one(
        f"""
        SELECT {SHOWN} FROM sync_log AS r
        WHERE r.platform = :platform AND r.stream = :stream AND r.trigger = 'backfill' AND {ACTIVE}
        """
    ),
    Run | None,
)
FIND_PAGE_CURSOR: Query[PageCursor | None] = Query(
    one('SELECT r.page_cursor AS "pageCursor" FROM sync_log AS r WHERE r.id = :run_id'), PageCursor | None
)

FIND_POSITION: Query[Position | None] = Query(
    one(
        """
        SELECT r.full_read AS "fullRead", r.page_cursor AS "pageCursor", s.cursor AS "scheduleCursor"
        FROM sync_log AS r
        JOIN sync_schedule AS s ON s.studio_id = r.studio_id AND s.platform = r.platform AND s.stream = r.stream
        WHERE r.id = :run_id
        """
    ),
    Position | None,
)

READ_AGAIN: Query[list[StartedRun]] = Query(
    f"""
    WITH r AS (
        UPDATE sync_log AS r SET reads_again = r.started_at IS NOT NULL
        WHERE r.platform = :platform AND r.stream = ANY({array_of("streams")}) AND {LIVE} AND {ACTIVE}
        RETURNING {STARTED}
    )
    SELECT coalesce(json_agg(r ORDER BY r."syncType"), '[]') FROM r
    """,
    list[StartedRun],
)
"""The active runs of the streams. One that has begun reads once more at its end: what it has read may be older than the
wish to sync now."""

HAS_LEFT_OUT = " OR ".join(
    f"EXISTS (SELECT FROM {table} AS x WHERE x.studio_id = leased.studio_id AND x.platform = leased.platform"
    " AND x.stream = leased.stream)"
    for table in ("set_aside", "skipped_record")
)
ADDRESS_KEY = (
    "(SELECT translate(encode(s.address_key, 'base64'), E'\\n', '') FROM studio AS s WHERE s.id = leased.studio_id)"
)

ACCOUNTS = many(
    f"SELECT {columns(AccountToRead, 'a')} FROM connected_account AS a WHERE a.studio_id = leased.studio_id"
    " AND a.connection_id = leased.connection_id AND a.selected"
)

LEASE_RUN: Query[LeasedRun | None] = Query(
    f"""
    WITH leased AS (
        UPDATE sync_log AS r SET
            status = 'running', lease_owner = :owner,
            lease_expires_at = now() + make_interval(secs => :lease_seconds),
            enqueue_at = now() + make_interval(secs => :lease_seconds),
            resume_at = NULL, started_at = coalesce(r.started_at, now()),
            read_started_at = coalesce(r.read_started_at, now()),
            attempts = r.attempts + 1, attempts_without_progress = r.attempts_without_progress + 1,
            cursor_before = CASE WHEN r.started_at IS NULL AND {LIVE} THEN s.cursor ELSE r.cursor_before END,
            full_read = CASE WHEN r.started_at IS NULL THEN {LIVE} AND (s.cursor IS NULL OR r.deletions_confirmed)
                             ELSE r.full_read END
        FROM sync_schedule AS s
        WHERE r.id = :run_id AND {ACTIVE}
          AND s.studio_id = r.studio_id AND s.platform = r.platform AND s.stream = r.stream
          AND (r.lease_expires_at IS NULL OR r.lease_expires_at < now())
          AND (r.resume_at IS NULL OR r.resume_at <= now())
        RETURNING r.*, s.cursor AS schedule_cursor
    )
    SELECT row_to_json(run) FROM (
        SELECT {
        columns(
            LeasedRun,
            "leased",
            connection=f"(SELECT row_to_json(c) FROM (SELECT {STORED} FROM platform_connection AS c"
            " WHERE c.studio_id = leased.studio_id AND c.id = leased.connection_id) AS c)",
            has_left_out=HAS_LEFT_OUT,
            address_key=ADDRESS_KEY,
            accounts=f"({ACCOUNTS})",
            throttles=throttle_states_of("leased"),
        )
    }
        FROM leased
    ) AS run
    """,
    LeasedRun | None,
)
FIND_RUN_STATE: Query[RunState | None] = Query(
    one(
        """
        SELECT r.status, r.lease_expires_at >= now() IS TRUE AS leased, r.resume_at AS "resumeAt"
        FROM sync_log AS r WHERE r.id = :run_id
        """
    ),
    RunState | None,
)

DATABASE_TIME: Query[datetime] = Query("SELECT to_json(clock_timestamp())", datetime)

HeldWrite = Query[NewId | None]
"""A write that a worker may make only while it holds the run's lease; without it, nothing comes back."""

HELD = "r.id = :run_id AND r.lease_owner = :owner AND r.status = 'running'"


class RecordedPage(NewId):
    ended: bool
    """Whether the run has succeeded; False while there is more to read, or the same stream once more"""


ENDS = ":last AND NOT r.reads_again"
AGAIN = ":last AND r.reads_again"

RECORD_PAGE: Query[RecordedPage | None] = Query(
    typed(
        f"""
    WITH run AS (
        UPDATE sync_log AS r SET
            pages = r.pages + 1, attempts_without_progress = 0,
            records_seen = r.records_seen + :seen, records_created = r.records_created + :created,
            records_updated = r.records_updated + :updated, records_unchanged = r.records_unchanged + :unchanged,
            records_deleted = r.records_deleted + :deleted, records_set_aside = r.records_set_aside + :set_aside,
            skipped = :skipped, deletions_refused = greatest(r.deletions_refused, :refused),
            api_calls = r.api_calls + :api_calls,
            page_cursor = CASE WHEN NOT :last THEN :cursor END,
            cursor_after = CASE WHEN :last THEN :cursor END,
            reads_again = r.reads_again AND NOT :last,
            full_read = CASE WHEN {AGAIN} THEN :cursor IS NULL ELSE r.full_read END,
            read_started_at = CASE WHEN {AGAIN} THEN now() ELSE r.read_started_at END,
            status = CASE WHEN {ENDS} THEN 'succeeded' ELSE r.status END,
            finished_at = CASE WHEN {ENDS} THEN now() END,
            duration_ms = CASE WHEN {ENDS} THEN extract(epoch FROM now() - r.started_at) * 1000 END,
            lease_owner = CASE WHEN NOT ({ENDS}) THEN r.lease_owner END,
            lease_expires_at = CASE WHEN NOT ({ENDS}) THEN now() + make_interval(secs => :lease_seconds) END,
            enqueue_at = now() + make_interval(secs => :lease_seconds),
            error_code = NULL, error_message = NULL, error_at = NULL
        WHERE {HELD}
        RETURNING r.*, old.full_read AS read_all
    ), schedule AS (
        UPDATE sync_schedule AS s SET
            cursor = :cursor, last_run_at = now(), last_success_at = now(), failures_in_row = 0,
            refused_deletions = CASE WHEN run.read_all THEN run.deletions_refused ELSE s.refused_deletions END
        FROM run
        WHERE :last AND run.trigger <> 'backfill'
          AND s.studio_id = run.studio_id AND s.platform = run.platform AND s.stream = run.stream
    ), connection AS (
        UPDATE platform_connection AS c SET
            last_sync_at = now(), last_error_code = NULL, last_error_message = NULL, last_error_at = NULL
        FROM run
        WHERE :last AND run.trigger <> 'backfill' AND c.studio_id = run.studio_id AND c.id = run.connection_id
    ), forgotten AS (
        DELETE FROM sync_seen AS seen USING run WHERE :last AND seen.run_id = run.id
    )
    SELECT json_build_object('id', run.id, 'ended', run.status = 'succeeded') FROM run
    """,
        last="boolean",
        cursor="text",
        skipped="json",
    ),
    RecordedPage | None,
)
"""Moves the run on by one stored page. `last` hands its cursor to the schedule and ends the run, unless the run is to
read once more: then it goes on from that cursor."""

RESTART_RUN: HeldWrite = Query(
    f"""
    WITH run AS (
        UPDATE sync_log AS r SET
            page_cursor = NULL, full_read = true, read_started_at = now(), skipped = '{{}}',
            api_calls = r.api_calls + :api_calls
        WHERE {HELD} RETURNING r.*
    ), forgotten AS (
        UPDATE sync_schedule AS s SET cursor = NULL
        FROM run
        WHERE s.studio_id = run.studio_id AND s.platform = run.platform AND s.stream = run.stream
    ), unseen AS (
        DELETE FROM sync_seen AS seen USING run WHERE seen.run_id = run.id
    )
    SELECT json_build_object('id', run.id) FROM run
    """,
    NewId | None,
)
"""Sends a live run back to the start of its stream; nobody uses the dead cursor again."""

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
"""The heartbeat of a page that takes long."""

YIELD_RUN: HeldWrite = Query(
    returned(
        f"""
        UPDATE sync_log AS r SET lease_owner = NULL, lease_expires_at = now(), enqueue_at = {FIRST_ENQUEUE}
        WHERE {HELD} RETURNING r.id
        """
    ),
    NewId | None,
)
"""The lease ends now and is not forgotten: a run that nobody takes over shows since when."""

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
    ), schedule AS (
        UPDATE sync_schedule AS s SET last_run_at = now(), failures_in_row = s.failures_in_row + 1
        FROM run
        WHERE run.trigger <> 'backfill'
          AND s.studio_id = run.studio_id AND s.platform = run.platform AND s.stream = run.stream
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

CANCEL_RUN: Query[Run | None] = Query(
    f"""
    WITH cancelled AS (
        UPDATE sync_log AS r SET
            status = 'cancelled', finished_at = greatest(now(), r.started_at),
            duration_ms = extract(epoch FROM greatest(now(), r.started_at) - r.started_at) * 1000,
            lease_owner = NULL, lease_expires_at = NULL, resume_at = NULL,
            error_code = 'cancelled', error_message = 'The run was cancelled', error_at = now()
        WHERE r.id = :run_id AND {ACTIVE}
        RETURNING r.*, old.status AS was
    ), {unblocked("cancelled", when="x.was = 'deferred'")},
    {audited("cancelled", action="sync.cancel", subject="run", detail=ABOUT_RUN)}
    SELECT row_to_json(run) FROM (SELECT {SHOWN} FROM cancelled AS r) AS run
    """,
    Run | None,
)
"""Ends an active run, whoever holds it. It may have waited for a worker that began after it, hence `greatest`.

Of one that waited, the account's own limit is forgotten as well: the next run asks at once, and may be refused again.
"""

FORGET_SEEN: Query[None] = Query("DELETE FROM sync_seen WHERE run_id = :run_id")
"""After CANCEL_RUN and not within it: the page that a cancel waited for is in no snapshot taken before the wait."""

FIND_RUN: Query[Run | None] = Query(one(f"SELECT {SHOWN} FROM sync_log AS r WHERE r.id = :run_id"), Run | None)
LIST_RUNS: Query[list[Run]] = Query(
    many(
        f"""
        SELECT {SHOWN} FROM sync_log AS r
        WHERE (:platform::text IS NULL OR r.platform = :platform)
          AND (:stream::text IS NULL OR r.stream = :stream)
          AND (:status::text IS NULL OR r.status = :status)
          AND (:before::uuid IS NULL OR r.id < :before)
        ORDER BY r.id DESC LIMIT :limit
        """
    ),
    list[Run],
)
"""Newest first: ids are UUIDv7, so their order is the order in which runs were queued."""
