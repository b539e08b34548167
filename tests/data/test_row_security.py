"""Row-level security, roles and cross-tenant functions, as the server itself lists and enforces them."""

import re
from collections.abc import Iterator
from uuid import UUID

import pg8000.native
import pytest
from sqlalchemy import ForeignKeyConstraint

from chalicelib.data.models import Base
from dev.postgres import JOINT
from dev.tenants import act_as
from migrations.privileges import ADMIN, API, LOGINS, SYNC
from tests.conftest import ROOT, Database
from tests.data.attack import INTRUDER, VICTIM, refused
from tests.data.rows import SHARED, TENANT_TABLES, Rows, key_of, snapshot

PLAIN_FUNCTIONS = {"charged_bucket"}
"""They compute only from their arguments."""
UNPROTECTED = {"alembic_version", *SHARED}
PROVING = "cross_tenant.current_studio()"
"""Called by the policies, which also apply to the owner of the tables."""
PLANNER_SETTINGS = {"enable_bitmapscan=off", "enable_sort=off"}
"""What a function may set besides, for a plan that its batches need"""


@pytest.fixture(params=[API, SYNC, ADMIN])
def app(clean_database: Database, request: pytest.FixtureRequest) -> Iterator[pg8000.native.Connection]:
    """A session of each role that uses tables, free to send any SQL."""
    connection = clean_database.connect(request.param)
    yield connection
    connection.close()


@pytest.fixture
def widest(clean_database: Database, every_privilege: None) -> Iterator[pg8000.native.Connection]:
    """A session with every privilege on every tenant table: only the policies restrict it."""
    connection = clean_database.connect(JOINT)
    yield connection
    connection.close()


def tables(superuser: pg8000.native.Connection) -> dict[str, tuple[bool, bool]]:
    """Every table of schema public, with whether its row-level security is enabled and forced."""
    rows = superuser.run(
        "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')"
    )
    return {name: (enabled, forced) for name, enabled, forced in rows or ()}


def tenant_tables() -> list[str]:
    return [table.name for table in TENANT_TABLES]


def test_every_table_is_known_to_the_models(superuser: pg8000.native.Connection) -> None:
    assert set(tables(superuser)) == {*Base.metadata.tables, "alembic_version"}


def test_every_table_has_forced_row_level_security(superuser: pg8000.native.Connection) -> None:
    open_tables = {name for name, security in tables(superuser).items() if security != (True, True)}
    assert open_tables == UNPROTECTED


def test_every_policy_restricts_reads_and_writes_to_the_studio_or_definer(
    superuser: pg8000.native.Connection,
) -> None:
    rows = superuser.run(
        "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'public'"
    )
    current = "( SELECT cross_tenant.current_studio() AS current_studio)"
    definer, tenants = set(), set()
    for table, name, permissive, roles, command, reads, writes in rows or ():
        if roles == "{ansel_definer}":
            definer.add(table)
            continue
        tenants.add(table)
        own = f"({key_of(table)} = {current})"
        assert (name, permissive, roles, command) == ("tenant", "PERMISSIVE", "{public}", "ALL")
        assert (reads, writes) == (own, own), table
    assert tenants == set(tenant_tables())
    assert definer == {
        *("studio", "api_key", "sync_schedule", "sync_log", "sync_seen", "idempotency_key"),
        *("oauth_state", "pending_grant", "platform_connection", "webhook_delivery", "data_key", "quarantine"),
        *("connection_event", "account_quota", "set_aside", "rate_limit", "audit_entry"),
    }


def test_no_view_bypasses_a_policy(superuser: pg8000.native.Connection) -> None:
    rows = superuser.run(
        "SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
        " WHERE relkind IN ('v', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    assert rows == []


@pytest.mark.parametrize("actor", [INTRUDER, None], ids=["another studio", "no studio"])
@pytest.mark.parametrize("table", tenant_tables())
def test_raw_sql_reaches_no_other_studios_rows(
    table: str, actor: UUID | None, victim: Rows, widest: pg8000.native.Connection, superuser: pg8000.native.Connection
) -> None:
    key = key_of(table)
    before = snapshot(superuser, VICTIM)
    act_as(widest, actor)
    assert widest.run(f"SELECT count(*) FROM {table}") == [[0 if actor is None else 1]]
    assert widest.run(f"SELECT * FROM {table} WHERE {key} = :victim", victim=VICTIM) == []
    widest.run(f"UPDATE {table} SET {key} = {key} WHERE {key} = :victim", victim=VICTIM)
    assert widest.row_count == 0
    widest.run(f"DELETE FROM {table} WHERE {key} = :victim", victim=VICTIM)
    assert widest.row_count == 0
    stolen = superuser.run(f"SELECT to_json(t)::text FROM {table} AS t WHERE {key} = :id", id=VICTIM)
    assert stolen
    copy = f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, CAST(:row AS json))"
    refused(lambda: widest.run(copy, row=stolen[0][0]), "42501")
    if actor is not None:
        refused(lambda: widest.run(f"UPDATE {table} SET {key} = :victim", victim=VICTIM), "42501")
    assert snapshot(superuser, VICTIM) == before


def references() -> list[ForeignKeyConstraint]:
    """Every foreign key from one tenant table to another, except those to the studio itself."""
    rows = [
        constraint
        for table in TENANT_TABLES
        for constraint in table.constraints
        if isinstance(constraint, ForeignKeyConstraint) and constraint.referred_table.name != "studio"
    ]
    return sorted(rows, key=lambda constraint: str(constraint.name))


@pytest.mark.parametrize("reference", references(), ids=lambda reference: str(reference.name))
def test_no_foreign_key_leaves_the_studio(
    reference: ForeignKeyConstraint, victim: Rows, widest: pg8000.native.Connection, superuser: pg8000.native.Connection
) -> None:
    """Foreign keys are checked without row-level security, so they must include the studio."""
    (column,) = (name for name in reference.column_keys if name != "studio_id")
    act_as(widest, INTRUDER)
    superuser.run("DELETE FROM sync_seen WHERE studio_id = :id", id=VICTIM)  # its key would collide first
    target = victim[reference.referred_table.name]["id"]
    statement = f"UPDATE {reference.table.name} SET {column} = :target"
    refused(lambda: widest.run(statement, target=target), "23503")


@pytest.mark.parametrize("role", LOGINS)
def test_the_role_of_a_function_owns_nothing(role: str, superuser: pg8000.native.Connection) -> None:
    owned = superuser.run(
        "SELECT classid::regclass, objid FROM pg_shdepend"
        " WHERE refobjid = CAST(CAST(:role AS text) AS regrole) AND deptype = 'o'"
        " AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))",
        role=role,
    )
    assert owned == []


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE ansel_owner",
        "SET ROLE ansel_definer",
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION ansel_owner",
        "ALTER TABLE booking DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE booking NO FORCE ROW LEVEL SECURITY",
        "ALTER ROLE ansel_api BYPASSRLS",
        "DROP POLICY tenant ON booking",
        "CREATE POLICY mine ON booking USING (true)",
        "TRUNCATE sync_seen",
        "DELETE FROM data_deletion",
        "SELECT * FROM tenant_key",
        "SELECT count(*) FROM tenant_key",
        "INSERT INTO tenant_key (fingerprint, inner_pad, outer_pad) VALUES ('a', '', '')",
        "UPDATE tenant_key SET inner_pad = ''",
        "DELETE FROM tenant_key",
        "COPY tenant_key TO STDOUT",
        "CREATE OR REPLACE FUNCTION cross_tenant.current_studio() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
        "ALTER FUNCTION cross_tenant.current_studio() RESET ALL",
        "UPDATE data_deletion SET code_hash = ''",
        "UPDATE alembic_version SET version_num = '0000'",
        "CREATE TABLE public.mine ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION cross_tenant.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION cross_tenant.find_api_key(uuid) OWNER TO ansel_api",
        "CREATE VIEW public.mine AS SELECT 1",
    ],
)
def test_the_application_cannot_loosen_its_restrictions(statement: str, app: pg8000.native.Connection) -> None:
    refused(lambda: app.run(statement), "42501")


def test_with_row_security_off_the_query_is_rejected(victim: Rows, app: pg8000.native.Connection) -> None:
    app.run("SET row_security = off")
    refused(lambda: app.run("SELECT * FROM booking"), "42501")


def test_the_policies_apply_to_the_owner_of_the_tables_too(victim: Rows, clean_database: Database) -> None:
    owner = clean_database.connect("ansel_owner")
    counts = [owner.run(f"SELECT count(*) FROM {table}") for table in tenant_tables()]
    owner.close()
    assert counts == [[[0]]] * len(counts)


def test_the_documented_functions_are_complete_and_closed_to_others(
    superuser: pg8000.native.Connection,
) -> None:
    rows = superuser.run(
        "SELECT p.oid::regprocedure::text, proowner::regrole::text, proconfig, prosecdef,"
        " has_function_privilege('public', p.oid, 'EXECUTE'),"
        " (SELECT array_agg(DISTINCT grantee::regrole::text) FROM aclexplode(proacl))"
        " FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace"
        " WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND prorettype <> 'trigger'::regtype"
    )
    functions = [row for row in rows or () if row[0].partition("(")[0] not in PLAIN_FUNCTIONS]
    for name, owner, settings, definer, public, grantees in functions:
        search_path = [] if name == PROVING else ["search_path=pg_catalog, pg_temp"]
        others = [each for each in settings or () if each not in PLANNER_SETTINGS]
        assert (owner, others, definer) == ("ansel_definer", search_path, True), name
        assert public is False, name
        assert set(grantees) <= {*LOGINS, "ansel_definer", *(["ansel_owner"] if name == PROVING else [])}, name
    documented = re.findall(r"^- `(cross_tenant\.\w+\([^`]*\))`", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
    assert sorted(name for name, *_ in functions) == sorted(documented)


def test_a_plain_function_has_only_its_callers_rights(superuser: pg8000.native.Connection) -> None:
    rows = superuser.run(
        "SELECT proname, prosecdef FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace AND prorettype <> 'trigger'::regtype"
    )
    assert dict(rows or ()) == dict.fromkeys(PLAIN_FUNCTIONS, False)


def test_there_is_no_trigger(superuser: pg8000.native.Connection) -> None:
    """It would act with the rights of the writer."""
    rows = superuser.run("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
    assert rows == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT access_token FROM platform_connection",
        "SELECT refresh_token FROM platform_connection",
        "UPDATE platform_connection SET status = 'active'",
        "SELECT access_token FROM pending_grant",
        "SELECT external_account_name FROM pending_grant",
        "UPDATE pending_grant SET expires_at = 'infinity'",
        "SELECT event_id FROM webhook_delivery",
        "UPDATE webhook_delivery SET delivered_at = now()",
        "SELECT secret FROM webhook_endpoint",
        "SELECT message FROM connection_event",
        "UPDATE connection_event SET kind = 'recovered'",
        "SELECT code_hash FROM data_deletion",
        "SELECT wrapped FROM data_key",
        "DELETE FROM quarantine",
        "DELETE FROM data_key",
        "DELETE FROM tenant_key",
        "UPDATE tenant_key SET inner_pad = ''",
        "SELECT * FROM booking",
        "UPDATE api_key SET revoked_at = NULL",
        "UPDATE sync_schedule SET frequency = 'daily'",
        "UPDATE sync_log SET status = 'failed'",
        "UPDATE sync_log SET finished_at = now()",
        "DELETE FROM sync_schedule",
        "DELETE FROM studio",
        "SELECT external_id FROM sync_seen",
        "INSERT INTO sync_seen (run_id) VALUES (uuidv7())",
        "SELECT key FROM idempotency_key",
        "SELECT body FROM idempotency_key",
        "UPDATE idempotency_key SET body = NULL",
        "CREATE FUNCTION cross_tenant.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_the_definer_has_no_more_than_its_functions_need(statement: str, superuser: pg8000.native.Connection) -> None:
    superuser.run("SET ROLE ansel_definer")
    try:
        refused(lambda: superuser.run(statement), "42501")
    finally:
        superuser.run("RESET ROLE")
