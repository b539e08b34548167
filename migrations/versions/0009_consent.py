"""Consent in the browser, a connection's state with its reason, what happened to it, and who is told of it.

Expands only: the release before runs on it unchanged. Each statement on a table in use commits by itself, and may be
the first after an interruption.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import isolate, replace_check

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATUSES = "status IN ('active', 'expired', 'revoked', 'misconfigured', 'error', 'disabled')"
OLD_STATUSES = "status IN ('active', 'expired', 'revoked', 'error', 'disabled')"
SEALED = "status = 'disabled' OR NOT needs_token OR access_token IS NOT NULL"
OLD_SEALED = "status = 'disabled' OR access_token IS NOT NULL"
ADD_COLUMNS = """
    ALTER TABLE platform_connection
        ADD COLUMN IF NOT EXISTS needs_token boolean NOT NULL DEFAULT true,
        ADD COLUMN IF NOT EXISTS status_code text,
        ADD COLUMN IF NOT EXISTS status_message text,
        ADD COLUMN IF NOT EXISTS status_since timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN IF NOT EXISTS token_issued_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN IF NOT EXISTS refresh_token_expires_at timestamptz,
        ADD COLUMN IF NOT EXISTS refresh_at timestamptz,
        ADD COLUMN IF NOT EXISTS refresh_failures integer NOT NULL DEFAULT 0,
        ADD COLUMN IF NOT EXISTS account_unverified boolean NOT NULL DEFAULT false
"""
ADDED = (
    *("needs_token", "status_code", "status_message", "status_since"),
    *("token_issued_at", "refresh_token_expires_at", "refresh_at", "refresh_failures", "account_unverified"),
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(ADD_COLUMNS)
        replace_check("platform_connection", "platform_connection_status_check", STATUSES)
        replace_check("platform_connection", "platform_connection_token_present_check", SEALED)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS platform_connection_refresh_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY platform_connection_refresh_idx ON platform_connection (refresh_at)"
            " WHERE status IN ('active', 'misconfigured', 'error')"
        )
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS platform_connection_account_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY platform_connection_account_idx ON platform_connection"
            " (platform, external_account_id)"
        )
    create_tables()
    for table in ("oauth_state", "connection_event", "webhook_endpoint", "webhook_delivery"):
        isolate(table)


def downgrade() -> None:
    for table in ("data_deletion", "webhook_delivery", "webhook_endpoint", "connection_event", "oauth_state"):
        op.drop_table(table)
    # Row-level security is forced on the owner as well, who would find nothing to change.
    op.execute("ALTER TABLE platform_connection NO FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE platform_connection SET status = 'error' WHERE status = 'misconfigured'")
    op.execute(
        "UPDATE platform_connection SET status = 'disabled', disconnected_at = coalesce(disconnected_at, now())"
        " WHERE NOT needs_token AND access_token IS NULL"
    )
    op.execute("ALTER TABLE platform_connection FORCE ROW LEVEL SECURITY")
    with op.get_context().autocommit_block():
        replace_check("platform_connection", "platform_connection_status_check", OLD_STATUSES)
        replace_check("platform_connection", "platform_connection_token_present_check", OLD_SEALED)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS platform_connection_account_idx")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS platform_connection_refresh_idx")
    for column in ADDED:
        op.drop_column("platform_connection", column)


def create_tables() -> None:
    op.create_table(
        "oauth_state",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("verifier", sa.LargeBinary(), nullable=True),
        sa.Column("streams", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("return_to", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("oauth_state_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("oauth_state_pkey")),
        sa.UniqueConstraint("state_hash", name=op.f("oauth_state_state_hash_key")),
    )
    op.create_index("oauth_state_studio_idx", "oauth_state", ["studio_id"])
    op.create_index("oauth_state_expires_idx", "oauth_state", ["expires_at"])
    op.create_table(
        "connection_event",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        *_of_studio("connection_event", "connection_id", "platform_connection"),
        sa.UniqueConstraint("studio_id", "id", name=op.f("connection_event_studio_id_id_key")),
    )
    op.create_index("connection_event_connection_idx", "connection_event", ["studio_id", "connection_id", "id"])
    op.create_table(
        "webhook_endpoint",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f("webhook_studio_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("webhook_pkey")),
        sa.UniqueConstraint("studio_id", "id", name=op.f("webhook_studio_id_id_key")),
        sa.UniqueConstraint("studio_id", "url", name=op.f("webhook_studio_id_url_key")),
    )
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("endpoint_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_problem", sa.Text(), nullable=True),
        *_of_studio("webhook_delivery", "endpoint_id", "webhook_endpoint"),
        sa.ForeignKeyConstraint(
            ["studio_id", "event_id"],
            ["connection_event.studio_id", "connection_event.id"],
            name=op.f("webhook_delivery_studio_id_event_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint(
            "studio_id", "endpoint_id", "event_id", name=op.f("webhook_delivery_studio_id_webhook_id_event_id_key")
        ),
    )
    op.create_index(
        "webhook_delivery_due_idx", "webhook_delivery", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.create_index("webhook_delivery_event_idx", "webhook_delivery", ["studio_id", "event_id"])
    op.create_table(
        "data_deletion",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("connections", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("data_deletion_pkey")),
        sa.UniqueConstraint("code_hash", name=op.f("data_deletion_code_hash_key")),
    )
    # It holds nothing of any studio, and the application never deletes from it.
    op.execute("GRANT SELECT, INSERT, UPDATE (done_at, connections) ON data_deletion TO ansel_app")


def _of_studio(table: str, column: str, parent: str) -> list[sa.Constraint]:
    return [
        sa.ForeignKeyConstraint(["studio_id"], ["studio.id"], name=op.f(f"{table}_studio_id_fkey"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["studio_id", column],
            [f"{parent}.studio_id", f"{parent}.id"],
            name=op.f(f"{table}_studio_id_{column}_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"{table}_pkey")),
    ]
