"""A booking is known by its event alone, and the calendar is a column; accounts under a connection have a rule.

`{calendar}/{event}` becomes `{event}`. One event may be there under several names of its calendar: those rows become
one, which keeps what the studio owns. Whoever still runs the release before goes on writing the long key; a trigger
makes a short one of it, and goes with a later migration. Cursors stay, since that release would at once read everything
under keys that are no longer there; in the new release they do not decode, so that its next run reads everything.

What is done batch by batch commits by itself and may be interrupted: the next try goes on.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.steps import isolate

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

BATCH = 5_000
ADD_COLUMNS = """
    ALTER TABLE booking
        ADD COLUMN IF NOT EXISTS calendar_id text,
        ADD COLUMN IF NOT EXISTS guests jsonb NOT NULL DEFAULT '[]'
"""
SHORTEN_KEYS = """
    CREATE OR REPLACE FUNCTION public.shorten_booking_key() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$ BEGIN
        NEW.calendar_id := nullif(regexp_replace(NEW.external_id, '/[^/]*$', ''), 'primary');
        NEW.external_id := regexp_replace(NEW.external_id, '^.*/', '');
        RETURN NEW;
    END $$;
    REVOKE ALL ON FUNCTION public.shorten_booking_key() FROM PUBLIC;
    CREATE OR REPLACE TRIGGER shorten_key BEFORE INSERT ON booking FOR EACH ROW
    WHEN (NEW.platform = 'google' AND NEW.external_id LIKE '%/%')
    EXECUTE FUNCTION public.shorten_booking_key()
"""
LONG = """
    SELECT b.id, b.studio_id, b.inquiry_id, b.value_minor, b.currency, b.status,
           regexp_replace(b.external_id, '^.*/', '') AS event,
           nullif(regexp_replace(b.external_id, '/[^/]*$', ''), 'primary') AS calendar
    FROM booking AS b
    WHERE b.id > '{after}' AND b.id <= '{last}' AND b.platform = 'google' AND b.external_id LIKE '%/%'
"""
OF_EVENT = "t.studio_id = l.studio_id AND t.platform = 'google' AND t.external_id = l.event"
SHORTEN_BATCH = f"""
    DO $do$ BEGIN
        -- Readers go on; whoever writes bookings waits for the batch.
        LOCK TABLE booking IN SHARE ROW EXCLUSIVE MODE;
        UPDATE booking AS b SET external_id = l.event, calendar_id = l.calendar
        FROM (
            SELECT DISTINCT ON (l.studio_id, l.event) l.* FROM ({LONG}) AS l
            ORDER BY l.studio_id, l.event, l.inquiry_id IS NULL, l.value_minor IS NULL, l.status = 'cancelled',
                     l.calendar IS NULL, l.id
        ) AS l
        WHERE b.id = l.id AND NOT EXISTS (SELECT FROM booking AS t WHERE {OF_EVENT});
        UPDATE attribution AS a SET booking_id = t.id
        FROM ({LONG}) AS l JOIN booking AS t ON {OF_EVENT}
        WHERE a.studio_id = l.studio_id AND a.booking_id = l.id;
        UPDATE booking AS t SET
            inquiry_id = coalesce(t.inquiry_id, l.inquiry_id),
            value_minor = CASE WHEN t.currency IS NULL THEN l.value_minor ELSE t.value_minor END,
            currency = coalesce(t.currency, l.currency),
            status = CASE WHEN t.status = 'cancelled' THEN coalesce(l.living, t.status) ELSE t.status END,
            calendar_id = coalesce(t.calendar_id, l.calendar)
        FROM (
            SELECT l.studio_id, l.event,
                   (array_agg(l.inquiry_id ORDER BY l.id) FILTER (WHERE l.inquiry_id IS NOT NULL))[1] AS inquiry_id,
                   (array_agg(l.value_minor ORDER BY l.id) FILTER (WHERE l.currency IS NOT NULL))[1] AS value_minor,
                   (array_agg(l.currency ORDER BY l.id) FILTER (WHERE l.currency IS NOT NULL))[1] AS currency,
                   (array_agg(l.status ORDER BY l.id) FILTER (WHERE l.status <> 'cancelled'))[1] AS living,
                   max(l.calendar) AS calendar
            FROM ({LONG}) AS l GROUP BY l.studio_id, l.event
        ) AS l
        WHERE {OF_EVENT};
        DELETE FROM booking AS b USING ({LONG}) AS l WHERE b.id = l.id;
    END $do$
"""
LENGTHEN_BATCH = """
    UPDATE booking SET external_id = coalesce(calendar_id, 'primary') || '/' || external_id
    WHERE id > '{after}' AND id <= '{last}' AND platform = 'google' AND external_id NOT LIKE '%/%'
"""
OF_STREAM = "platform = 'google' AND stream = 'bookings'"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(ADD_COLUMNS)
        op.execute(SHORTEN_KEYS)
        with _owner_sees("booking", "attribution"):
            for after, last in _batches():
                op.execute(SHORTEN_BATCH.format(after=after, last=last))
        with _owner_sees("sync_schedule"):
            op.execute(f"UPDATE sync_schedule SET refused_deletions = 0 WHERE {OF_STREAM} AND refused_deletions > 0")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS booking_series_idx")
        op.execute(
            "CREATE INDEX CONCURRENTLY booking_series_idx ON booking (studio_id, series_id) WHERE series_id IS NOT NULL"
        )
    op.create_table(
        "connected_account",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("connection_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("selected", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("rule", sa.Text(), server_default="matching", nullable=False),
        sa.Column("words", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("rule IN ('all', 'matching')", name=op.f("connected_account_rule_check")),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("connected_account_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["studio_id", "connection_id"],
            ["platform_connection.studio_id", "platform_connection.id"],
            name=op.f("connected_account_studio_id_connection_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("connected_account_pkey")),
        sa.UniqueConstraint(
            "studio_id",
            "connection_id",
            "kind",
            "external_id",
            name=op.f("connected_account_studio_id_connection_id_kind_external_id_key"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    isolate("connected_account")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP TRIGGER IF EXISTS shorten_key ON booking")
        op.execute("DROP FUNCTION IF EXISTS public.shorten_booking_key()")
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS booking_series_idx")
        with _owner_sees("booking"):
            for after, last in _batches():
                op.execute(LENGTHEN_BATCH.format(after=after, last=last))
        with _owner_sees("connection_event"):
            # A kind that the release before does not know.
            op.execute("DELETE FROM connection_event WHERE kind = 'rule_changed'")
    op.execute("ALTER TABLE booking DROP COLUMN calendar_id, DROP COLUMN guests")
    op.drop_table("connected_account")


@contextmanager
def _owner_sees(*tables: str) -> Iterator[None]:
    """Row-level security is forced on the owner as well, who would find nothing to change."""
    for table in tables:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    try:
        yield
    finally:
        for table in tables:
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def _batches() -> Iterator[tuple[str, str]]:
    """Bookings by their ids, each batch after one id and up to another."""
    after = "00000000-0000-0000-0000-000000000000"
    next_batch = sa.text(
        "SELECT id FROM (SELECT id FROM booking WHERE id > :after ORDER BY id LIMIT :size) AS b ORDER BY id DESC LIMIT 1"
    )
    while last := op.get_bind().scalar(next_batch, {"after": after, "size": BATCH}):
        yield after, str(last)
        after = str(last)
