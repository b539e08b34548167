"""The proof of a studio: a studio that is named but not proved reads and changes nothing, in any way."""

import hmac
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

import pg8000.native
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.data.postgres.database import Transaction, read, transaction, write
from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.tenants import pads_of, proof_of, studio_settings
from chalicelib.data.studios import GET_STUDIO
from chalicelib.errors import SettingsError
from chalicelib.secret import Secret
from dev.tenants import SET_STUDIO, act_as
from tests.conftest import Database, LogLines
from tests.data.attack import INTRUDER, VICTIM, refused
from tests.data.rows import TENANT_TABLES, Rows, key_of, snapshot

pytestmark = pytest.mark.usefixtures("every_privilege")

TABLES = [table.name for table in TENANT_TABLES]
INJECTED = {
    "for the transaction": f"set_config('app.studio_id', '{VICTIM}', true) IS NOT NULL",
    "for the session": f"set_config('app.studio_id', '{VICTIM}', false) IS NOT NULL",
}
NAME_VICTIM: Query[None] = Query(f"SELECT set_config('app.studio_id', '{VICTIM}', true)")
SHADOWS = """
    CREATE SCHEMA shadows;
    CREATE FUNCTION shadows.sha256(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT ''''::bytea';
    CREATE FUNCTION shadows.encode(bytea, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''''';
    CREATE FUNCTION shadows.always(bytea, bytea) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION shadows.first(bytea, bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS 'SELECT $1';
    CREATE OPERATOR shadows.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = shadows.always);
    CREATE OPERATOR shadows.|| (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = shadows.first);
    CREATE TABLE shadows.tenant_key AS SELECT * FROM public.tenant_key;
    GRANT USAGE ON SCHEMA shadows TO PUBLIC;
    GRANT SELECT ON shadows.tenant_key TO PUBLIC
"""


@pytest.fixture
def app(clean_database: Database) -> Iterator[pg8000.native.Connection]:
    """A session of the application's role, free to send any SQL."""
    connection = clean_database.connect("ansel_joint")
    yield connection
    connection.close()


def wrong_proofs() -> dict[str, str | None]:
    right, own = studio_settings(VICTIM)[1], studio_settings(INTRUDER)[1]
    return {
        "absent": None,
        "empty": "",
        "another studio's": own,
        "cut": right[:-1],
        "in capitals": right.upper(),
        "with more": f"{right} ",
        "of another key": hmac.digest(b"guess", VICTIM.bytes, "sha256").hex(),
        "no hexadecimal": "' OR true --",
    }


@pytest.mark.parametrize("injected", INJECTED.values(), ids=INJECTED)
@pytest.mark.parametrize("table", TABLES)
def test_an_injection_naming_another_studio_reads_and_changes_nothing(
    table: str, injected: str, victim: Rows, superuser: pg8000.native.Connection
) -> None:
    before, key = snapshot(superuser, VICTIM), key_of(table)
    named = f"WITH named AS MATERIALIZED (SELECT {injected} AS done)"
    for sql in (
        f"SELECT json_agg(t) FROM {table} AS t WHERE {injected}",
        f"{named} SELECT json_agg(t) FROM named, {table} AS t WHERE named.done",
        f"SELECT json_agg(t) FROM (SELECT {injected} AS done OFFSET 0) AS n, LATERAL (SELECT * FROM {table}) AS t",
    ):
        with suppress(SettingsError):
            found: Query[object] = Query(sql, object)
            assert str(VICTIM) not in repr(read(INTRUDER, found))
    for sql in (
        f"DELETE FROM {table} WHERE {injected}",
        f"{named} DELETE FROM {table} USING named WHERE named.done AND {table}.{key} = '{VICTIM}'",
        f"{named} UPDATE {table} SET {key} = {table}.{key} FROM named WHERE named.done",
    ):
        with suppress(SettingsError):
            change: Query[None] = Query(sql)
            write(INTRUDER, change)
    assert snapshot(superuser, VICTIM) == before


@pytest.mark.parametrize("table", TABLES)
def test_the_server_returns_no_rows_to_an_unproved_studio(
    table: str, victim: Rows, app: pg8000.native.Connection, superuser: pg8000.native.Connection
) -> None:
    before, key = snapshot(superuser, VICTIM), key_of(table)
    ((row,),) = superuser.run(f"SELECT to_json(t)::text FROM {table} AS t WHERE {key} = :id", id=VICTIM) or [[""]]
    copy = f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, CAST(:row AS json))"
    for name, proof in wrong_proofs().items():
        app.run(SET_STUDIO.format(local="false"), studio=str(VICTIM), proof=proof)
        assert app.run(f"SELECT count(*) FROM {table}") == [[0]], name
        app.run(f"UPDATE {table} SET {key} = {key}")
        assert app.row_count == 0, name
        app.run(f"DELETE FROM {table}")
        assert app.row_count == 0, name
        refused(lambda: app.run(copy, row=row), "42501")
    assert snapshot(superuser, VICTIM) == before
    act_as(app, VICTIM)
    assert app.run(f"SELECT count(*) FROM {table}") == [[1]]


def test_a_session_without_a_proof_sees_nothing(victim: Rows, app: pg8000.native.Connection) -> None:
    app.run("SELECT set_config('app.studio_id', :id, false)", id=str(VICTIM))
    assert app.run("SELECT count(*) FROM booking") == [[0]]


def test_a_proof_left_in_the_session_is_useless_to_the_next_transaction(victim: Rows) -> None:
    leave: Query[None] = Query(
        "SELECT set_config(name, current_setting(name), false) FROM (VALUES"
        " ('app.studio_id'), ('app.studio_proof')) AS n (name)"
    )
    count: Query[int] = Query("SELECT to_json(count(*)) FROM booking", int)
    read(VICTIM, leave)
    assert (read(None, count), read(INTRUDER, count), read(VICTIM, count)) == (0, 1, 1)


@pytest.mark.parametrize("shadowed", ["shadows, pg_catalog, public", "shadows", "pg_temp, shadows, pg_catalog"])
def test_no_search_path_changes_what_is_compared(
    shadowed: str, victim: Rows, app: pg8000.native.Connection, superuser: pg8000.native.Connection
) -> None:
    superuser.run(SHADOWS)
    try:
        app.run(f"SET search_path = {shadowed}")
        app.run("SELECT pg_catalog.set_config('app.studio_id', :id, false)", id=str(VICTIM))
        app.run("SELECT pg_catalog.set_config('app.studio_proof', '', false)")
        assert app.run("SELECT pg_catalog.count(*) FROM public.booking") == [[0]]
        app.run("SELECT pg_catalog.set_config('app.studio_proof', :proof, false)", proof=studio_settings(VICTIM)[1])
        assert app.run("SELECT pg_catalog.count(*) FROM public.booking") == [[1]]
    finally:
        superuser.run("DROP SCHEMA shadows CASCADE")


def in_one(tx: Transaction, *queries: Query[object]) -> None:
    for query in queries:
        tx.run(query)


@pytest.mark.parametrize(
    "refused_statement",
    [
        Query("SELECT to_json(count(*)) FROM booking"),
        Query(
            f"INSERT INTO booking (studio_id, connection_id, platform, external_id, event_type, event_date, status)"
            f" VALUES ('{VICTIM}', '{VICTIM}', 'google', 'x', 'other', '2026-05-04', 'confirmed')"
        ),
        Query("DELETE FROM booking"),
    ],
    ids=["read", "insert", "delete"],
)
def test_a_rejected_proof_fails_the_request_and_is_logged(
    refused_statement: Query[object], victim: Rows, log_lines: LogLines, superuser: pg8000.native.Connection
) -> None:
    before = snapshot(superuser, VICTIM)
    with pytest.raises(SettingsError, match="tenant-keys apply"), transaction(INTRUDER) as tx:
        in_one(tx, NAME_VICTIM, refused_statement)
    assert snapshot(superuser, VICTIM) == before
    (line,) = log_lines.named("tenant.unproved")
    assert line["level"] == "error"
    for proof in (studio_settings(INTRUDER)[1], studio_settings(VICTIM)[1]):
        assert proof not in log_lines.text
    assert read(INTRUDER, GET_STUDIO) is not None  # the connection stays usable


def test_proofs_are_not_visible_to_other_sessions_of_the_role(victim: Rows, app: pg8000.native.Connection) -> None:
    """They may read the text of others' statements, so a proof is sent as a parameter."""
    activity = "SELECT string_agg(query, ' ') FROM pg_stat_activity WHERE usename = current_user"
    look: Query[str] = Query(f"SELECT to_json(({activity}))", str)
    proof = studio_settings(VICTIM)[1]
    with transaction(VICTIM) as tx:
        seen = tx.run(look) + str(app.run(activity))
        tx.run(GET_STUDIO)
        seen += str(app.run(activity))
    seen += read(VICTIM, look) + str(app.run(activity))
    assert "pg_stat_activity" in seen
    assert proof not in seen


@given(key=st.from_regex(r"[A-Za-z0-9_+/=-]{32,128}", fullmatch=True), studio=st.uuids())
def test_the_server_computes_the_same_hmac_as_python(
    key: str, studio: UUID, superuser: pg8000.native.Connection
) -> None:
    inner, outer = pads_of(Secret(key))
    ((computed,),) = superuser.run(
        "SELECT encode(sha256(CAST(:o AS bytea) || sha256(CAST(:i AS bytea) || uuid_send(CAST(:id AS uuid)))), 'hex')",
        o=outer,
        i=inner,
        id=str(studio),
    ) or [[""]]
    assert computed == proof_of(studio, Secret(key)) == hmac.digest(key.encode(), studio.bytes, "sha256").hex()
