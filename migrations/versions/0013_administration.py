"""What administration needs: a role of its own with doors of its own, which keys a data key is wrapped under, what did
not open when keys were rotated, and which studios were erased.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.steps import close_doors, isolate, open_doors

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

# Where the server has IAM authentication, as RDS does, the roles log in with it. The administrator may do what the
# application may, and opens doors that the application may not.
MAKE_ADMIN_ROLE = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ansel_admin') THEN
            CREATE ROLE ansel_admin LOGIN NOCREATEROLE NOCREATEDB;
        END IF;
        IF NOT pg_has_role('ansel_admin', 'ansel_app', 'MEMBER') THEN
            GRANT ansel_app TO ansel_admin WITH INHERIT TRUE, SET FALSE;
        END IF;
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
            GRANT rds_iam TO ansel_app, ansel_admin;
        END IF;
    END $$
"""
GRANTS: dict[str, str] = {
    "studio": "SELECT (name, created_at)",
    "data_key": "SELECT (id, studio_id, created_at, retired_at, wrapped_under)",
    "quarantine": "SELECT",
}
NEWLY_SEEN: tuple[str, ...] = ("data_key", "quarantine")
DOORS: dict[str, str] = {
    "find_studios(after uuid, batch integer)": """
        SELECT coalesce(json_agg(json_build_object(
            'id', s.id, 'name', s.name, 'timeZone', s.time_zone, 'createdAt', s.created_at
        ) ORDER BY s.id), '[]')
        FROM (SELECT * FROM public.studio WHERE id > after ORDER BY id LIMIT batch) AS s
    """,
    # A key in quarantine is tried again by whoever asks, and is none of what is left to do.
    "find_keys_to_rewrap(wanted text[], after uuid, batch integer)": """
        WITH stale AS (
            SELECT k.id, k.studio_id FROM public.data_key AS k
            WHERE k.id > after AND k.wrapped_under IS DISTINCT FROM wanted
        )
        SELECT json_build_object('left', (
            SELECT count(*) FROM stale WHERE NOT EXISTS (
                SELECT FROM public.quarantine AS q
                WHERE q.studio_id = stale.studio_id AND q.table_name = 'data_key' AND q.row_id = stale.id
            )
        ), 'keys', (
            SELECT coalesce(json_agg(json_build_object('id', s.id, 'studioId', s.studio_id) ORDER BY s.id), '[]')
            FROM (SELECT * FROM stale ORDER BY id LIMIT batch) AS s
        ))
    """,
    "find_studios_to_rekey(made_before timestamptz, after uuid, batch integer)": """
        WITH due AS (
            SELECT DISTINCT k.studio_id FROM public.data_key AS k
            WHERE k.studio_id > after AND (k.retired_at IS NOT NULL OR k.created_at < made_before)
        )
        SELECT json_build_object('left', (SELECT count(*) FROM due), 'studios', (
            SELECT coalesce(json_agg(d.studio_id ORDER BY d.studio_id), '[]')
            FROM (SELECT * FROM due ORDER BY studio_id LIMIT batch) AS d
        ))
    """,
    "find_quarantined(after uuid, batch integer)": """
        SELECT json_build_object('count', (SELECT count(*) FROM public.quarantine), 'items', coalesce((
            SELECT json_agg(json_build_object(
                'id', q.id, 'studioId', q.studio_id, 'tableName', q.table_name, 'columnName', q.column_name,
                'rowId', q.row_id, 'dataKeyId', q.data_key_id, 'reason', q.reason, 'foundAt', q.found_at
            ) ORDER BY q.id)
            FROM (SELECT * FROM public.quarantine WHERE id > after ORDER BY id LIMIT batch) AS q
        ), '[]'))
    """,
    "find_key_counts()": """
        SELECT json_build_object(
            'wrappedUnder', (
                SELECT coalesce(json_agg(json_build_object('keys', w.keys, 'count', w.count) ORDER BY w.count DESC), '[]')
                FROM (
                    SELECT k.wrapped_under AS keys, count(*) AS count FROM public.data_key AS k GROUP BY k.wrapped_under
                ) AS w
            ),
            'oldestMadeAt', min(k.created_at) FILTER (WHERE k.retired_at IS NULL),
            'retired', count(*) FILTER (WHERE k.retired_at IS NOT NULL),
            'quarantined', (SELECT count(*) FROM public.quarantine)
        )
        FROM public.data_key AS k
    """,
}


def upgrade() -> None:
    op.execute(MAKE_ADMIN_ROLE)
    op.add_column("data_key", sa.Column("wrapped_under", postgresql.ARRAY(sa.Text()), nullable=True))
    op.create_table(
        "quarantine",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("table_name", sa.Text(), nullable=False),
        sa.Column("column_name", sa.Text(), nullable=False),
        sa.Column("row_id", sa.Uuid(), nullable=False),
        sa.Column("data_key_id", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("quarantine_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("quarantine_pkey")),
        sa.UniqueConstraint(
            "studio_id",
            "table_name",
            "column_name",
            "row_id",
            name=op.f("quarantine_studio_id_table_name_column_name_row_id_key"),
        ),
    )
    isolate("quarantine")
    op.create_table(
        "studio_erasure",
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("studio_id", name=op.f("studio_erasure_pkey")),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON studio_erasure TO ansel_admin")
    op.execute("GRANT USAGE ON SCHEMA door TO ansel_admin")
    open_doors(DOORS, GRANTS, NEWLY_SEEN, to="ansel_admin")


def downgrade() -> None:
    close_doors(DOORS, GRANTS, NEWLY_SEEN)
    op.execute("REVOKE USAGE ON SCHEMA door FROM ansel_admin")
    op.drop_table("studio_erasure")
    op.drop_table("quarantine")
    op.drop_column("data_key", "wrapped_under")
