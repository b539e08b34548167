"""Which columns hold what a person wrote or may tell who they are: an export and an erasure of a person rely on it."""

import pytest
from sqlalchemy import ARRAY, Column, Text
from sqlalchemy.types import TypeEngine

from chalicelib.data.models import Base

OF_PEOPLE = ("person", "person_identity", "conversation", "thread", "message", "inquiry", "lead_rule")
PERSONAL = {
    "person": {"name"},
    "person_identity": {"value"},
    "message": {"sender_name", "sender_address", "person_address", "recipients", "subject", "preview"},
    "inquiry": {"reason_detail", "contact_name", "contact_email", "subject", "message"},
    "lead_rule": {"value"},
}


def text_columns(table: str) -> list[Column[object]]:
    return [column for column in Base.metadata.tables[table].c if _holds_text(column.type)]


def _holds_text(kind: TypeEngine[object]) -> bool:
    return isinstance(kind.item_type if isinstance(kind, ARRAY) else kind, Text)


@pytest.mark.parametrize("table", OF_PEOPLE)
def test_every_text_column_says_whether_it_is_personal(table: str) -> None:
    assert [column.name for column in text_columns(table) if not isinstance(column.info.get("personal"), bool)] == []


@pytest.mark.parametrize("table", OF_PEOPLE)
def test_the_personal_columns_are_the_expected_ones(table: str) -> None:
    found = {column.name for column in text_columns(table) if column.info["personal"]}
    assert found == PERSONAL.get(table, set())


def test_the_tables_of_people_are_all_listed() -> None:
    """A table that refers to a person or to one of their conversations is one of them."""
    referring = {
        table.name
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name in ("person", "conversation", "thread")
    }
    assert referring <= set(OF_PEOPLE)
