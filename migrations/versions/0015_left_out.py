"""Records that could not be read are set aside, those that a stream's rules leave out are counted; runs read once more.

Each statement on a table in use commits by itself, and may be the first after an interruption.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import close_doors, isolate, open_doors

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ADD_COLUMNS = """
    ALTER TABLE sync_log
        ADD COLUMN IF NOT EXISTS records_set_aside bigint NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS skipped json NOT NULL DEFAULT '{}',
        ADD COLUMN IF NOT EXISTS reads_again boolean NOT NULL DEFAULT false;
    ALTER TABLE sync_schedule ADD COLUMN IF NOT EXISTS skipped json NOT NULL DEFAULT '{}';
    ALTER TABLE booking ADD COLUMN IF NOT EXISTS skip_reason text;
    ALTER TABLE inquiry ADD COLUMN IF NOT EXISTS skip_reason text;
    ALTER TABLE studio ADD COLUMN IF NOT EXISTS address_key bytea
"""
DROP_COLUMNS = """
    ALTER TABLE sync_log DROP COLUMN records_set_aside, DROP COLUMN skipped, DROP COLUMN reads_again;
    ALTER TABLE sync_schedule DROP COLUMN skipped;
    ALTER TABLE booking DROP COLUMN skip_reason;
    ALTER TABLE inquiry DROP COLUMN skip_reason;
    ALTER TABLE studio DROP COLUMN address_key
"""
GRANTS = {"set_aside": "SELECT (id, last_seen_at), UPDATE (id), DELETE"}
# As 0013 made it, but for the columns it looks at: one that it may not see, such as `address_key`, would close it.
FIND_STUDIOS = """
    CREATE OR REPLACE FUNCTION door.find_studios(after uuid, batch integer) RETURNS json
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
        SELECT coalesce(json_agg(json_build_object(
            'id', s.id, 'name', s.name, 'timeZone', s.time_zone, 'createdAt', s.created_at
        ) ORDER BY s.id), '[]')
        FROM (SELECT {columns} FROM public.studio WHERE id > after ORDER BY id LIMIT batch) AS s
    $body$
"""
DOORS = {
    "prune_set_aside(batch integer)": """
        WITH old AS (
            SELECT s.id FROM public.set_aside AS s
            WHERE s.last_seen_at < now() - interval '30 days' ORDER BY s.last_seen_at LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), pruned AS (
            DELETE FROM public.set_aside WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM pruned
    """,
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(ADD_COLUMNS)
    op.create_table(
        "set_aside",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("retried_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("set_aside_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["studio_id", "connection_id"],
            ["platform_connection.studio_id", "platform_connection.id"],
            name=op.f("set_aside_studio_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("set_aside_pkey")),
        sa.UniqueConstraint(
            "studio_id",
            "platform",
            "stream",
            "external_id",
            name=op.f("set_aside_studio_id_platform_stream_external_id_key"),
        ),
    )
    op.create_index("set_aside_connection_idx", "set_aside", ["studio_id", "connection_id"])
    op.create_index("set_aside_seen_idx", "set_aside", ["last_seen_at"])
    op.create_table(
        "skipped_record",
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("counterpart", sa.LargeBinary(), nullable=True),
        sa.Column("last_in_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_out_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("skipped_record_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("studio_id", "platform", "stream", "external_id", name=op.f("skipped_record_pkey")),
    )
    isolate("set_aside")
    isolate("skipped_record")
    open_doors(DOORS, GRANTS, newly_seen=GRANTS)
    find_studios("id, name, time_zone, created_at")


def downgrade() -> None:
    close_doors(DOORS, GRANTS, newly_seen=GRANTS)
    op.drop_table("skipped_record")
    op.drop_table("set_aside")
    op.execute(DROP_COLUMNS)
    find_studios("*")


def find_studios(columns: str) -> None:
    op.execute("GRANT CREATE ON SCHEMA door TO ansel_door")
    op.execute("SET LOCAL ROLE ansel_door")
    op.execute(FIND_STUDIOS.format(columns=columns))
    op.execute("RESET ROLE")
    op.execute("REVOKE CREATE ON SCHEMA door FROM ansel_door")
