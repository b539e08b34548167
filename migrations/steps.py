"""Steps shared by migrations: tenant tables, cross-tenant functions, and replacements while a table is in use."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import op

from chalicelib.data.system.functions import OWNER, load_function
from migrations.privileges import DEFINER, LOGINS, TABLES

PROVED_STUDIO = "(SELECT cross_tenant.current_studio())"
"""As a subquery it is evaluated once per table and statement instead of once per row."""


def isolate(table: str, *, key: str = "studio_id") -> None:
    """Each studio sees only its own rows; this applies to the table's owner too."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    own = f"{key} = {PROVED_STUDIO}"
    op.execute(f"CREATE POLICY tenant ON {table} USING ({own}) WITH CHECK ({own})")


def grant(table: str, privileges: Mapping[str, str]) -> None:
    """Verbs by role, as in migrations/privileges.py. The definer's apply to the rows of all studios."""
    for role, verbs in privileges.items():
        op.execute(f"GRANT {verbs} ON {table} TO {role}")
    if DEFINER in privileges and _is_isolated(table):
        op.execute(f"CREATE POLICY cross_tenant ON {table} TO {DEFINER} USING (true) WITH CHECK (true)")


def grant_listed(*tables: str) -> None:
    """Grants the listed privileges on these tables. A later revision that adds a column grants its privileges."""
    for table in tables:
        present = set(op.get_bind().exec_driver_sql(f"SELECT * FROM {table} LIMIT 0").keys()) | {"ctid"}
        grant(table, {role: _of_columns(verbs, present) for role, verbs in TABLES[table].items()})


def _of_columns(verbs: str, present: set[str]) -> str:
    def existing(listed: re.Match[str]) -> str:
        return f"({', '.join(name for name in listed[1].split(', ') if name in present)})"

    return re.sub(r"\((.*?)\)", existing, verbs)


def _is_isolated(table: str) -> bool:
    return bool(
        op.get_bind().exec_driver_sql(f"SELECT relrowsecurity FROM pg_class WHERE oid = '{table}'::regclass").scalar()
    )


def apply_function(name: str, version: int) -> None:
    """Creates a cross-tenant function or replaces it in place, so that it exists at all times. Requires a transaction.

    Its owner is the role that sees all studios, and only the callers listed in its file may execute it.
    """
    function = load_function(name, version)
    owner = str(op.get_bind().exec_driver_sql("SELECT quote_ident(CURRENT_USER)").scalar())
    callers = ", ".join(owner if caller == OWNER else caller for caller in function.callers)
    op.execute(f"GRANT CREATE ON SCHEMA cross_tenant TO {DEFINER}")
    op.execute(f"SET LOCAL ROLE {DEFINER}")
    op.execute(function.sql)
    op.execute(f"REVOKE ALL ON FUNCTION cross_tenant.{name} FROM PUBLIC, {', '.join(LOGINS)}")
    op.execute(f"GRANT EXECUTE ON FUNCTION cross_tenant.{name} TO {callers}")
    op.execute("RESET ROLE")
    op.execute(f"REVOKE CREATE ON SCHEMA cross_tenant FROM {DEFINER}")


def replace_check(table: str, name: str, condition: str) -> None:
    """Requires autocommit. Reads the table under a weak lock only, and may be interrupted."""
    new = f"{name}_new"
    op.execute(
        f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {new}, ADD CONSTRAINT {new} CHECK ({condition}) NOT VALID"
    )
    op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {new}")
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
    op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {new} TO {name}")


def replace_index(name: str, target: str, *, unique: bool = False) -> None:
    """Requires autocommit. No write waits for it. Removes the remains of an interrupted attempt first.

    `target` is what follows ON: `booking (studio_id, series_id) WHERE series_id IS NOT NULL`.
    """
    op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    op.execute(f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY {name} ON {target}")


@contextmanager
def owner_sees(*tables: str) -> Iterator[None]:
    """Row-level security applies to the owner too, who would otherwise find no rows to change."""
    for table in tables:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    try:
        yield
    finally:
        for table in tables:
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def batches(table: str, size: int) -> Iterator[tuple[str, str]]:
    """The table's ids in order, `size` per batch: each batch is after one id and up to another."""
    after = "00000000-0000-0000-0000-000000000000"
    last_of_batch = sa.text(
        f"SELECT id FROM (SELECT id FROM {table} WHERE id > :after ORDER BY id LIMIT :size) AS b"
        " ORDER BY id DESC LIMIT 1"
    )
    while last := op.get_bind().scalar(last_of_batch, {"after": after, "size": size}):
        yield after, str(last)
        after = str(last)
