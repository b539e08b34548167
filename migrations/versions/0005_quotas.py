"""Circuits and quotas of platforms: what all workers know of whether a platform may be asked."""

import sqlalchemy as sa
from alembic import op

from migrations.steps import isolate

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

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
    isolate("account_quota")


def downgrade() -> None:
    for table in ("account_quota", *SHARED_TABLES):
        op.drop_table(table)
