"""The doors of maintenance: they delete what is old and find what is stuck, in every studio.

Each index commits by itself, so that no write waits for it, and is made again after an interruption.
"""

from alembic import op

from migrations.steps import close_doors, open_doors

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ACTIVE = "('queued', 'running', 'deferred')"
# Locking a row takes UPDATE on a column of it, whichever. Rows are deleted by their place (ctid), so that not even
# their keys need to be read.
GRANTS = {
    "sync_log": "DELETE",
    "sync_seen": "SELECT (ctid, run_id), UPDATE (run_id), DELETE",
    "idempotency_key": "SELECT (ctid, started_at), UPDATE (started_at), DELETE",
}
NEWLY_SEEN = ("sync_seen", "idempotency_key")

# Rows that somebody else has locked are passed over: nobody waits for maintenance in a circle, and two at once share
# the work. What is to go is handed to DELETE as an array: whatever the planner believes, it looks each one up.
DOORS = {
    # Ids are UUIDv7, so the oldest runs are at the start of the primary key, and a batch begins where the last ended.
    # What happened lately stays, whatever the caller wants.
    "prune_runs(after uuid, days integer, batch integer)": f"""
        WITH term AS (
            SELECT make_interval(days => greatest(days, 30)) AS kept
        ), oldest AS MATERIALIZED (
            SELECT r.id FROM public.sync_log AS r WHERE r.id > after ORDER BY r.id LIMIT batch
        ), old AS MATERIALIZED (
            SELECT oldest.id FROM oldest WHERE oldest.id < (SELECT uuidv7(-kept) FROM term)
        ), pruned AS (
            DELETE FROM public.sync_log WHERE id = ANY (ARRAY(
                SELECT r.id FROM public.sync_log AS r
                WHERE r.id = ANY (ARRAY(SELECT old.id FROM old))
                  AND r.status NOT IN {ACTIVE} AND r.finished_at < now() - (SELECT kept FROM term)
                  AND (
                      SELECT true FROM public.sync_log AS newer
                      WHERE newer.studio_id = r.studio_id AND newer.platform = r.platform
                        AND newer.stream = r.stream AND newer.id > r.id AND newer.trigger <> 'backfill'
                      LIMIT 1
                  )
                FOR UPDATE SKIP LOCKED
            ))
            RETURNING 1
        )
        SELECT json_build_object(
            'count', (SELECT count(*) FROM pruned), 'last', (SELECT old.id FROM old ORDER BY old.id DESC LIMIT 1)
        )
    """,
    # Which runs have rows is read off the primary key, one step a run, however many rows each has.
    "forget_seen(batch integer)": f"""
        WITH RECURSIVE run AS (
            (SELECT s.run_id FROM public.sync_seen AS s ORDER BY s.run_id LIMIT 1)
            UNION ALL
            SELECT (
                SELECT s.run_id FROM public.sync_seen AS s WHERE s.run_id > run.run_id ORDER BY s.run_id LIMIT 1
            )
            FROM run WHERE run.run_id IS NOT NULL
        ), ended AS (
            SELECT run.run_id FROM run LEFT JOIN public.sync_log AS r ON r.id = run.run_id
            WHERE run.run_id IS NOT NULL AND (r.id IS NULL OR r.status NOT IN {ACTIVE})
        ), idle AS (
            SELECT seen.place FROM ended CROSS JOIN LATERAL (
                SELECT s.ctid AS place FROM public.sync_seen AS s
                WHERE s.run_id = ended.run_id LIMIT batch
                FOR UPDATE SKIP LOCKED
            ) AS seen
            LIMIT batch
        ), forgotten AS (
            DELETE FROM public.sync_seen AS s WHERE s.ctid = ANY (ARRAY(SELECT idle.place FROM idle)) RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM forgotten
    """,
    "forget_idempotency_keys(batch integer)": """
        WITH old AS (
            SELECT k.ctid AS place FROM public.idempotency_key AS k
            WHERE k.started_at < now() - interval '1 day'
            ORDER BY k.started_at LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), forgotten AS (
            DELETE FROM public.idempotency_key AS k WHERE k.ctid = ANY (ARRAY(SELECT old.place FROM old)) RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM forgotten
    """,
    "find_stuck_runs(shown integer)": f"""
        WITH stuck AS (
            SELECT r.id, r.studio_id, r.queued_at <= now() - interval '1 day' AS for_long,
                   r.lease_expires_at <= now() - interval '1 hour' IS TRUE AS abandoned
            FROM public.sync_log AS r
            WHERE r.status IN {ACTIVE}
              AND (r.queued_at <= now() - interval '1 day' OR r.lease_expires_at <= now() - interval '1 hour')
        )
        SELECT json_build_object(
            'count', count(*) FILTER (WHERE for_long),
            'abandoned', count(*) FILTER (WHERE abandoned),
            'oldest', coalesce((
                SELECT json_agg(json_build_object('runId', o.id, 'studioId', o.studio_id)) FROM (
                    SELECT s.id, s.studio_id FROM stuck AS s WHERE s.for_long ORDER BY s.id LIMIT shown
                ) AS o
            ), '[]')
        )
        FROM stuck
    """,
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        replace_index("idempotency_key_started_idx", "idempotency_key (started_at)")
        # Deleting a run looks for what it has seen by both columns, and a full read may have seen a million.
        replace_index("sync_seen_run_idx", "sync_seen (studio_id, run_id)")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sync_seen_studio_idx")
    open_doors(DOORS, GRANTS, NEWLY_SEEN)


def downgrade() -> None:
    close_doors(DOORS, GRANTS, NEWLY_SEEN)
    with op.get_context().autocommit_block():
        replace_index("sync_seen_studio_idx", "sync_seen (studio_id)")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sync_seen_run_idx")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS idempotency_key_started_idx")


def replace_index(name: str, columns: str) -> None:
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {columns}")
