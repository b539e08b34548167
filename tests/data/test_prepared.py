"""Prepared statements: parsed once per connection, and used by name through whatever may end or change them."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pg8000.native
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from chalicelib.data.postgres import prepared
from chalicelib.data.postgres.database import close_pool, read, transaction
from chalicelib.data.postgres.driver import Outdated, PgConnection
from chalicelib.data.postgres.prepared import PreparedStatements
from chalicelib.data.postgres.query import Query
from chalicelib.errors import Unavailable
from dev.ports import HOST
from tests.conftest import Database
from tests.data.attack import sqlstate

ADD = "SELECT $1::int + $2::int"
COUNT = "SELECT note.* FROM note"
FORGET = "DEALLOCATE ALL"
NOTES: Query[None] = Query("SELECT note.* FROM note")


def known(connection: PgConnection) -> list[str]:
    """What the server keeps prepared for this session."""
    return [row[0] for row in connection.execute_simple("SELECT statement FROM pg_prepared_statements").rows or []]


def uses(connection: PgConnection, statement: str) -> int:
    found = connection.execute_simple(
        f"SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement = $ansel${statement}$ansel$"
    ).rows
    return sum(int(row[0]) for row in found or [])


@pytest.fixture
def note(beside: pg8000.native.Connection) -> Iterator[pg8000.native.Connection]:
    """A table that changes between two uses of a statement."""
    beside.run("DROP TABLE IF EXISTS note; CREATE TABLE note (text text); GRANT ALL ON note TO PUBLIC")
    beside.run("INSERT INTO note VALUES ('a')")
    yield beside
    close_pool()
    beside.run("DROP TABLE note")


def test_a_statement_is_parsed_once_and_answers_what_each_use_asks(connection: PgConnection) -> None:
    assert [connection.pipeline(ADD, (1, number)) for number in range(8)] == [[[1 + number]] for number in range(8)]
    assert known(connection) == [ADD]
    assert uses(connection, ADD) == 8


def test_a_statement_and_what_goes_ahead_of_it_are_both_kept(connection: PgConnection) -> None:
    ahead = "SELECT WHERE set_config('app.studio_id', $1, true) IS NULL"
    for _ in range(2):
        connection.pipeline(ADD, (1, 2), before="BEGIN", first=(ahead, ("",)), after="COMMIT")
    assert sorted(known(connection)) == sorted([ADD, ahead])


def test_a_statement_that_answers_nothing_answers_nothing_again(connection: PgConnection) -> None:
    connection.execute_simple("CREATE TEMP TABLE note (text text)")
    for text in ("a", "b"):
        assert connection.pipeline("INSERT INTO note VALUES ($1)", (text,)) == []
    assert connection.pipeline("SELECT count(*)::int FROM note") == [[2]]


def test_a_statement_that_does_not_parse_is_not_kept(connection: PgConnection) -> None:
    for _ in range(2):
        with pytest.raises(DatabaseError):
            connection.pipeline("SELECT nothing_of_the_kind")
    assert (known(connection), len(connection.prepared)) == ([], 0)


def test_a_statement_that_fails_after_it_was_parsed_is_kept_and_works(connection: PgConnection) -> None:
    divide = "SELECT 1 / $1::int"
    with pytest.raises(DatabaseError):
        connection.pipeline(divide, (0,), before="BEGIN", after="COMMIT")
    assert connection.pipeline(divide, (1,)) == [[1]]
    assert known(connection) == [divide]


def test_a_value_that_cannot_be_bound_leaves_the_statement_in_use(connection: PgConnection) -> None:
    for _ in range(2):
        with pytest.raises(DatabaseError):
            connection.pipeline(ADD, ("one", "two"))
        assert connection.pipeline(ADD, (1, 2)) == [[3]]


def test_a_rolled_back_transaction_keeps_its_statements(connection: PgConnection) -> None:
    connection.pipeline(ADD, (1, 2), before="BEGIN")
    connection.rollback()
    assert connection.pipeline(ADD, (3, 4)) == [[7]]
    assert known(connection) == [ADD]


def test_a_statement_that_the_session_forgot_is_sent_once_more_and_no_longer_by_name(connection: PgConnection) -> None:
    connection.pipeline(ADD, (1, 2))
    connection.execute_simple(FORGET)
    assert connection.pipeline(ADD, (1, 2), before="BEGIN", after="COMMIT") == [[3]]
    assert connection.pipeline(ADD, (3, 4)) == [[7]]
    assert (known(connection), connection.in_transaction) == ([], False)


def test_one_that_is_forgotten_amid_a_transaction_ends_it(connection: PgConnection) -> None:
    connection.pipeline(ADD, (1, 2), before="BEGIN")
    connection.execute_simple(FORGET)
    with pytest.raises(Outdated):
        connection.pipeline(ADD, (1, 2))
    connection.rollback()
    assert connection.pipeline(ADD, (1, 2)) == [[3]]


@pytest.mark.parametrize("after", ["", "COMMIT"])
def test_a_statement_of_a_changed_table_is_sent_once_more(
    connection: PgConnection, note: pg8000.native.Connection, after: str
) -> None:
    assert connection.pipeline(COUNT) == [["a"]]
    note.run("ALTER TABLE note ADD COLUMN number int DEFAULT 1")
    assert connection.pipeline(COUNT, before="BEGIN", after=after) == [["a", 1]]
    assert connection.in_transaction == (after == "")
    connection.rollback()
    assert connection.pipeline(COUNT) == [["a", 1]]
    assert known(connection) == [COUNT]


def test_the_first_statement_of_a_transaction_meets_a_changed_table_without_harm(
    note: pg8000.native.Connection,
) -> None:
    read(None, NOTES)
    note.run("ALTER TABLE note ADD COLUMN number int")
    with transaction(None) as tx:
        tx.run(NOTES)
    note.run("ALTER TABLE note DROP COLUMN number")
    read(None, NOTES)


def test_a_later_statement_that_meets_a_changed_table_is_to_be_tried_again(note: pg8000.native.Connection) -> None:
    read(None, NOTES)
    other: Query[None] = Query("SELECT 1")

    def run() -> None:
        with transaction(None) as tx:
            tx.run(other)
            note.run("ALTER TABLE note ADD COLUMN number int")
            tx.run(NOTES)

    with pytest.raises(Unavailable):
        run()
    read(None, NOTES)


def test_a_statement_is_judged_by_the_role_that_uses_it_now(database: Database) -> None:
    """Privileges and policies are those of the role that it runs as, not of the one that prepared it."""
    password = database.passwords["postgres"]
    connection = PgConnection("postgres", host=HOST, port=database.port, database=database.name, password=password)
    statement = "SELECT count(*)::int FROM idempotency_key"
    with closing(connection):
        for _ in range(6):
            connection.execute_simple("SET ROLE ansel_api")
            assert connection.pipeline(statement) == [[0]]
            connection.execute_simple("SET ROLE ansel_sync")
            with pytest.raises(DatabaseError) as refused:
                connection.pipeline(statement)
            assert sqlstate(refused.value) == "42501"
        connection.execute_simple("RESET ROLE")
        assert known(connection) == [statement]


def test_behind_a_pooler_no_statement_is_named(connection: PgConnection) -> None:
    connection.has_session_settings = False
    for _ in range(2):
        assert connection.pipeline(ADD, (1, 2), first=("SELECT WHERE $1 = ''", ("x",))) == [[3]]
    assert known(connection) == []


def test_the_number_that_a_connection_keeps_is_bounded(
    connection: PgConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "LIMIT", 3)
    statements = [f"SELECT $1::int + {number}" for number in range(6)]
    for number, statement in enumerate(statements):
        assert connection.pipeline(statement, (1,)) == [[1 + number]]
        assert len(known(connection)) <= 4  # what is dropped goes with the next pipeline
    connection.pipeline(statements[3], (1,))
    assert sorted(known(connection)) == statements[3:]
    connection.pipeline(statements[0], (1,))
    connection.pipeline(statements[0], (1,))
    assert sorted(known(connection)) == [statements[0], statements[3], statements[5]]


def test_a_new_connection_begins_with_none(database: Database) -> None:
    statement: Query[Any] = Query("SELECT json_build_object('count', count(*)) FROM studio", dict[str, int])
    assert read(None, statement) == {"count": 0}
    close_pool()
    assert read(None, statement) == {"count": 0}


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 4))
def test_what_was_used_last_is_kept(order: list[int], limit: int) -> None:
    kept, before = PreparedStatements(), prepared.LIMIT
    prepared.LIMIT = limit
    try:
        for number in order:
            if kept.find(str(number)) is None:
                kept.keep(str(number), kept.new())
    finally:
        prepared.LIMIT = before
    last = list(dict.fromkeys(reversed(order)))[:limit]
    assert len(kept) == len(last)
    assert all(kept.find(str(number)) for number in last)
    names = kept.take_dropped()
    assert len(names) == len(set(names))
