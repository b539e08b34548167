"""What a full read has met is noted without foreign keys, which took more than half of the time of noting an id.

Rows whose run is gone, with its studio or by retention, go with the next maintenance.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

ORPHANS = "DELETE FROM sync_seen AS s WHERE NOT EXISTS (SELECT FROM sync_log AS r WHERE r.id = s.run_id)"
KEYS = {
    "sync_seen_studio_id_fkey": "FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE",
    "sync_seen_studio_id_run_id_fkey": (
        "FOREIGN KEY (studio_id, run_id) REFERENCES sync_log (studio_id, id) ON DELETE CASCADE"
    ),
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name in KEYS:
            op.execute(f"ALTER TABLE sync_seen DROP CONSTRAINT IF EXISTS {name}")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sync_seen_run_idx")


def downgrade() -> None:
    # Row-level security is forced on the owner as well, who would find nothing to delete.
    op.execute("ALTER TABLE sync_seen NO FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE sync_log NO FORCE ROW LEVEL SECURITY")
    op.execute(ORPHANS)
    op.execute("ALTER TABLE sync_log FORCE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE sync_seen FORCE ROW LEVEL SECURITY")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sync_seen_run_idx")
        op.execute("CREATE INDEX CONCURRENTLY sync_seen_run_idx ON sync_seen (studio_id, run_id)")
        for name, key in KEYS.items():
            op.execute(f"ALTER TABLE sync_seen DROP CONSTRAINT IF EXISTS {name}, ADD CONSTRAINT {name} {key} NOT VALID")
            op.execute(f"ALTER TABLE sync_seen VALIDATE CONSTRAINT {name}")
