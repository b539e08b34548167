"""What the tables that records are stored in declare, held against the models."""

import pytest
from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

from chalicelib.data.models import Base
from chalicelib.data.sync.column_types import COLUMN_TYPES
from chalicelib.data.sync.tables import SYNCED, Table
from chalicelib.services.streams import TABLES

DECLARED = [pytest.param(table, id=table.name) for table in SYNCED.values()]


def columns(table: str) -> set[str]:
    return {column.name for column in Base.metadata.tables[table].c}


def test_the_column_types_are_those_of_the_models() -> None:
    dialect = PGDialect_pg8000()  # type: ignore[no-untyped-call]
    defined = {name: Base.metadata.tables[name].c for name in SYNCED}
    assert {
        name: {column.name: column.type.compile(dialect) for column in columns} for name, columns in defined.items()
    } == COLUMN_TYPES


def test_every_record_type_has_a_table_of_its_own() -> None:
    assert len(set(TABLES.values())) == len(TABLES)
    assert set(TABLES.values()) <= SYNCED.keys()


@pytest.mark.parametrize("table", DECLARED)
def test_a_key_is_unique_in_the_database(table: Table) -> None:
    constraints = Base.metadata.tables[table.name].constraints
    keys = [{column.name for column in each.columns} for each in constraints if isinstance(each, UniqueConstraint)]
    assert set(table.key) in keys


@pytest.mark.parametrize("table", DECLARED)
def test_a_parent_is_what_the_foreign_keys_say(table: Table) -> None:
    keys = Base.metadata.tables[table.name].foreign_key_constraints
    needed = {key.referred_table.name for key in keys if not any(column.nullable for column in key.columns)}
    parents = needed & SYNCED.keys()
    assert parents == ({table.parent.table} if table.parent else set())
    if table.parent is not None:
        assert table.parent.made.keys() <= columns(table.parent.table)
        assert SYNCED[table.parent.table].depth < table.depth


@pytest.mark.parametrize("table", DECLARED)
def test_what_is_declared_has_its_columns(table: Table) -> None:
    assert {*table.restated, "updated_at"} <= columns(table.name)
    assert table.held_by_accounts == ("account_ids" in columns(table.name))
    assert table.skippable == ("skip_reason" in columns(table.name))
    assert bool(table.restated) == (f"{table.name}_restatement" in Base.metadata.tables)
    if table.on_delete is not None:
        assert table.held_by_accounts
        assert table.on_delete.column in columns(table.name)


@pytest.mark.parametrize("table", DECLARED)
def test_what_is_restated_is_kept_in_columns_of_the_same_names(table: Table) -> None:
    if table.restated:
        kept = columns(f"{table.name}_restatement")
        assert kept == {*table.restated, "studio_id", f"{table.name}_id", "valid_until"}
