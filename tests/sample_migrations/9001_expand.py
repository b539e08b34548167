"""A sample of what expands: tables in use are changed while they are read and written, and a tenant table is added.

Each statement on a table in use commits by itself, and may be the first one after an interruption.
"""

import sqlalchemy as sa
from alembic import op

from chalicelib.data.health import SCHEMA_HEAD
from migrations.steps import apply_function, batches, grant, isolate, owner_sees, replace_check, replace_index

revision = "9001"
down_revision = SCHEMA_HEAD
branch_labels = None
depends_on = None

BATCH = 100
TRIGGERS = "trigger IN ('manual', 'schedule', 'retry', 'backfill', 'import')"
OLD_TRIGGERS = "trigger IN ('manual', 'schedule', 'retry', 'backfill')"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE sync_log ADD COLUMN IF NOT EXISTS origin text")
        with owner_sees("sync_log"):
            for after, last in batches("sync_log", BATCH):
                op.execute(
                    "UPDATE sync_log SET origin = 'studio' WHERE trigger = 'manual' AND origin IS NULL"
                    f" AND id > '{after}' AND id <= '{last}'"
                )
        replace_check("sync_log", "sync_log_trigger_check", TRIGGERS)
        replace_index("sync_log_origin_idx", "sync_log (studio_id, origin) WHERE origin IS NOT NULL")
        op.execute("ALTER TABLE booking ADD COLUMN IF NOT EXISTS origin text")
    op.create_table(
        "sample_note",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name="sample_note_studio_id_fkey", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="sample_note_pkey"),
    )
    isolate("sample_note")
    grant("sample_note", {"ansel_api": "SELECT, INSERT"})
    apply_function("find_api_key", 1)


def downgrade() -> None:
    op.drop_table("sample_note")
    op.execute("ALTER TABLE booking DROP COLUMN origin")
    with owner_sees("sync_log"):
        op.execute("UPDATE sync_log SET trigger = 'manual' WHERE trigger = 'import'")
    with op.get_context().autocommit_block():
        replace_check("sync_log", "sync_log_trigger_check", OLD_TRIGGERS)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sync_log_origin_idx")
    op.execute("ALTER TABLE sync_log DROP COLUMN origin")
