"""The driver: each statement is one pipeline, and no connection is reused out of step."""

import threading
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError, InterfaceError
from sqlalchemy import create_engine, select, text
from sqlalchemy.pool import StaticPool

from chalicelib.data.models.studio import Studio
from chalicelib.data.postgres.driver import PgConnection, query_statistics
from chalicelib.data.studios import NewId
from dev.ports import HOST
from tests.conftest import Database
from tests.data.proxy import Proxy

STUDIO = UUID("0198f3a0-0000-7000-8000-000000000001")
OPENING = "BEGIN; SELECT set_config('TimeZone', 'UTC', true)"


def sqlstate(error: BaseException) -> str:
    details: dict[str, str] = error.args[0]
    return details["C"]


def backend(connection: PgConnection) -> int:
    return int(connection.pipeline("SELECT pg_backend_pid()")[0][0])


def temporary_table(connection: PgConnection) -> None:
    connection.execute_simple("CREATE TEMP TABLE note (text text UNIQUE)")


def notes(connection: PgConnection) -> list[Any]:
    return [row[0] for row in connection.pipeline("SELECT text FROM note ORDER BY text")]


@pytest.mark.parametrize(
    ("before", "after"),
    [("", ""), (OPENING, ""), ("", "COMMIT"), (OPENING, "COMMIT")],
    ids=["alone", "opening", "closing", "both"],
)
def test_a_statement_with_begin_and_commit_is_one_round_trip(
    proxied: PgConnection, proxy: Proxy, before: str, after: str
) -> None:
    turns = proxy.turns
    assert proxied.pipeline("SELECT $1::int + $2::int", (1, 2), before=before, after=after) == [[3]]
    assert proxy.turns - turns == 1


def test_stock_pg8000_takes_three_round_trips_for_the_same_statement(database: Database, proxy: Proxy) -> None:
    """Verifies the counting above: without batching it counts more than one."""
    password = database.passwords["postgres"]
    stock = pg8000.native.Connection("postgres", host=HOST, port=proxy.port, database="postgres", password=password)
    turns = proxy.turns
    assert stock.run("SELECT CAST(:a AS int) + CAST(:b AS int)", a=1, b=2) == [[3]]
    assert proxy.turns - turns == 3
    stock.close()


def test_an_inherited_execute_is_one_round_trip_too(proxied: PgConnection, proxy: Proxy) -> None:
    turns = proxy.turns
    assert proxied.execute_unnamed("SELECT $1::text", ("x",)).rows == [["x"]]
    proxied.execute_simple("SELECT 1")
    assert proxy.turns - turns == 2


def test_a_megabyte_is_sent_in_one_round_trip(proxied: PgConnection) -> None:
    long = "ä€\U0001f4f7x" * 150_000
    assert proxied.pipeline("SELECT $1::text", (long,)) == [[long]]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uuid", STUDIO),
        ("timestamptz", datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)),
        ("date", date(2028, 2, 29)),
        ("bytea", b"\x00\xff'\\sealed"),
        ("boolean", True),
        ("boolean", False),
        ("bigint", -(2**63)),
        ("integer", 0),
        ("double precision", 0.1),
        ("text", ""),
        ("text", 'O\'Brien \\ "quoted" :name $1 ünïcode 日本 \U0001f4f8'),
        ("text", None),
        ("uuid", None),
        ("bytea", None),
    ],
)
def test_values_round_trip(connection: PgConnection, kind: str, value: object) -> None:
    assert connection.pipeline(f"SELECT $1::{kind}", (value,)) == [[value]]


@pytest.mark.parametrize("value", [["null"], ("null",), {"null": None}, {"null"}, frozenset(), NewId(id=STUDIO)])
def test_a_parameter_must_be_a_single_value(connection: PgConnection, value: object) -> None:
    with pytest.raises(TypeError, match="cannot be a parameter"):
        connection.pipeline("SELECT $1::text", (value,))
    assert connection.pipeline("SELECT 1") == [[1]]


def test_json_is_returned_as_text(connection: PgConnection) -> None:
    rows = connection.pipeline("""SELECT '{"a": [1, null]}'::json, '{"a":1}'::jsonb""")
    assert rows == [['{"a": [1, null]}', '{"a": 1}']]


def test_only_the_rows_of_the_statement_are_returned(connection: PgConnection) -> None:
    assert connection.pipeline("SELECT 2", before="SELECT 1", after="SELECT 3") == [[2]]
    assert connection.pipeline("SET LOCAL lock_timeout = 1", before="BEGIN", after="COMMIT") == []


def test_a_failed_statement_is_rolled_back_by_its_commit(connection: PgConnection) -> None:
    temporary_table(connection)
    statement = "INSERT INTO note VALUES ($1), ($1)"
    with pytest.raises(DatabaseError) as caught:
        connection.pipeline(statement, ("twice",), before="BEGIN; INSERT INTO note VALUES ('first')", after="COMMIT")
    assert sqlstate(caught.value) == "23505"
    assert not connection.in_transaction
    assert notes(connection) == []


def test_an_error_in_begin_is_raised_and_prevents_the_statement(
    connection: PgConnection,
) -> None:
    temporary_table(connection)
    with pytest.raises(DatabaseError) as caught:
        connection.pipeline("INSERT INTO note VALUES ('x')", before="BEGIN; SELECT 1 / 0", after="COMMIT")
    assert sqlstate(caught.value) == "22012"
    assert notes(connection) == []
    assert not connection.in_transaction


def test_an_error_in_commit_is_raised(connection: PgConnection) -> None:
    connection.execute_simple("CREATE TEMP TABLE once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(DatabaseError) as caught:
        connection.pipeline("INSERT INTO once VALUES (1), (1)", before="BEGIN", after="COMMIT")
    assert sqlstate(caught.value) == "23505"
    assert connection.pipeline("SELECT count(*) FROM once") == [[0]]


@pytest.mark.parametrize("statement", ["SELEC", "SELECT $1::int", "SELECT no_such_column"])
def test_a_rejected_statement_leaves_the_connection_usable(connection: PgConnection, statement: str) -> None:
    pid = backend(connection)
    with pytest.raises(DatabaseError):
        connection.pipeline(statement, ("not a number",))
    assert not connection.is_broken
    assert backend(connection) == pid


@pytest.mark.parametrize("riding", ["", "COMMIT"])
def test_an_error_does_not_quote_the_row(connection: PgConnection, riding: str) -> None:
    temporary_table(connection)
    connection.execute_simple("ALTER TABLE note ADD CHECK (text <> 'anna@bride.example')")
    for statement in ("INSERT INTO note VALUES ($1)", "INSERT INTO note VALUES ($1 || '!'), ($1 || '!')"):
        with pytest.raises(DatabaseError) as caught:
            connection.pipeline(statement, ("anna@bride.example",), after=riding)
        assert sqlstate(caught.value).startswith("23")
        assert "bride" not in repr(caught.value)


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("SELECT $1::int", "22P02"),
        ("SELECT $1::uuid", "22P02"),
        ("SELECT $1::timestamptz", "22007"),
        ("SELECT $1::json", "22P02"),
        ('SELECT (\'{"a": "\' || $1)::jsonb', "22P02"),
        ("SELECT to_date($1, 'YYYY')", "22007"),
        ("SELECT x FROM json_to_record(json_build_object('x', $1::text)) AS r (x inet)", "22P02"),
        ("SELECT set_config('lock_timeout', $1, true)", "22023"),
        ("SELECT fail($1)", "P0001"),
    ],
)
@pytest.mark.parametrize("riding", ["", "COMMIT"])
def test_an_error_about_a_value_does_not_quote_the_value(
    connection: PgConnection, statement: str, state: str, riding: str
) -> None:
    connection.execute_simple(
        "CREATE OR REPLACE FUNCTION pg_temp.fail(value text) RETURNS int LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE EXCEPTION 'no %', value USING HINT = value, DETAIL = value; END $$"
    )
    with pytest.raises(DatabaseError) as caught:
        connection.pipeline(statement.replace("fail(", "pg_temp.fail("), ("anna@bride.example",), after=riding)
    assert sqlstate(caught.value) == state
    assert "bride" not in repr(caught.value)
    assert "withheld" in str(caught.value)


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("SELECT no_such_column", "no_such_column"),
        ("SELECT * FROM no_such_table", "no_such_table"),
        ("INSERT INTO note VALUES ('twice'), ('twice')", "note_text_key"),
        ("SELEC 1", "SELEC"),
    ],
)
def test_an_error_about_the_schema_or_our_sql_names_the_part(
    connection: PgConnection, statement: str, name: str
) -> None:
    temporary_table(connection)
    with pytest.raises(DatabaseError, match=name):
        connection.pipeline(statement)


def test_a_commit_of_a_failed_transaction_is_an_error_not_a_silent_rollback(connection: PgConnection) -> None:
    with pytest.raises(DatabaseError):
        connection.pipeline("SELECT 1 / 0", before="BEGIN")
    assert connection.in_transaction
    with pytest.raises(InterfaceError, match="failed transaction"):
        connection.execute_simple("COMMIT")
    assert not connection.in_transaction


@pytest.mark.parametrize("answered", [0, 1, 5, 30, 200])
def test_a_connection_cut_during_a_response_is_never_used_again(
    proxied: PgConnection, proxy: Proxy, answered: int
) -> None:
    proxy.cut_after(answered)
    with pytest.raises(InterfaceError):
        proxied.pipeline("SELECT repeat('x', 5000)", before=OPENING, after="COMMIT")
    assert proxied.is_broken
    with pytest.raises(InterfaceError, match="closed"):
        proxied.pipeline("SELECT 1")


def test_a_reset_connection_is_reported_broken(proxied: PgConnection, proxy: Proxy) -> None:
    proxy.cut_after(0, reset=True)
    with pytest.raises(InterfaceError, match="network error"):
        proxied.pipeline("SELECT 1")
    assert proxied.is_broken


def test_a_terminated_session_is_reported_broken(connection: PgConnection, beside: pg8000.native.Connection) -> None:
    beside.run("SELECT pg_terminate_backend(:pid, 5000)", pid=backend(connection))
    with pytest.raises(InterfaceError):
        connection.pipeline("SELECT 1")
    assert connection.is_broken


class Interrupted(BaseException):
    """Like an exception that a signal handler may raise anywhere."""


def test_an_interrupted_pipeline_closes_the_connection(connection: PgConnection) -> None:
    def interrupt(_: str) -> None:
        raise Interrupted

    connection.register_in_adapter(23, interrupt)
    with pytest.raises(Interrupted):
        connection.pipeline("SELECT generate_series(1, 1000)")
    assert connection.is_broken
    with pytest.raises(InterfaceError, match="closed"):
        connection.execute_simple("SELECT 'the answer to another question'")


def test_unsendable_values_are_rejected_before_anything_is_sent(connection: PgConnection) -> None:
    with pytest.raises(UnicodeEncodeError):
        connection.pipeline("SELECT $1::text", ("lone \ud800 surrogate",), before="BEGIN")
    assert not connection.in_transaction
    assert connection.pipeline("SELECT 1") == [[1]]


def test_any_connection_may_be_closed_twice(connection: PgConnection) -> None:
    connection.abandon()
    connection.close()
    connection.close()
    assert connection.is_broken


def test_sqlalchemys_own_dialect_runs_on_it(connection: PgConnection) -> None:
    engine = create_engine("postgresql+pg8000://", creator=lambda: connection, poolclass=StaticPool)
    with engine.connect() as session:
        assert session.scalar(text("SELECT CAST(:number AS int) * 2"), {"number": 21}) == 42
        assert session.scalars(select(Studio.name)).all() == []
        session.execute(text("CREATE TEMP TABLE kept (n int)"))
        session.commit()
        session.execute(text("INSERT INTO kept SELECT generate_series(1, :n)"), {"n": 3})
        session.rollback()
        assert session.scalar(text("SELECT count(*) FROM kept")) == 0
    engine.dispose()


def test_statements_are_counted_for_their_own_context_only(connection: PgConnection) -> None:
    connection.pipeline("SELECT 'before'")
    with query_statistics() as outer:
        connection.pipeline("SELECT 1", before="BEGIN", after="COMMIT")
        with query_statistics() as inner:
            connection.execute_simple("SELECT 2")
        thread = threading.Thread(target=connection.pipeline, args=("SELECT 'elsewhere'",))
        thread.start()
        thread.join()
    connection.pipeline("SELECT 'after'")
    assert (outer.round_trips, outer.statements) == (1, ["BEGIN", "SELECT 1", "COMMIT"])
    assert (inner.round_trips, inner.statements) == (1, ["SELECT 2"])


def test_a_failed_pipeline_is_counted(connection: PgConnection) -> None:
    with query_statistics() as statistics, pytest.raises(DatabaseError):
        connection.pipeline("SELECT 1 / 0")
    assert statistics.round_trips == 1
