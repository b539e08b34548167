"""Privileges: the database grants exactly what the list says, and each function's statements are permitted."""

import importlib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pg8000.native
import pytest

from chalicelib.data.models import Base
from chalicelib.data.postgres.query import Query
from migrations.privileges import ADMIN, API, DEFINER, LOGINS, MAINTENANCE, ROLES, SYNC, TABLES, TICK
from tests.data.aiming import every_built, queries
from tests.data.attack import refused
from tests.data.reach import reachable

VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
OF_COLUMNS = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
ENTRIES: Mapping[str, tuple[str, ...]] = {
    API: ("chalicelib.api", "chalicelib.runtime.dispatch", "chalicelib.runtime.invocation"),
    TICK: ("chalicelib.workers.tick",),
    SYNC: ("chalicelib.workers.sync",),
    MAINTENANCE: ("chalicelib.workers.maintenance",),
    ADMIN: ("chalicelib.workers.admin",),
}
"""The entry points of each deployed function, by the role it logs in as."""
AS_OWNER = {"LIST_TENANT_KEYS", "APPLY_TENANT_KEYS"}
"""The administrator runs these as the owner of the schema, as it does migrations."""
AHEAD = {(API, "audit_entry", "SELECT")}
"""With the right key the audit trail may be read, although no statement does so yet."""
FORBIDDEN: Mapping[str, tuple[str, ...]] = {
    API: (
        "DELETE FROM studio",
        "INSERT INTO studio (name) VALUES ('mine')",
        "UPDATE studio SET name = 'mine'",
        "INSERT INTO api_key (studio_id, name, secret_hash, scopes) VALUES (uuidv7(), 'mine', '', '{admin}')",
        "UPDATE api_key SET revoked_at = NULL",
        "SELECT secret_hash FROM api_key",
        "INSERT INTO data_key (studio_id, wrapped, provider) VALUES (uuidv7(), '', '')",
        "UPDATE data_key SET wrapped = ''",
        "DELETE FROM data_key",
        "DELETE FROM sync_log",
        "DELETE FROM connection_event",
        "UPDATE connection_event SET kind = 'recovered'",
        "DELETE FROM booking",
        "DELETE FROM platform_connection",
        "UPDATE audit_entry SET detail = '{}'",
        "DELETE FROM audit_entry",
        "SELECT cross_tenant.redact_audit(uuidv7(), 'x')",
        "SELECT * FROM studio_erasure",
        "SELECT cross_tenant.find_studios(uuidv7(), 1)",
        "SELECT cross_tenant.prune_runs(uuidv7(), 30, 1)",
        "SELECT cross_tenant.claim_due_schedules(1)",
    ),
    TICK: (
        "SELECT 1 FROM public.studio",
        "SELECT 1 FROM public.sync_log",
        "SELECT cross_tenant.current_studio()",
        "SELECT cross_tenant.prune_events(1)",
        "SELECT cross_tenant.find_api_key(uuidv7())",
    ),
    SYNC: (
        "INSERT INTO sync_log (studio_id, connection_id, platform, stream, trigger)"
        " VALUES (uuidv7(), uuidv7(), 'google', 'bookings', 'manual')",
        "DELETE FROM sync_log",
        "DELETE FROM booking",
        "DELETE FROM connection_event",
        "UPDATE connection_event SET kind = 'recovered'",
        "SELECT * FROM api_key",
        "SELECT * FROM audit_entry",
        "DELETE FROM audit_entry",
        "UPDATE data_key SET wrapped = ''",
        "UPDATE studio SET name = 'mine'",
        "INSERT INTO webhook_endpoint (studio_id, url, secret) VALUES (uuidv7(), 'https://x.example', '')",
        "SELECT body FROM idempotency_key",
        "SELECT cross_tenant.find_studios(uuidv7(), 1)",
    ),
    MAINTENANCE: (
        "SELECT 1 FROM public.sync_log",
        "DELETE FROM public.studio",
        "SELECT cross_tenant.current_studio()",
        "SELECT cross_tenant.find_api_key(uuidv7())",
        "SELECT cross_tenant.start_scheduled_runs('[]')",
    ),
    ADMIN: (
        "INSERT INTO booking (studio_id) VALUES (uuidv7())",
        "UPDATE booking SET title = ''",
        "UPDATE connection_event SET kind = 'recovered'",
        "INSERT INTO sync_log (studio_id) VALUES (uuidv7())",
        "SELECT * FROM audit_entry",
        "UPDATE audit_entry SET detail = '{}'",
        "DELETE FROM audit_entry",
        "DELETE FROM studio_erasure",
        "SELECT * FROM tenant_key",
        "SELECT cross_tenant.claim_due_schedules(1)",
    ),
}
"""Statements that would do harm in the hands of an attacker with a function's role."""

Granted = set[tuple[str, str, str, str]]
"""Role, table, verb, and the column, which is empty for the whole table."""


def listed() -> Granted:
    found: Granted = set()
    for table, grants in TABLES.items():
        for role, verbs in grants.items():
            for verb, columns in re.findall(r"([A-Z]+)(?: \((.*?)\))?", verbs):
                found |= {(role, table, verb, column) for column in (columns.split(", ") if columns else [""])}
    return found


def held(superuser: pg8000.native.Connection) -> Granted:
    tables = superuser.run(
        "SELECT r.role, c.relname, v.verb FROM unnest(CAST(:roles AS text[])) AS r (role),"
        " pg_class AS c, unnest(CAST(:verbs AS text[])) AS v (verb)"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')"
        " AND has_table_privilege(r.role, c.oid, v.verb)",
        roles=list(ROLES),
        verbs=list(VERBS),
    )
    whole = {(role, table, verb, "") for role, table, verb in tables or ()}
    columns = superuser.run(
        "SELECT r.role, c.relname, v.verb, a.attname FROM unnest(CAST(:roles AS text[])) AS r (role),"
        " pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid, unnest(CAST(:verbs AS text[])) AS v (verb)"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
        " AND has_column_privilege(r.role, c.oid, a.attnum, v.verb)",
        roles=list(ROLES),
        verbs=list(OF_COLUMNS),
    )
    apart = {tuple(row) for row in columns or () if (*row[:3], "") not in whole}
    return whole | apart


def test_the_database_grants_exactly_the_list(superuser: pg8000.native.Connection) -> None:
    assert held(superuser) == listed()


def test_the_list_names_every_table() -> None:
    assert TABLES.keys() == {*Base.metadata.tables, "alembic_version"}


def test_no_other_role_has_any_privilege(superuser: pg8000.native.Connection) -> None:
    granted = superuser.run(
        "SELECT DISTINCT coalesce(r.rolname, 'public') FROM ("
        "   SELECT relacl AS acl FROM pg_class"
        "   WHERE relnamespace IN ('public'::regnamespace, 'cross_tenant'::regnamespace)"
        "   UNION ALL SELECT attacl FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
        "   WHERE c.relnamespace = 'public'::regnamespace"
        "   UNION ALL SELECT coalesce(proacl, acldefault('f', proowner)) FROM pg_proc"
        "   WHERE pronamespace IN ('public'::regnamespace, 'cross_tenant'::regnamespace)"
        "   UNION ALL SELECT nspacl FROM pg_namespace WHERE nspname IN ('public', 'cross_tenant')"
        " ) AS every, aclexplode(acl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee"
    )
    assert {role for (role,) in granted or ()} == {*ROLES, "ansel_owner", "pg_database_owner"}


def test_no_role_has_memberships_or_attributes(superuser: pg8000.native.Connection) -> None:
    attributes = "rolcanlogin, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
    for role in ROLES:
        rows = superuser.run(f"SELECT {attributes} FROM pg_roles WHERE rolname = :role", role=role)
        assert rows == [[role in LOGINS, *[False] * 5]]
        assert superuser.run(f"SELECT FROM pg_auth_members WHERE member = '{role}'::regrole") == []


@cache
def queries_of(role: str) -> dict[str, Query[Any]]:
    """The queries that the role's function can run, by name: constants, those in dictionaries, those that are built."""
    names = reachable(ENTRIES[role])
    found = {each.name: each.query for each in every_built() if each.function in names}
    for name in names:
        module, _, attribute = name.rpartition(".")
        value = getattr(importlib.import_module(module), attribute, None)
        values = value if isinstance(value, dict) else {"": value}
        found |= {f"{attribute}{key}": query for key, query in values.items() if isinstance(query, Query)}
    return {name: query for name, query in found.items() if name not in AS_OWNER}


@pytest.mark.parametrize("role", LOGINS)
def test_a_function_may_run_each_of_its_statements(role: str, superuser: pg8000.native.Connection) -> None:
    queries = queries_of(role)
    assert queries
    superuser.run(f"SET ROLE {role}")
    try:
        for query in queries.values():
            superuser.run(f"EXPLAIN (GENERIC_PLAN) {query.sql}")
    finally:
        superuser.run("RESET ROLE")


@pytest.mark.parametrize("role", LOGINS)
def test_a_function_has_no_privilege_beyond_its_statements(role: str, superuser: pg8000.native.Connection) -> None:
    """Each privilege on a table is revoked in turn, and some statement must fail."""
    unused = set()
    for table, grants in TABLES.items():
        for verb in re.findall(r"[A-Z]+", re.sub(r" \(.*?\)", "", grants.get(role, ""))):
            superuser.run("BEGIN")
            superuser.run(f"REVOKE {verb} ON {table} FROM {role}")
            superuser.run(f"SET LOCAL ROLE {role}")
            if all(may_run(superuser, query) for query in queries_of(role).values()):
                unused.add((role, table, verb))
            superuser.run("ROLLBACK")
    assert unused == {granted for granted in AHEAD if granted[0] == role}


def may_run(superuser: pg8000.native.Connection, query: Query[Any]) -> bool:
    superuser.run("SAVEPOINT before")
    try:
        superuser.run(f"EXPLAIN (GENERIC_PLAN) {query.sql}")
    except pg8000.native.DatabaseError:
        superuser.run("ROLLBACK TO SAVEPOINT before")
        return False
    superuser.run("RELEASE SAVEPOINT before")
    return True


@pytest.mark.parametrize(
    ("role", "statement"), [(role, statement) for role, statements in FORBIDDEN.items() for statement in statements]
)
def test_harmful_statements_are_rejected(role: str, statement: str, superuser: pg8000.native.Connection) -> None:
    superuser.run(f"SET ROLE {role}")
    try:
        refused(lambda: superuser.run(statement), "42501")
    finally:
        superuser.run("RESET ROLE")


def test_every_query_of_the_product_is_run_by_some_function() -> None:
    known = {name for role in LOGINS for name in queries_of(role)}
    assert {name for constants in queries().values() for name in constants} - AS_OWNER <= known


def test_events_and_log_rows_are_append_only(superuser: pg8000.native.Connection) -> None:
    """For the roles that serve requests and runs: recorded events never change until their retention ends."""
    for role in (API, SYNC):
        assert not {"UPDATE", "DELETE"} & set(re.findall(r"[A-Z]+", TABLES["connection_event"][role]))
        assert "DELETE" not in TABLES["sync_log"][role]
    assert "UPDATE" not in TABLES["connection_event"][ADMIN]
    assert DEFINER in TABLES["connection_event"]
