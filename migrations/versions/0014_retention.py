"""More doors of maintenance: what happened to connections, was delivered, or was asked to be deleted, is kept for a term.

Ids are UUIDv7, so what is oldest is at the start of each primary key. The terms stand here: no caller can shorten them.
"""

from migrations.steps import close_doors, open_doors

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

GRANTS = {
    "connection_event": "SELECT (id), UPDATE (id), DELETE",
    "webhook_delivery": "DELETE",
    "data_deletion": "SELECT (id, done_at), DELETE",
}
NEWLY_SEEN = ("connection_event",)

# As in 0008: what somebody else has locked is passed over, and what is to go is handed on as an array.
DOORS = {
    "prune_events(batch integer)": """
        WITH old AS (
            SELECT e.id FROM public.connection_event AS e
            WHERE e.id < uuidv7(interval '-400 days') ORDER BY e.id LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), pruned AS (
            DELETE FROM public.connection_event WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM pruned
    """,
    "prune_deliveries(batch integer)": """
        WITH old AS (
            SELECT d.id FROM public.webhook_delivery AS d
            WHERE d.id < uuidv7(interval '-30 days') AND d.due_at IS NULL ORDER BY d.id LIMIT batch
            FOR UPDATE SKIP LOCKED
        ), pruned AS (
            DELETE FROM public.webhook_delivery WHERE id = ANY (ARRAY(SELECT old.id FROM old)) RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM pruned
    """,
    "forget_data_deletions(batch integer)": """
        WITH forgotten AS (
            DELETE FROM public.data_deletion WHERE id = ANY (ARRAY(
                SELECT d.id FROM public.data_deletion AS d
                WHERE d.done_at < now() - interval '400 days' ORDER BY d.id LIMIT batch
            ))
            RETURNING 1
        )
        SELECT json_build_object('count', count(*)) FROM forgotten
    """,
}


def upgrade() -> None:
    open_doors(DOORS, GRANTS, NEWLY_SEEN)


def downgrade() -> None:
    close_doors(DOORS, GRANTS, NEWLY_SEEN)
