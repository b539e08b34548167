"""Expands runs and schedules: backfills, refused deletions, pauses by hand. The release before runs on it unchanged.

Each statement commits by itself, so that no strong lock is held while a table is read, and each may be the first after
an interruption.
"""

from alembic import op

from migrations.steps import replace_check

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ADD_COLUMNS = """
    ALTER TABLE sync_schedule
        ADD COLUMN IF NOT EXISTS paused_by text,
        ADD COLUMN IF NOT EXISTS refused_deletions bigint NOT NULL DEFAULT 0;
    ALTER TABLE sync_log
        ADD COLUMN IF NOT EXISTS deletions_refused bigint NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS deletions_confirmed boolean NOT NULL DEFAULT false,
        ADD COLUMN IF NOT EXISTS backfill_from date,
        ADD COLUMN IF NOT EXISTS backfill_to date,
        ADD COLUMN IF NOT EXISTS read_started_at timestamptz,
        ADD COLUMN IF NOT EXISTS error_at timestamptz
"""
DROP_COLUMNS = """
    ALTER TABLE sync_schedule DROP COLUMN paused_by, DROP COLUMN refused_deletions;
    ALTER TABLE sync_log DROP COLUMN deletions_refused, DROP COLUMN deletions_confirmed,
        DROP COLUMN backfill_from, DROP COLUMN backfill_to, DROP COLUMN read_started_at, DROP COLUMN error_at
"""
ACTIVE = "status IN ('queued', 'running', 'deferred')"
INDEXES = {
    "sync_log_one_live_idx": f"{ACTIVE} AND trigger <> 'backfill'",
    "sync_log_one_backfill_idx": f"{ACTIVE} AND trigger = 'backfill'",
}
TRIGGERS = "trigger IN ('manual', 'schedule', 'retry', 'backfill')"
OLD_TRIGGERS = "trigger IN ('manual', 'schedule', 'retry')"
CHECKS = {
    "sync_log_backfill_from_check": ("sync_log", "(trigger = 'backfill') = (backfill_from IS NOT NULL)"),
    "sync_log_backfill_to_check": ("sync_log", "(trigger = 'backfill') = (backfill_to IS NOT NULL)"),
    "sync_schedule_paused_by_check": ("sync_schedule", "paused_by IN ('studio', 'connection')"),
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(ADD_COLUMNS)
        for name, condition in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(
                f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON sync_log (studio_id, platform, stream) WHERE {condition}"
            )
        replace_check("sync_log", "sync_log_trigger_check", TRIGGERS)
        for name, (table, condition) in CHECKS.items():
            replace_check(table, name, condition)


def downgrade() -> None:
    # Row-level security is forced on the owner as well, who would find nothing to change.
    op.execute("ALTER TABLE sync_log NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM sync_log WHERE trigger = 'backfill'")
    op.execute("ALTER TABLE sync_log FORCE ROW LEVEL SECURITY")
    with op.get_context().autocommit_block():
        replace_check("sync_log", "sync_log_trigger_check", OLD_TRIGGERS)
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    op.execute(DROP_COLUMNS)
