"""Contracts: a stream may have one live run and one backfill at a time, where it had one run of any kind.

For when no process of the release before is left: its manual starts name the index that goes.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ACTIVE = "status IN ('queued', 'running', 'deferred')"
CANCEL_BACKFILLS = f"""
    UPDATE sync_log SET status = 'cancelled', finished_at = now(), lease_owner = NULL, lease_expires_at = NULL
    WHERE trigger = 'backfill' AND {ACTIVE}
"""
CREATE_INDEX = f"""
    CREATE UNIQUE INDEX CONCURRENTLY sync_log_one_active_idx ON sync_log (studio_id, platform, stream) WHERE {ACTIVE}
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sync_log_one_active_idx")


def downgrade() -> None:
    # Row-level security is forced on the owner as well, who would find nothing to change.
    op.execute("ALTER TABLE sync_log NO FORCE ROW LEVEL SECURITY")
    op.execute(CANCEL_BACKFILLS)
    op.execute("ALTER TABLE sync_log FORCE ROW LEVEL SECURITY")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sync_log_one_active_idx")
        op.execute(CREATE_INDEX)
