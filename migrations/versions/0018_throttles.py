"""Doors for an operator who ends what runs wait for: who is waiting, and the runs of all studios that are to go on.

A limit of the whole application defers the runs of every studio, so ending it has to reach them all.
"""

from migrations.steps import close_doors, open_doors

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

GRANTS = {
    "account_quota": "SELECT (studio_id, platform, api, blocked_until)",
    "sync_log": "UPDATE (resume_at)",
}
NEWLY_SEEN = ("account_quota",)
DOORS = {
    "find_waits(batch integer)": """
        SELECT json_build_object('accounts', (
            SELECT coalesce(json_agg(json_build_object(
                'studioId', q.studio_id, 'platform', q.platform, 'api', q.api, 'until', q.blocked_until
            ) ORDER BY q.blocked_until DESC, q.studio_id, q.platform, q.api), '[]')
            FROM (
                SELECT * FROM (
                    SELECT a.studio_id, a.platform, a.api, a.blocked_until FROM public.account_quota AS a
                    WHERE a.blocked_until > now()
                ) AS blocked
                ORDER BY blocked_until DESC, studio_id, platform, api LIMIT batch
            ) AS q
        ), 'runs', (
            SELECT coalesce(json_agg(json_build_object(
                'platform', w.platform, 'code', w.code, 'runs', w.runs, 'studios', w.studios, 'until', w.until
            ) ORDER BY w.runs DESC, w.platform, w.code), '[]')
            FROM (
                SELECT r.platform, coalesce(r.error_code, 'unknown') AS code, count(*) AS runs,
                       count(DISTINCT r.studio_id) AS studios, max(r.resume_at) AS until
                FROM public.sync_log AS r WHERE r.status = 'deferred' GROUP BY 1, 2
            ) AS w
        ))
    """,
    # Spread over five minutes, so that what has waited together does not come back together. Those that are due by then
    # anyway stay as they are, which is also how a repeated call knows what is left.
    "resume_deferred_runs(wanted text, batch integer)": """
        WITH waiting AS (
            SELECT r.id, now() + random() * interval '5 minutes' AS due FROM public.sync_log AS r
            WHERE r.platform = wanted AND r.status = 'deferred' AND r.resume_at > now() + interval '5 minutes'
            ORDER BY r.id LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), resumed AS (
            UPDATE public.sync_log AS r SET resume_at = w.due, enqueue_at = w.due
            FROM waiting AS w WHERE r.id = w.id
            RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM resumed
    """,
}


def upgrade() -> None:
    open_doors(DOORS, GRANTS, NEWLY_SEEN, to="ansel_admin")


def downgrade() -> None:
    close_doors(DOORS, GRANTS, NEWLY_SEEN)
