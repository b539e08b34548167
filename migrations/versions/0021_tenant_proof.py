"""Contracts: row-level security demands a proof of the studio, where its name was enough.

For when no process of the release before is left: it names studios and proves none. The keys come from the environment
of whoever migrates (TENANT_PROOF_KEYS, or the secret of TENANT_PROOF_SECRET_ARN), and are in place before the first
policy asks for them. Each policy is changed by itself, and may be the first after an interruption.
"""

import sqlalchemy as sa
from alembic import op

from chalicelib.data.driver import PgConnection
from chalicelib.services.tenant_keys import apply_keys
from migrations.steps import NAMED_STUDIO, PROVED_STUDIO, proves_studios, tenant_policies

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# By the HMAC of RFC 2104, of core functions alone. Both sides are hashed once more before they are compared, so that how
# long that takes tells nothing. It belongs to the door role and runs with the caller's search_path, which costs less than
# a path of its own; so each name in it says its schema. A warning tells the product what no row can: that the studio it
# named is not proved.
CURRENT_STUDIO = """
    CREATE FUNCTION door.current_studio() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER AS $body$
    DECLARE
        studio pg_catalog.uuid := nullif(pg_catalog.current_setting('app.studio_id', true), '')::pg_catalog.uuid;
        proof pg_catalog.text := pg_catalog.current_setting('app.studio_proof', true);
    BEGIN
        IF studio IS NULL THEN
            RETURN NULL;
        END IF;
        PERFORM FROM public.tenant_key AS k
        WHERE pg_catalog.sha256(pg_catalog.convert_to(proof, 'UTF8')) OPERATOR(pg_catalog.=) pg_catalog.sha256(
            pg_catalog.convert_to(pg_catalog.encode(pg_catalog.sha256(k.outer_pad OPERATOR(pg_catalog.||)
                pg_catalog.sha256(k.inner_pad OPERATOR(pg_catalog.||) pg_catalog.uuid_send(studio))
            ), 'hex'), 'UTF8')
        );
        IF FOUND THEN
            RETURN studio;
        END IF;
        RAISE WARNING USING ERRCODE = 'TP001', MESSAGE = 'a studio is named and not proved';
        RETURN NULL;
    END
    $body$
"""


def upgrade() -> None:
    op.create_table(
        "tenant_key",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("inner_pad", sa.LargeBinary(), nullable=False),
        sa.Column("outer_pad", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("in_use_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("tenant_key_pkey")),
        if_not_exists=True,
    )
    op.execute("GRANT SELECT ON tenant_key TO ansel_door")
    if not proves_studios():
        create_function()
    connection = op.get_bind().connection.dbapi_connection
    if isinstance(connection, PgConnection):  # and nothing is to be made known by SQL that is only written down
        apply_keys(connection, only_these=False)
    change_policies(PROVED_STUDIO)


def create_function() -> None:
    op.execute(CURRENT_STUDIO)
    op.execute("REVOKE ALL ON FUNCTION door.current_studio() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION door.current_studio() TO ansel_app")
    op.execute("GRANT CREATE ON SCHEMA door TO ansel_door")
    op.execute("ALTER FUNCTION door.current_studio() OWNER TO ansel_door")
    op.execute("REVOKE CREATE ON SCHEMA door FROM ansel_door")
    # The policies are forced upon the owner of the tables as well. A right given before would have gone with the owner.
    op.execute("SET LOCAL ROLE ansel_door")
    op.execute("GRANT EXECUTE ON FUNCTION door.current_studio() TO SESSION_USER")
    op.execute("RESET ROLE")


def downgrade() -> None:
    change_policies(NAMED_STUDIO)
    op.execute("DROP FUNCTION door.current_studio()")
    op.drop_table("tenant_key")


def change_policies(current_studio: str) -> None:
    with op.get_context().autocommit_block():
        for table, key in tenant_policies():
            own = f"{key} = {current_studio}"
            op.execute(f"ALTER POLICY tenant ON {table} USING ({own}) WITH CHECK ({own})")
