"""Limits: token buckets of keys and studios, how long a quota's reading holds, and deliveries that are tests.

What is added is no use to the release before, and in none of its ways: it goes on finding keys by `find_api_key`, and
leaves deliveries without an event to the next tick.
"""

import sqlalchemy as sa
from alembic import op

from migrations.steps import close_doors, isolate, open_doors

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

GRANTS = {"rate_limit": "SELECT, INSERT, UPDATE"}
NEWLY_SEEN = ("rate_limit",)

# A bucket is charged by moving the moment at which it is full again. Calls that were admitted before are charged
# whatever that leads to, up to a minute's debt; what is asked for now is charged only if there is room for it.
MAKE_CHARGED = """
    CREATE FUNCTION charged_bucket(
        full_at timestamptz, calls double precision, asked double precision, rate double precision,
        burst double precision
    ) RETURNS timestamptz LANGUAGE sql STABLE AS $body$
        SELECT CASE
            WHEN greatest(full_at, now()) + make_interval(secs => (calls + asked) / rate)
                 <= now() + make_interval(secs => burst / rate)
            THEN greatest(full_at, now()) + make_interval(secs => (calls + asked) / rate)
            ELSE least(
                greatest(full_at, now()) + make_interval(secs => calls / rate),
                now() + make_interval(secs => burst / rate + 60)
            )
        END
    $body$
"""
DOORS = {
    # Charged only for the right secret: a key's id is no secret, and who knows it must not use up what the key may
    # send. The key's bucket comes first, and a request that it has no room for costs the studio's nothing.
    """charge_api_key(
        key_id uuid, hash bytea, calls double precision, key_rate double precision, key_burst double precision,
        studio_rate double precision, studio_burst double precision
    )""": """
        WITH found AS (
            SELECT k.id, k.studio_id, k.secret_hash, k.scopes, k.expires_at, k.revoked_at FROM public.api_key AS k
            WHERE k.id = key_id
        ), of_key AS (
            INSERT INTO public.rate_limit AS b (studio_id, name, full_at)
            SELECT f.studio_id, f.id::text, public.charged_bucket(NULL, calls, 1, key_rate, key_burst)
            FROM found AS f WHERE f.secret_hash = hash AND f.revoked_at IS NULL
            ON CONFLICT ON CONSTRAINT rate_limit_pkey DO UPDATE SET
                full_at = public.charged_bucket(b.full_at, calls, 1, key_rate, key_burst)
            RETURNING
                b.studio_id, new.full_at,
                new.full_at > public.charged_bucket(old.full_at, calls, 0, key_rate, key_burst) AS admitted
        ), of_studio AS (
            INSERT INTO public.rate_limit AS b (studio_id, name, full_at)
            SELECT k.studio_id, 'studio',
                   public.charged_bucket(NULL, calls, k.admitted::integer, studio_rate, studio_burst)
            FROM of_key AS k
            ON CONFLICT ON CONSTRAINT rate_limit_pkey DO UPDATE SET
                full_at = public.charged_bucket(
                    b.full_at, calls, (SELECT k.admitted::integer FROM of_key AS k), studio_rate, studio_burst
                )
            RETURNING
                new.full_at,
                new.full_at > public.charged_bucket(old.full_at, calls, 0, studio_rate, studio_burst) AS admitted
        )
        SELECT json_build_object(
            'id', f.id, 'studioId', f.studio_id, 'secretHash', encode(f.secret_hash, 'base64'),
            'scopes', f.scopes, 'expiresAt', f.expires_at, 'revokedAt', f.revoked_at,
            'key', (SELECT json_build_object(
                'admitted', k.admitted, 'left',
                round((key_burst - key_rate * extract(epoch FROM k.full_at - now()))::numeric, 2)
            ) FROM of_key AS k),
            'studio', (SELECT json_build_object(
                'admitted', s.admitted, 'left',
                round((studio_burst - studio_rate * extract(epoch FROM s.full_at - now()))::numeric, 2)
            ) FROM of_studio AS s)
        )
        FROM found AS f
    """,
}
INDEXES = {
    "webhook_delivery_newest_idx": "INDEX CONCURRENTLY {name} ON webhook_delivery (studio_id, endpoint_id, id)",
    "webhook_delivery_one_test_idx": (
        "UNIQUE INDEX CONCURRENTLY {name} ON webhook_delivery (studio_id, endpoint_id)"
        " WHERE event_id IS NULL AND due_at IS NOT NULL"
    ),
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, index in INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE {index.format(name=name)}")
    op.alter_column("webhook_delivery", "event_id", nullable=True)
    op.add_column("app_quota", sa.Column("used_until", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "rate_limit",
        sa.Column("studio_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("full_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["studio_id"], ["studio.id"], name=op.f("rate_limit_studio_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("studio_id", "name", name=op.f("rate_limit_pkey")),
        prefixes=["UNLOGGED"],
        postgresql_with={"fillfactor": 50},
    )
    isolate("rate_limit")
    op.execute(MAKE_CHARGED)
    open_doors(DOORS, GRANTS, NEWLY_SEEN)


def downgrade() -> None:
    close_doors([signature.replace("\n", " ") for signature in DOORS], GRANTS, NEWLY_SEEN)
    op.execute("DROP FUNCTION charged_bucket")
    op.drop_table("rate_limit")
    op.drop_column("app_quota", "used_until")
    # Row-level security is forced on the owner as well, who would find nothing to delete.
    op.execute("ALTER TABLE webhook_delivery NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM webhook_delivery WHERE event_id IS NULL")
    op.execute("ALTER TABLE webhook_delivery FORCE ROW LEVEL SECURITY")
    op.alter_column("webhook_delivery", "event_id", nullable=False)
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
