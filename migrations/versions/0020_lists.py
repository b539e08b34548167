"""No list of texts holds a NULL: what the word `null` in a request had become could not be read any more.

Expands only. Each statement on a table in use commits by itself, and may be the first after an interruption.
"""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

LISTS = (
    ("platform_connection", "scopes"),
    ("oauth_state", "streams"),
    ("pending_grant", "scopes"),
    ("pending_grant", "streams"),
    ("api_key", "scopes"),
    ("data_key", "wrapped_under"),
)
UNREAD = LISTS[:1] + LISTS[2:4]
"""Those that the door role may not read without further ado."""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for table, column in LISTS:
            name = f"{table}_{column}_check"
            op.execute(
                f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name},"
                f" ADD CONSTRAINT {name} CHECK (array_position({column}, NULL) IS NULL) NOT VALID"
            )
    for table, column in LISTS:
        repair(table, column)
    with op.get_context().autocommit_block():
        for table, column in LISTS:
            op.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_{column}_check")


def downgrade() -> None:
    for table, column in LISTS:
        op.drop_constraint(f"{table}_{column}_check", table)


def repair(table: str, column: str) -> None:
    """What was sent comes back, but for capitals: nothing else than that word could become a NULL.

    Row-level security is forced on the owner as well; the door role sees every studio's rows, with rights lent to it.
    """
    lent = f"UPDATE ({column})" + (f", SELECT ({column})" if (table, column) in UNREAD else "")
    op.execute(f"GRANT {lent} ON {table} TO ansel_door")
    op.execute("SET LOCAL ROLE ansel_door")
    op.execute(
        f"UPDATE {table} SET {column} = array_replace({column}, NULL, 'null')"
        f" WHERE array_position({column}, NULL) IS NOT NULL"
    )
    op.execute("RESET ROLE")
    op.execute(f"REVOKE {lent} ON {table} FROM ansel_door")
