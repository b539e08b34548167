"""How a run advances after a visit: the one statement that writes a position, its run and its schedule."""

from typing import Literal

from chalicelib.data.postgres.query import Query, typed
from chalicelib.data.studios import NewId
from chalicelib.data.sync.leases import HELD
from chalicelib.data.sync.positions import IS_READ, OF_RUN

RunStage = Literal["running", "deferred", "again", "succeeded", "failed"]


class AdvancedRun(NewId):
    becomes: RunStage
    """`again`: everything was read, and the run reads once more because a sync was requested meanwhile"""


VISIT_ENDED = ":outcome IN ('last', 'failed')"
SKIPPED = """
    (SELECT coalesce(json_object_agg(k.reason, k.count), '{}') FROM (
        SELECT e.key AS reason, sum(e.value::bigint) AS count
        FROM read CROSS JOIN LATERAL json_each_text(read.skipped) AS e GROUP BY e.key
    ) AS k)
"""
OUTCOMES = """
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'accountId', read.account_id,
        'status', CASE WHEN read.is_open THEN 'deferred' WHEN read.code IS NULL THEN 'succeeded' ELSE 'failed' END,
        'error', CASE WHEN read.code IS NOT NULL THEN jsonb_build_object('code', read.code, 'message', read.message) END
    ) ORDER BY read.id), '[]') FROM read WHERE read.account_id <> read.connection_id)
"""

ADVANCE_RUN: Query[AdvancedRun | None] = Query(
    typed(
        f"""
    WITH held AS (
        SELECT r.* FROM sync_log AS r WHERE {HELD} FOR UPDATE
    ), moved AS (
        UPDATE account_position AS p SET
            page_cursor = CASE
                WHEN :outcome IN ('page', 'waiting') THEN :cursor WHEN :outcome <> 'last' THEN p.page_cursor
            END,
            cursor = CASE WHEN :outcome = 'last' AND p.backfill_id IS NULL THEN :cursor ELSE p.cursor END,
            is_open = NOT {VISIT_ENDED}, turn_at = now(), skipped = :skipped,
            attempts_without_progress = CASE
                WHEN :outcome <> 'deferred' THEN 0 ELSE p.attempts_without_progress + (:idle)::integer
            END,
            resume_at = CASE
                WHEN :outcome IN ('deferred', 'waiting') THEN now() + make_interval(secs => :delay_seconds)
            END,
            report_asks = CASE :outcome
                WHEN 'waiting' THEN p.report_asks + 1 WHEN 'deferred' THEN p.report_asks ELSE 0
            END,
            report_asked_at = CASE
                WHEN :outcome IN ('deferred', 'waiting')
                THEN coalesce(p.report_asked_at, CASE WHEN :outcome = 'waiting' THEN now() END)
            END,
            code = :code, message = :message,
            since = CASE WHEN :code IS NULL THEN NULL WHEN p.code = :code THEN p.since ELSE now() END,
            last_success_at = CASE WHEN :outcome = 'last' THEN now() ELSE p.last_success_at END,
            failures_in_row = CASE :outcome
                WHEN 'last' THEN 0 WHEN 'failed' THEN p.failures_in_row + 1 ELSE p.failures_in_row
            END,
            refused_deletions = CASE WHEN :outcome = 'last' AND p.full_read THEN :refused ELSE p.refused_deletions END
        FROM held AS run
        WHERE {OF_RUN} AND p.account_id = :account_id AND p.is_open
        RETURNING p.*
    ), rest AS (
        SELECT p.* FROM account_position AS p JOIN held AS run ON {OF_RUN}
        WHERE p.account_id <> :account_id AND (NOT p.is_open OR {IS_READ})
    ), read AS (
        SELECT * FROM moved UNION ALL SELECT * FROM rest
    ), state AS (
        SELECT
            coalesce(bool_or(read.is_open AND coalesce(read.resume_at <= now(), true)), false) AS is_ready,
            min(read.resume_at) FILTER (WHERE read.is_open) AS resume_at,
            coalesce(bool_or(read.is_open AND read.report_asks > 0), false) AS any_prepared,
            coalesce(bool_or(NOT read.is_open AND read.code IS NULL), false) AS any_succeeded,
            coalesce(bool_or(NOT read.is_open AND read.code IS NOT NULL), false) AS any_failed,
            (array_agg(read.code ORDER BY read.is_open DESC, read.resume_at, read.turn_at DESC)
                FILTER (WHERE read.code IS NOT NULL))[1] AS code,
            (array_agg(read.message ORDER BY read.is_open DESC, read.resume_at, read.turn_at DESC)
                FILTER (WHERE read.code IS NOT NULL))[1] AS message
        FROM read
    ), decided AS (
        SELECT state.*, CASE
            WHEN state.is_ready THEN 'running'
            WHEN state.resume_at IS NOT NULL AND (
                run.trigger = 'backfill' OR NOT state.any_succeeded OR state.any_prepared
                OR state.resume_at <= now() + make_interval(secs => :waiting_seconds)
            ) THEN 'deferred'
            WHEN state.any_failed AND NOT state.any_succeeded THEN 'failed'
            WHEN run.reads_again THEN 'again'
            ELSE 'succeeded'
        END AS becomes
        FROM held AS run CROSS JOIN state
    ), run AS (
        UPDATE sync_log AS r SET
            pages = r.pages + (:stored)::integer,
            records_seen = r.records_seen + :seen, records_created = r.records_created + :created,
            records_updated = r.records_updated + :updated, records_unchanged = r.records_unchanged + :unchanged,
            records_deleted = r.records_deleted + :deleted, records_set_aside = r.records_set_aside + :set_aside,
            skipped = {SKIPPED}, api_calls = r.api_calls + :api_calls,
            deletions_refused = CASE WHEN decided.becomes = 'again' THEN 0 ELSE r.deletions_refused + :refused END,
            full_read = r.full_read OR coalesce((SELECT moved.full_read FROM moved), false),
            reads_again = r.reads_again AND decided.becomes <> 'again',
            attempts_without_progress = CASE
                WHEN :stored THEN 0
                WHEN decided.becomes = 'deferred' AND NOT :idle THEN greatest(r.attempts_without_progress - 1, 0)
                ELSE r.attempts_without_progress
            END,
            status = CASE WHEN decided.becomes = 'again' THEN 'running' ELSE decided.becomes END,
            finished_at = CASE WHEN is_over THEN now() END,
            duration_ms = CASE WHEN is_over THEN extract(epoch FROM now() - r.started_at) * 1000 END,
            resume_at = CASE WHEN decided.becomes = 'deferred' THEN decided.resume_at END,
            enqueue_at = CASE
                WHEN decided.becomes = 'deferred' THEN decided.resume_at
                ELSE now() + make_interval(secs => :lease_seconds)
            END,
            lease_owner = CASE WHEN goes_on THEN r.lease_owner END,
            lease_expires_at = CASE WHEN goes_on THEN now() + make_interval(secs => :lease_seconds) END,
            accounts = CASE WHEN is_over THEN {OUTCOMES} ELSE r.accounts END,
            error_code = CASE WHEN decided.becomes IN ('deferred', 'failed') THEN decided.code END,
            error_message = CASE WHEN decided.becomes IN ('deferred', 'failed') THEN decided.message END,
            error_at = CASE WHEN decided.becomes IN ('deferred', 'failed') THEN now() END
        FROM held, decided, LATERAL (
            SELECT decided.becomes IN ('succeeded', 'failed') AS is_over,
                   decided.becomes IN ('running', 'again') AS goes_on
        ) AS flags
        WHERE r.id = held.id
        RETURNING r.*, decided.becomes, decided.resume_at AS waits_until
    ), schedule AS (
        UPDATE sync_schedule AS s SET
            last_run_at = now(),
            last_success_at = CASE WHEN run.becomes = 'failed' THEN s.last_success_at ELSE now() END,
            failures_in_row = CASE WHEN run.becomes = 'failed' THEN s.failures_in_row + 1 ELSE 0 END,
            next_run_at = least(s.next_run_at, CASE WHEN s.next_run_at IS NOT NULL THEN run.waits_until END)
        FROM run
        WHERE run.becomes IN ('succeeded', 'failed', 'again') AND run.trigger <> 'backfill'
          AND s.studio_id = run.studio_id AND s.connection_id = run.connection_id AND s.stream = run.stream
    ), connection AS (
        UPDATE platform_connection AS c SET
            last_sync_at = CASE WHEN run.becomes = 'failed' THEN c.last_sync_at ELSE now() END,
            last_error_code = run.error_code, last_error_message = run.error_message, last_error_at = run.error_at
        FROM run
        WHERE run.becomes IN ('succeeded', 'failed', 'again') AND run.trigger <> 'backfill'
          AND c.studio_id = run.studio_id AND c.id = run.connection_id
          AND (run.becomes <> 'failed' OR c.status = 'active')
    ), forgotten AS (
        DELETE FROM sync_seen AS seen USING held
        WHERE {VISIT_ENDED} AND seen.run_id = held.id AND seen.account_id = :account_id
    )
    SELECT json_build_object('id', run.id, 'becomes', run.becomes) FROM run
    """,
        outcome="text",
        cursor="text",
        skipped="json",
        code="text",
        message="text",
        account_id="uuid",
        idle="boolean",
        stored="boolean",
        delay_seconds="float8",
        refused="bigint",
    ),
    AdvancedRun | None,
)
"""Advances a run by the `outcome` of a visit: a `page` was stored, or the `last` one, which passes its cursor to the
account; the account has `failed`, or is `deferred` and has to wait, or is `waiting` for a page that the platform
prepares, and keeps its cursor; or there was `none` to visit.

The run continues while another account is ready. If only waiting accounts are left, the run waits with them. But if
another account was read, it does not wait for long: it ends, and the schedule's next run starts as soon as they are
due. It does wait for a page that is being prepared, which the next run would have to request again. It fails if none
could be read."""
