"""Pending grants: what a callback brings waits for the studio that asked, and is revoked if that does not complete it.

Expands only: the release before runs on it unchanged.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import close_doors, isolate, open_doors

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

GRANTS = {
    "pending_grant": (
        "SELECT (id, studio_id, platform, code_hash, external_account_id, created_at, expires_at, due_at, attempts),"
        " UPDATE (code_hash, due_at, attempts), DELETE"
    ),
}
NEWLY_SEEN = ("pending_grant",)
DOORS = {
    # Without its hash nobody can complete it any more. The message may be lost, or its worker: then it is due again.
    "claim_expired_grants(batch integer)": """
        WITH due AS (
            SELECT p.id FROM public.pending_grant AS p
            WHERE p.due_at <= now()
            ORDER BY p.due_at LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE public.pending_grant AS p SET
                code_hash = NULL, due_at = now() + interval '15 minutes', attempts = p.attempts + 1
            FROM due WHERE p.id = due.id
            RETURNING p.id, p.studio_id
        )
        SELECT coalesce(json_agg(json_build_object('grantId', id, 'studioId', studio_id)), '[]') FROM claimed
    """,
    # A platform's notice names an account of its own. One from before the consent does not concern what that gave.
    "end_account_grants(wanted text, account text, noticed_at timestamptz)": """
        WITH ended AS (
            DELETE FROM public.pending_grant AS p
            WHERE p.platform = wanted AND p.external_account_id = account
              AND p.created_at <= noticed_at + interval '1 minute'
            RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM ended
    """,
    # Tokens that no worker could revoke are not kept for longer than this.
    "forget_pending_grants(batch integer)": """
        WITH old AS (
            SELECT p.id FROM public.pending_grant AS p
            WHERE p.expires_at < now() - interval '1 day' ORDER BY p.expires_at LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), forgotten AS (
            DELETE FROM public.pending_grant WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM forgotten
    """,
}
GRANT_IS_SHARED = "grant_is_shared(wanted text, account text, connection uuid)"
# Platforms revoke what a user gave an application, whichever of the tokens is handed in: also what is still pending.
WITH_PENDING = """
        SELECT to_json(EXISTS (
            SELECT FROM public.platform_connection AS c
            WHERE c.platform = wanted AND c.external_account_id = account AND c.id <> connection
              AND c.status IN ('active', 'misconfigured', 'error')
        ) OR EXISTS (
            SELECT FROM public.pending_grant AS p
            WHERE p.platform = wanted AND p.external_account_id = account AND p.id <> connection
              AND p.code_hash IS NOT NULL AND p.expires_at > now()
        ))
    """
CONNECTIONS_ONLY = """
        SELECT to_json(EXISTS (
            SELECT FROM public.platform_connection AS c
            WHERE c.platform = wanted AND c.external_account_id = account AND c.id <> connection
              AND c.status IN ('active', 'misconfigured', 'error')
        ))
    """


def upgrade() -> None:
    create_table()
    isolate("pending_grant")
    open_doors(DOORS, GRANTS, NEWLY_SEEN)
    replace_door(GRANT_IS_SHARED, WITH_PENDING)


def downgrade() -> None:
    replace_door(GRANT_IS_SHARED, CONNECTIONS_ONLY)
    close_doors(DOORS, GRANTS, NEWLY_SEEN)
    op.drop_table("pending_grant")


def replace_door(signature: str, body: str) -> None:
    """In the migration's transaction, so that it is there at all times."""
    close_doors([signature], {}, ())
    open_doors({signature: body}, {}, ())


def create_table() -> None:
    op.create_table(
        "pending_grant",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("access_token", sa.LargeBinary(), nullable=False),
        sa.Column("refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("token_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refresh_token_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("external_account_id", sa.Text(), nullable=True),
        sa.Column("external_account_name", sa.Text(), nullable=True),
        sa.Column("streams", sa.ARRAY(sa.Text()), nullable=True),
        sa.Column("warnings", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("pending_grant_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pending_grant_pkey")),
        sa.UniqueConstraint("code_hash", name=op.f("pending_grant_code_hash_key")),
    )
    op.create_index("pending_grant_studio_idx", "pending_grant", ["studio_id"])
    op.create_index("pending_grant_due_idx", "pending_grant", ["due_at"])
    op.create_index("pending_grant_account_idx", "pending_grant", ["platform", "external_account_id"])
