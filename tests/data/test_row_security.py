"""Row-level security, roles and cross-tenant functions, as the server itself lists and enforces them."""

import re
from collections.abc import Iterator
from uuid import UUID

import pg8000.native
import pytest
from sqlalchemy import ForeignKeyConstraint

from chalicelib.data.models import Base
from dev.tenants import act_as
from tests.conftest import ROOT, Database
from tests.data.attack import INTRUDER, VICTIM, refused
from tests.data.rows import SHARED, TENANT_TABLES, Rows, key_of, snapshot

PLAIN_FUNCTIONS = {"charged_bucket"}
"""They compute from what they are given."""
UNPROTECTED = {"alembic_version", *SHARED}
OF_THE_ADMINISTRATOR = {
    "cross_tenant.find_studios(uuid,integer)",
    "cross_tenant.find_keys_to_rewrap(text[],uuid,integer)",
    "cross_tenant.find_studios_to_rekey(timestamp with time zone,uuid,integer)",
    "cross_tenant.find_quarantined(uuid,integer)",
    "cross_tenant.find_key_counts()",
    "cross_tenant.find_waits(integer)",
    "cross_tenant.resume_deferred_runs(text,integer)",
}
"""Functions that the application itself may not call."""
PROVING = "cross_tenant.current_studio()"
"""Called by the policies, which hold the owner of the tables as well."""


@pytest.fixture
def app(clean_database: Database) -> Iterator[pg8000.native.Connection]:
    """A session of the application's role, free to send any SQL."""
    connection = clean_database.connect("ansel_app")
    yield connection
    connection.close()


def tables(superuser: pg8000.native.Connection) -> dict[str, tuple[bool, bool]]:
    """Every table of schema public, with whether its row-level security is enabled and forced."""
    found = superuser.run(
        "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')"
    )
    return {name: (enabled, forced) for name, enabled, forced in found or ()}


def tenant_tables() -> list[str]:
    return [table.name for table in TENANT_TABLES]


def test_every_table_is_known_to_the_models(superuser: pg8000.native.Connection) -> None:
    assert set(tables(superuser)) == {*Base.metadata.tables, "alembic_version"}


def test_every_table_has_forced_row_level_security(superuser: pg8000.native.Connection) -> None:
    open_tables = {name for name, security in tables(superuser).items() if security != (True, True)}
    assert open_tables == UNPROTECTED


def test_every_policy_holds_reads_and_writes_to_the_studio_or_to_a_cross_tenant_function(
    superuser: pg8000.native.Connection,
) -> None:
    found = superuser.run(
        "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'public'"
    )
    current = "( SELECT cross_tenant.current_studio() AS current_studio)"
    definer, tenants = set(), set()
    for table, name, permissive, roles, command, reads, writes in found or ():
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
        *("connection_event", "account_quota", "set_aside", "rate_limit"),
    }


def test_there_is_no_view_to_look_around_a_policy(superuser: pg8000.native.Connection) -> None:
    found = superuser.run(
        "SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
        " WHERE relkind IN ('v', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    assert found == []


@pytest.mark.parametrize("actor", [INTRUDER, None], ids=["another studio", "no studio"])
@pytest.mark.parametrize("table", tenant_tables())
def test_plain_sql_of_the_application_reaches_no_other_studios_rows(
    table: str, actor: UUID | None, victim: Rows, app: pg8000.native.Connection, superuser: pg8000.native.Connection
) -> None:
    key = key_of(table)
    before = snapshot(superuser, VICTIM)
    act_as(app, actor)
    assert app.run(f"SELECT count(*) FROM {table}") == [[0 if actor is None else 1]]
    assert app.run(f"SELECT * FROM {table} WHERE {key} = :victim", victim=VICTIM) == []
    app.run(f"UPDATE {table} SET {key} = {key} WHERE {key} = :victim", victim=VICTIM)
    assert app.row_count == 0
    app.run(f"DELETE FROM {table} WHERE {key} = :victim", victim=VICTIM)
    assert app.row_count == 0
    stolen = superuser.run(f"SELECT to_json(t)::text FROM {table} AS t WHERE {key} = :id", id=VICTIM)
    assert stolen
    copy = f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, CAST(:row AS json))"
    refused(lambda: app.run(copy, row=stolen[0][0]), "42501")
    if actor is not None:
        refused(lambda: app.run(f"UPDATE {table} SET {key} = :victim", victim=VICTIM), "42501")
    assert snapshot(superuser, VICTIM) == before


def references() -> list[ForeignKeyConstraint]:
    """Every foreign key from one tenant table to another, the studio itself apart."""
    found = [
        constraint
        for table in TENANT_TABLES
        for constraint in table.constraints
        if isinstance(constraint, ForeignKeyConstraint) and constraint.referred_table.name != "studio"
    ]
    return sorted(found, key=lambda constraint: str(constraint.name))


@pytest.mark.parametrize("reference", references(), ids=lambda reference: str(reference.name))
def test_no_reference_leaves_the_studio(
    reference: ForeignKeyConstraint, victim: Rows, app: pg8000.native.Connection, superuser: pg8000.native.Connection
) -> None:
    """Foreign keys are checked past row-level security, so the studio has to be a part of them."""
    (column,) = (name for name in reference.column_keys if name != "studio_id")
    act_as(app, INTRUDER)
    superuser.run("DELETE FROM sync_seen WHERE studio_id = :id", id=VICTIM)  # its key would collide first
    target = victim[reference.referred_table.name]["id"]
    statement = f"UPDATE {reference.table.name} SET {column} = :target"
    refused(lambda: app.run(statement, target=target), "23503")


def test_the_applications_role_has_no_power_of_its_own(superuser: pg8000.native.Connection) -> None:
    attributes = "rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication"
    roles = superuser.run(
        f"SELECT rolname, rolcanlogin, {attributes} FROM pg_roles"
        " WHERE rolname IN ('ansel_admin', 'ansel_app', 'ansel_definer') ORDER BY 1"
    )
    assert roles == [
        ["ansel_admin", True, *[False] * 5],
        ["ansel_app", True, *[False] * 5],
        ["ansel_definer", False, *[False] * 5],
    ]
    assert superuser.run("SELECT roleid::regrole FROM pg_auth_members WHERE member = 'ansel_app'::regrole") == []


def test_the_administrators_role_is_the_applications_with_a_few_more_functions(
    superuser: pg8000.native.Connection,
) -> None:
    memberships = "SELECT roleid::regrole::text, inherit_option, set_option FROM pg_auth_members"
    assert superuser.run(f"{memberships} WHERE member = 'ansel_admin'::regrole") == [["ansel_app", True, False]]


def test_the_applications_role_owns_nothing(superuser: pg8000.native.Connection) -> None:
    owned = superuser.run(
        "SELECT classid::regclass, objid FROM pg_shdepend WHERE refobjid = 'ansel_app'::regrole AND deptype = 'o'"
        " AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))"
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
        "ALTER ROLE ansel_app BYPASSRLS",
        "DROP POLICY tenant ON booking",
        "CREATE POLICY mine ON booking USING (true)",
        "TRUNCATE sync_seen",
        "DELETE FROM data_deletion",
        "SELECT * FROM studio_erasure",
        "SELECT * FROM tenant_key",
        "SELECT count(*) FROM tenant_key",
        "INSERT INTO tenant_key (fingerprint, inner_pad, outer_pad) VALUES ('a', '', '')",
        "UPDATE tenant_key SET inner_pad = ''",
        "DELETE FROM tenant_key",
        "COPY tenant_key TO STDOUT",
        "CREATE OR REPLACE FUNCTION cross_tenant.current_studio() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
        "ALTER FUNCTION cross_tenant.current_studio() RESET ALL",
        "SELECT cross_tenant.find_studios('00000000-0000-0000-0000-000000000000', 1)",
        "UPDATE data_deletion SET code_hash = ''",
        "UPDATE alembic_version SET version_num = '0000'",
        "CREATE TABLE public.mine ()",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION cross_tenant.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION cross_tenant.find_api_key(uuid) OWNER TO ansel_app",
        "CREATE VIEW public.mine AS SELECT 1",
    ],
)
def test_the_application_cannot_loosen_what_holds_it(statement: str, app: pg8000.native.Connection) -> None:
    refused(lambda: app.run(statement), "42501")


def test_switching_row_security_off_refuses_the_query_instead_of_opening_it(
    victim: Rows, app: pg8000.native.Connection
) -> None:
    app.run("SET row_security = off")
    refused(lambda: app.run("SELECT * FROM booking"), "42501")


def test_the_owner_of_the_tables_is_held_to_the_policies_too(victim: Rows, clean_database: Database) -> None:
    owner = clean_database.connect("ansel_owner")
    counts = [owner.run(f"SELECT count(*) FROM {table}") for table in tenant_tables()]
    owner.close()
    assert counts == [[[0]]] * len(counts)


def test_the_documented_functions_are_all_there_are_and_each_is_closed_to_others(
    superuser: pg8000.native.Connection,
) -> None:
    found = superuser.run(
        "SELECT p.oid::regprocedure::text, proowner::regrole::text, proconfig, prosecdef,"
        " has_function_privilege('public', p.oid, 'EXECUTE'),"
        " (SELECT array_agg(DISTINCT grantee::regrole::text) FROM aclexplode(proacl))"
        " FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace"
        " WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND prorettype <> 'trigger'::regtype"
    )
    functions = [row for row in found or () if row[0].partition("(")[0] not in PLAIN_FUNCTIONS]
    for name, owner, settings, definer, public, grantees in functions:
        path = None if name == PROVING else ["search_path=pg_catalog, pg_temp"]
        assert (owner, settings, definer) == ("ansel_definer", path, True), name
        assert public is False, name
        callers = {"ansel_admin"} if name in OF_THE_ADMINISTRATOR else {"ansel_app"}
        assert set(grantees) == {*callers, "ansel_definer", *(["ansel_owner"] if name == PROVING else [])}, name
    documented = re.findall(r"^- `(cross_tenant\.\w+\([^`]*\))`", (ROOT / "docs/security.md").read_text(), re.MULTILINE)
    assert sorted(name for name, *_ in functions) == sorted(documented)


def test_a_function_that_sees_no_further_has_its_callers_rights_only(superuser: pg8000.native.Connection) -> None:
    found = superuser.run(
        "SELECT proname, prosecdef FROM pg_proc"
        " WHERE pronamespace = 'public'::regnamespace AND prorettype <> 'trigger'::regtype"
    )
    assert dict(found or ()) == dict.fromkeys(PLAIN_FUNCTIONS, False)


def test_there_is_no_trigger(superuser: pg8000.native.Connection) -> None:
    """It would act with the rights of whoever writes."""
    found = superuser.run("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")
    assert found == []


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
        "UPDATE sync_schedule SET cursor = NULL",
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
def test_the_definer_holds_no_more_than_its_functions_need(statement: str, superuser: pg8000.native.Connection) -> None:
    superuser.run("SET ROLE ansel_definer")
    try:
        refused(lambda: superuser.run(statement), "42501")
    finally:
        superuser.run("RESET ROLE")
