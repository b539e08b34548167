"""The doors: the only functions that see across studios. `docs/security.md` lists them.

They belong to `ansel_door`, a role nobody logs in as, whose grants and policies name just the columns they need.
"""

from alembic import op

from migrations.steps import open_doors

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MAKE_DOOR_ROLE = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ansel_door') THEN
            CREATE ROLE ansel_door NOLOGIN NOCREATEROLE NOCREATEDB;
            GRANT ansel_door TO CURRENT_USER WITH INHERIT FALSE, SET TRUE;
        END IF;
    END $$
"""

GRANTS = {
    "studio": "SELECT (id, time_zone)",
    "api_key": "SELECT (id, studio_id, secret_hash, scopes, expires_at, revoked_at)",
    "sync_schedule": "SELECT, UPDATE (next_run_at, missed_windows)",
    "sync_log": "SELECT, INSERT, UPDATE (enqueue_at)",
}

DOORS = {
    "find_api_key(key_id uuid)": """
        SELECT json_build_object(
            'id', k.id, 'studioId', k.studio_id, 'secretHash', encode(k.secret_hash, 'base64'),
            'scopes', k.scopes, 'expiresAt', k.expires_at, 'revokedAt', k.revoked_at
        )
        FROM public.api_key AS k WHERE k.id = key_id
    """,
    "claim_due_schedules(batch integer)": """
        WITH due AS (
            SELECT s.* FROM public.sync_schedule AS s
            WHERE s.enabled AND s.paused_at IS NULL AND s.next_run_at <= now()
            ORDER BY s.next_run_at LIMIT batch
            FOR UPDATE SKIP LOCKED
        )
        SELECT coalesce(json_agg(json_build_object(
            'scheduleId', due.id, 'studioId', due.studio_id, 'platform', due.platform,
            'stream', due.stream, 'frequency', due.frequency, 'nextRunAt', due.next_run_at,
            'timeZone', studio.time_zone, 'now', now()
        )), '[]')
        FROM due JOIN public.studio ON studio.id = due.studio_id
    """,
    "start_scheduled_runs(claims json)": """
        WITH claim AS (
            SELECT * FROM json_to_recordset(claims)
                AS c ("scheduleId" uuid, "windowAt" timestamptz, missed bigint, "nextRunAt" timestamptz)
        ), moved AS (
            UPDATE public.sync_schedule AS s SET
                next_run_at = c."nextRunAt", missed_windows = s.missed_windows + c.missed
            FROM claim AS c WHERE s.id = c."scheduleId"
            RETURNING s.studio_id, s.connection_id, s.platform, s.stream, c."windowAt" AS window_at
        ), started AS (
            INSERT INTO public.sync_log
                (studio_id, connection_id, platform, stream, trigger, window_at, schedule_lag_ms, enqueue_at)
            SELECT m.studio_id, m.connection_id, m.platform, m.stream, 'schedule', m.window_at,
                   extract(epoch FROM now() - m.window_at) * 1000, now() + interval '2 minutes'
            FROM moved AS m
            ON CONFLICT DO NOTHING
            RETURNING id, studio_id
        )
        SELECT coalesce(json_agg(json_build_object('runId', id, 'studioId', studio_id)), '[]') FROM started
    """,
    "enqueue_lost_runs(batch integer)": """
        WITH lost AS (
            SELECT r.id FROM public.sync_log AS r
            WHERE r.status IN ('queued', 'running', 'deferred') AND r.enqueue_at <= now()
            ORDER BY r.enqueue_at LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), enqueued AS (
            UPDATE public.sync_log AS r SET
                enqueue_at = now() + greatest(interval '2 minutes', (now() - r.queued_at) / 2)
            FROM lost WHERE r.id = lost.id
            RETURNING r.id, r.studio_id
        )
        SELECT coalesce(json_agg(json_build_object('runId', id, 'studioId', studio_id)), '[]') FROM enqueued
    """,
}


def upgrade() -> None:
    op.execute(MAKE_DOOR_ROLE)
    op.execute("CREATE SCHEMA door")
    op.execute("GRANT USAGE ON SCHEMA public TO ansel_door")
    op.execute("GRANT USAGE ON SCHEMA door TO ansel_door, ansel_app")
    open_doors(DOORS, GRANTS, newly_seen=GRANTS)


def downgrade() -> None:
    op.execute("DROP SCHEMA door CASCADE")
    for table in GRANTS:
        op.execute(f"DROP POLICY door ON {table}")
        op.execute(f"REVOKE ALL ON {table} FROM ansel_door")
    op.execute("REVOKE USAGE ON SCHEMA public FROM ansel_door")
