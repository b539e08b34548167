"""Runs may be retries: the check on their trigger is widened without holding up a live table."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ADD = """
    ALTER TABLE sync_log
        DROP CONSTRAINT IF EXISTS sync_log_trigger_new_check,
        ADD CONSTRAINT sync_log_trigger_new_check CHECK (trigger IN ({})) NOT VALID
"""
VALIDATE = "ALTER TABLE sync_log VALIDATE CONSTRAINT sync_log_trigger_new_check"
DROP = "ALTER TABLE sync_log DROP CONSTRAINT sync_log_trigger_check"
RENAME = "ALTER TABLE sync_log RENAME CONSTRAINT sync_log_trigger_new_check TO sync_log_trigger_check"


def upgrade() -> None:
    # Each statement commits by itself, so that no strong lock is held while the table is read; a migration that was
    # interrupted in between resets.
    with op.get_context().autocommit_block():
        op.execute(ADD.format("'manual', 'schedule', 'retry'"))
        op.execute(VALIDATE)
    op.execute(DROP)
    op.execute(RENAME)


def downgrade() -> None:
    # Row-level security is forced on the owner as well, who would find nothing to change.
    op.execute("ALTER TABLE sync_log NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE sync_log SET trigger = 'manual' WHERE trigger = 'retry'")
    op.execute("ALTER TABLE sync_log FORCE ROW LEVEL SECURITY")
    op.execute(ADD.format("'manual', 'schedule'"))
    op.execute(VALIDATE)
    op.execute(DROP)
    op.execute(RENAME)
