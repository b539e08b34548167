"""Rows say when they last changed, and what ad numbers and reviews were before they changed stays on record.

Each statement on a table in use commits by itself, and may be the first after an interruption.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import isolate

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CHANGING_TABLES = ("ad_campaign", "ad_metric", "booking", "content", "inquiry", "review")
SUBJECTS = ("ad_metric", "review")
ADD_KEY = """
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = '{0}_studio_id_id_key') THEN
            ALTER TABLE {0} ADD CONSTRAINT {0}_studio_id_id_key UNIQUE USING INDEX {0}_studio_id_id_new_key;
        END IF;
    END $$
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table in CHANGING_TABLES:
            op.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now()")
        op.execute("ALTER TABLE ad_metric ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now()")
        for subject in SUBJECTS:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {subject}_studio_id_id_new_key")
            op.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {subject}_studio_id_id_new_key ON {subject} (studio_id, id)")
            op.execute(ADD_KEY.format(subject))
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {subject}_studio_id_id_new_key")
    create_restatement(
        "ad_metric",
        sa.Column("spend_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("impressions", sa.BigInteger(), nullable=False),
        sa.Column("clicks", sa.BigInteger(), nullable=False),
        sa.Column("conversions", sa.Double(), nullable=False),
    )
    create_restatement(
        "review",
        sa.Column("rating", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
    )


def downgrade() -> None:
    for subject in SUBJECTS:
        op.drop_table(f"{subject}_restatement")
        op.drop_constraint(f"{subject}_studio_id_id_key", subject)
    op.drop_column("ad_metric", "created_at")
    for table in CHANGING_TABLES:
        op.drop_column(table, "updated_at")


def create_restatement(subject: str, *columns: sa.Column[object]) -> None:
    table = f"{subject}_restatement"
    op.create_table(
        table,
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column(f"{subject}_id", sa.Uuid(), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f(f"{table}_studio_id_fkey"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["studio_id", f"{subject}_id"],
            [f"{subject}.studio_id", f"{subject}.id"],
            name=op.f(f"{table}_studio_id_{subject}_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("studio_id", f"{subject}_id", "valid_until", name=op.f(f"{table}_pkey")),
    )
    isolate(table)
