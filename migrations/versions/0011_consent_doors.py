"""The doors of consent and keep-alive: an OAuth state by its hash, grants and deliveries that are due, shared grants."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

GRANTS: dict[str, str] = {}
"""What the door role needs beyond its grants so far, by table."""
NEWLY_SEEN: tuple[str, ...] = ()
"""Tables that no door has looked at before."""
DOORS: dict[str, str] = {}


def upgrade() -> None:
    for table, grant in GRANTS.items():
        op.execute(f"GRANT {grant} ON {table} TO ansel_door")
    for table in NEWLY_SEEN:
        op.execute(f"CREATE POLICY door ON {table} TO ansel_door USING (true) WITH CHECK (true)")
    op.execute("GRANT CREATE ON SCHEMA door TO ansel_door")
    for signature, body in DOORS.items():
        open_door(signature, body)
    op.execute("REVOKE CREATE ON SCHEMA door FROM ansel_door")


def downgrade() -> None:
    for signature in DOORS:
        op.execute(f"DROP FUNCTION door.{signature}")
    for table in NEWLY_SEEN:
        op.execute(f"DROP POLICY door ON {table}")
    for table, grant in GRANTS.items():
        op.execute(f"REVOKE {grant} ON {table} FROM ansel_door")


def open_door(signature: str, body: str) -> None:
    volatility = "STABLE" if "find_" in signature or "_is_" in signature else "VOLATILE"
    function = f"door.{signature}"
    op.execute(
        f"""
        CREATE FUNCTION {function} RETURNS json LANGUAGE sql {volatility} SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS $body${body}$body$
        """
    )
    op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO ansel_app")
    op.execute(f"ALTER FUNCTION {function} OWNER TO ansel_door")
