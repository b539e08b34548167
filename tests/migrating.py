"""Shared by tests of migrations: the samples, and a database's complete catalog, including grants."""

import os
from argparse import Namespace

from alembic.config import Config
from alembic.script import ScriptDirectory

from chalicelib.services.operations import migrations
from tests.conftest import ROOT, Database

SAMPLE_VERSIONS = (*migrations.VERSIONS, ROOT / "tests/sample_migrations")
"""The product's revisions, and two that show how later ones work on a live system."""
CATALOG = {
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
    """,
    "indexes": "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "column grants": """
        SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute
        WHERE attacl IS NOT NULL AND attrelid >= 16384
    """,
    "policies": "SELECT * FROM pg_policies",
    "functions": """
        SELECT p.oid::regprocedure::text, prosrc, proconfig, coalesce(proacl, acldefault('f', proowner))::text
        FROM pg_proc AS p
        JOIN pg_namespace AS n ON n.oid = pronamespace
        WHERE nspname NOT IN ('pg_catalog', 'information_schema')
    """,
    "tables": """
        SELECT relname, relrowsecurity, relforcerowsecurity, coalesce(relacl, acldefault('r', relowner))::text
        FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
    """,
    "schemas": """
        SELECT nspname, coalesce(nspacl, acldefault('n', nspowner))::text
        FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
    """,
    "types": "SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace",
}
"""Everything a migration may leave in a database, role grants included."""

Catalog = dict[str, set[str]]


def sample_config(**timeouts: str) -> Config:
    """Alembic, configured with the samples as well."""
    config = Config(ROOT / "alembic.ini", cmd_opts=Namespace(x=[f"{name}={value}" for name, value in timeouts.items()]))
    config.set_main_option("version_locations", os.pathsep.join(map(str, SAMPLE_VERSIONS)))
    return config


def revisions(config: Config) -> list[str]:
    """In the order in which they are applied."""
    return [script.revision for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions()))]


SAMPLES = revisions(sample_config())[-2:]


def catalog(database: Database) -> Catalog:
    connection = database.connect()
    catalog = {name: {repr(row) for row in connection.run(query) or ()} for name, query in CATALOG.items()}
    connection.close()
    return catalog


def revision(database: Database) -> str | None:
    connection = database.connect()
    rows = connection.run("SELECT version_num FROM alembic_version") or []
    connection.close()
    return rows[0][0] if rows else None


def without_version_table(found: Catalog) -> Catalog:
    return {name: {row for row in rows if "alembic_version" not in row} for name, rows in found.items()}
