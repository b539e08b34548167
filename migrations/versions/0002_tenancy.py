"""Row-level security: each studio sees its own rows, whatever a statement says.

The application's role owns nothing and cannot bypass the policies. FORCE holds the owner of the tables to them as well.
"""

from alembic import op

from migrations.steps import isolate

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TENANT_TABLES = (
    "ad_campaign",
    "ad_metric",
    "api_key",
    "attribution",
    "booking",
    "content",
    "content_metric",
    "data_key",
    "idempotency_key",
    "inquiry",
    "platform_connection",
    "review",
    "sync_log",
    "sync_schedule",
    "sync_seen",
)
MAKE_APP_ROLE = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ansel_app') THEN
            CREATE ROLE ansel_app LOGIN NOCREATEROLE NOCREATEDB;
        END IF;
    END $$
"""


def upgrade() -> None:
    op.execute(MAKE_APP_ROLE)
    op.execute("GRANT USAGE ON SCHEMA public TO ansel_app")
    op.execute("GRANT SELECT ON alembic_version TO ansel_app")
    isolate("studio", key="id")
    for table in TENANT_TABLES:
        isolate(table, key="studio_id")


def downgrade() -> None:
    for table in ("studio", *TENANT_TABLES):
        op.execute(f"REVOKE ALL ON {table} FROM ansel_app")
        op.execute(f"DROP POLICY tenant ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
    op.execute("REVOKE SELECT ON alembic_version FROM ansel_app")
    op.execute("REVOKE USAGE ON SCHEMA public FROM ansel_app")
