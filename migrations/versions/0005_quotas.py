"""Circuits and quotas of platforms: what all workers know of whether a platform may be asked."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CURRENT_STUDIO = "(SELECT nullif(current_setting('app.studio_id', true), '')::uuid)"
SHARED_TABLES = ("platform_circuit", "app_quota")
"""They hold nothing of any studio, and every studio's runs write to them."""


def upgrade() -> None:
    op.create_table(
        "platform_circuit",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("api", sa.Text(), nullable=False),
        sa.Column("failures_in_row", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("open_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("platform", "api", name=op.f("platform_circuit_pkey")),
    )
    op.create_table(
        "app_quota",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("api", sa.Text(), nullable=False),
        sa.Column("used", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("studios", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("window_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("platform", "api", name=op.f("app_quota_pkey")),
    )
    op.create_table(
        "account_quota",
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("api", sa.Text(), nullable=False),
        sa.Column("used", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("calls", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("window_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("blocked_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("account_quota_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("studio_id", "platform", "api", name=op.f("account_quota_pkey")),
    )
    for table in SHARED_TABLES:
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO ansel_app")
    op.execute("ALTER TABLE account_quota ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    own = f"studio_id = {CURRENT_STUDIO}"
    op.execute(f"CREATE POLICY tenant ON account_quota USING ({own}) WITH CHECK ({own})")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON account_quota TO ansel_app")


def downgrade() -> None:
    for table in ("account_quota", *SHARED_TABLES):
        op.drop_table(table)
