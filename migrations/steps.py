"""Steps that migrations share: tenant tables, doors, and checks that are replaced while a table is in use."""

from collections.abc import Iterable, Mapping

from alembic import op

NAMED_STUDIO = "(SELECT nullif(current_setting('app.studio_id', true), '')::uuid)"
"""Of policies before 0021."""
PROVED_STUDIO = "(SELECT door.current_studio())"
"""Of those since. As a subquery it is evaluated once a table and statement, and not once a row."""


def isolate(table: str, *, key: str = "studio_id") -> None:
    """Each studio sees its own rows, the owner of the table included."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    own = f"{key} = {PROVED_STUDIO if proves_studios() else NAMED_STUDIO}"
    op.execute(f"CREATE POLICY tenant ON {table} USING ({own}) WITH CHECK ({own})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO ansel_app")


def tenant_policies() -> list[tuple[str, str]]:
    """The tables with a studio's rows, and the column that says whose each is."""
    found = op.get_bind().exec_driver_sql("SELECT tablename FROM pg_policies WHERE policyname = 'tenant' ORDER BY 1")
    return [(table, "id" if table == "studio" else "studio_id") for (table,) in found]


def proves_studios() -> bool:
    """Whether the function is there that 0021 makes; after a downgrade from a later revision it is not."""
    return bool(op.get_bind().exec_driver_sql("SELECT to_regprocedure('door.current_studio()') IS NOT NULL").scalar())


def open_doors(
    doors: Mapping[str, str], grants: Mapping[str, str], newly_seen: Iterable[str], *, to: str = "ansel_app"
) -> None:
    """Functions of the door role's, which see across studios, for the role `to` to call: bodies by signature.

    `grants` are what they need beyond the role's rights so far, by table; `newly_seen` are tables no door looked at.
    """
    for table, grant in grants.items():
        op.execute(f"GRANT {grant} ON {table} TO ansel_door")
    for table in newly_seen:
        op.execute(f"CREATE POLICY door ON {table} TO ansel_door USING (true) WITH CHECK (true)")
    op.execute("GRANT CREATE ON SCHEMA door TO ansel_door")
    for signature, body in doors.items():
        _open_door(signature, body, to)
    op.execute("REVOKE CREATE ON SCHEMA door FROM ansel_door")


def close_doors(doors: Iterable[str], grants: Mapping[str, str], newly_seen: Iterable[str]) -> None:
    for signature in doors:
        op.execute(f"DROP FUNCTION door.{signature}")
    for table in newly_seen:
        op.execute(f"DROP POLICY door ON {table}")
    for table, grant in grants.items():
        op.execute(f"REVOKE {grant} ON {table} FROM ansel_door")


def _open_door(signature: str, body: str, to: str) -> None:
    volatility = "STABLE" if "find_" in signature or "_is_" in signature else "VOLATILE"
    function = f"door.{signature}"
    op.execute(
        f"""
        CREATE FUNCTION {function} RETURNS json LANGUAGE sql {volatility} SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS $body${body}$body$
        """
    )
    op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {to}")
    op.execute(f"ALTER FUNCTION {function} OWNER TO ansel_door")


def replace_check(table: str, name: str, condition: str) -> None:
    """Where each statement commits by itself: reads the table under a weak lock only, and may be interrupted."""
    new = f"{name}_new"
    op.execute(
        f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {new}, ADD CONSTRAINT {new} CHECK ({condition}) NOT VALID"
    )
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {new}")
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
    op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {new} TO {name}")
