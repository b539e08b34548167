"""A sample of what contracts: for when no process of the release before is left, which does not fill the column in."""

from alembic import op

from migrations.steps import owner_sees, replace_check

revision = "9002"
down_revision = "9001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        with owner_sees("sync_log"):
            op.execute("UPDATE sync_log SET origin = 'studio' WHERE trigger = 'manual' AND origin IS NULL")
        replace_check("sync_log", "sync_log_origin_check", "trigger <> 'manual' OR origin IS NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE sync_log DROP CONSTRAINT sync_log_origin_check")
