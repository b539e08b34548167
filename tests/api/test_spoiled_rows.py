"""Rows with any value that their columns allow: they can still be read, disconnected and erased."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pg8000.native
import pytest
from pg8000.exceptions import DatabaseError
from sqlalchemy import BigInteger, Boolean, Column, Date, DateTime, Double, Integer, LargeBinary, SmallInteger, Text
from sqlalchemy.dialects.postgresql import ARRAY

from app import API
from chalicelib.runtime.declare import PUBLIC, Route
from chalicelib.services.operations.commands import COMMANDS
from tests.api.paths import path_of
from tests.conftest import Api, Studios
from tests.data.attack import sqlstate
from tests.data.rows import TENANT_TABLES, fill, key_of, snapshot
from tests.services.administration import as_administrator

__all__ = ["as_administrator"]

MOMENTS = ("infinity", "-infinity", "294276-12-31 23:59:59+00", "4713-01-01 00:00:00+00 BC", "1000-01-01 00:00:00+00")
DAYS = ("infinity", "-infinity", "5874897-12-31", "4713-01-01 BC")
ODD: dict[type[Any], tuple[str, ...]] = {
    ARRAY: ("{}", '{""}', '{"null",NULL}', '{"null","{}","\\\\"}', "{{a},{b}}"),
    BigInteger: (str(2**63 - 1), str(-(2**63))),
    Boolean: ("true", "false"),
    Date: DAYS,
    DateTime: MOMENTS,
    Double: ("NaN", "Infinity", "-Infinity", "1.7976931348623157e308"),
    Integer: (str(2**31 - 1), str(-(2**31))),
    LargeBinary: ("\\x", "\\x00", f"\\x{'ff' * 100}"),
    SmallInteger: (str(2**15 - 1), str(-(2**15))),
    Text: (
        "",
        "null",
        "\x01\x1f\u2028 ' \" \\ { % :id $1",
        '{"last": "tomorrow"}',
        '{"last": "infinity"}',
        "[1",
        "é" * 9000,
    ),
}
"""Valid but unexpected values, by column type."""
REJECTED = ("23502", "23505", "23514", "0A000", "22P02")
"""NOT NULL, a unique key, a check, a list of lists where a check looks for NULLs, a text that is no id: such a row
cannot exist."""
ENDED = ("studio", "platform_connection", "data_key", "api_key")
"""Tables whose rows a disconnect or an erasure reads: each odd value is tested; for the others, only the last."""
MAKE_BACKFILL = """
    WITH made AS (
        INSERT INTO sync_log (studio_id, connection_id, platform, stream, trigger, backfill_from, backfill_to)
        SELECT studio_id, connection_id, platform, stream, 'backfill', '2026-05-01', '2026-05-04'
        FROM sync_log WHERE studio_id = :studio
        RETURNING *
    )
    INSERT INTO account_position (studio_id, connection_id, stream, account_id, backfill_id, is_open, page_cursor)
    SELECT studio_id, connection_id, stream, connection_id, id, true, '{"last": "2026-05-02"}' FROM made
"""


def plain_columns() -> list["Column[Any]"]:
    """All but keys and references."""
    return [
        column
        for table in TENANT_TABLES
        for column in table.columns
        if type(column.type) in ODD and not column.primary_key and not column.foreign_keys
    ]


@pytest.fixture
def spoiled(studios: Studios, as_administrator: object, superuser: pg8000.native.Connection) -> "Spoiled":
    return Spoiled(studios, superuser)


class Spoiled:
    """A studio with a row in each table; one column of one row holds an odd value."""

    def __init__(self, studios: Studios, superuser: pg8000.native.Connection) -> None:
        self._superuser = superuser
        self._studios = studios
        self.studio_id = UUID(int=0)
        self.api: Api

    def move(self) -> None:
        """Moves to a new studio."""
        self.studio_id = uuid4()
        self.rows = fill(self._superuser, self.studio_id, str(self.studio_id))
        self._superuser.run(MAKE_BACKFILL, studio=self.studio_id)
        self.api = self._studios.with_key(self.studio_id, "admin")

    def spoil(self, table: str, column: str, value: str | None) -> bool:
        """Updates row by row; False if the database accepts the value in none of them."""
        place = f"{table} WHERE {key_of(table)} = :studio" + (" AND name <> 'test'" if table == "api_key" else "")
        rows = self._superuser.run(f"SELECT ctid::text FROM {place}", studio=self.studio_id) or []
        accepted = [self._spoil_row(table, column, value, row) for (row,) in rows]
        return any(accepted)

    def _spoil_row(self, table: str, column: str, value: str | None, row: str) -> bool:
        try:
            self._superuser.run(f"UPDATE {table} SET {column} = :value WHERE ctid = '{row}'", value=value)
        except DatabaseError as error:
            if sqlstate(error) not in REJECTED:
                raise
            return False
        return True

    @property
    def is_gone(self) -> bool:
        return not snapshot(self._superuser, self.studio_id)


def reading_routes() -> list[Route]:
    return [route for group in API for route in group if route.method == "GET" and route.scope != PUBLIC]


def paths(route: Route, rows: dict[str, dict[str, Any]]) -> list[str]:
    ids = {"run_id": "sync_log", "endpoint_id": "webhook_endpoint", "delivery_id": "webhook_delivery"}
    path = path_of(route, **{name: rows[table]["id"] for name, table in ids.items()})
    if "metrics" not in path:
        return [path]
    return [f"{path}?from=2026-04-20&to=2026-05-20", f"{path}?from=2026-04-20&to=2026-05-20&asOf=2026-05-20"]


def odd_values(column: "Column[Any]") -> list[str | None]:
    values: list[str | None] = list(ODD[type(column.type)])
    return [*values, None] if column.nullable else values


def run(command: str, **values: Any) -> Any:
    return msgspec.convert({"command": command, **values}, COMMANDS[command]).run(lambda: 900_000)


def problems_of_reading(spoiled: Spoiled) -> Iterator[str]:
    for path in (path for route in reading_routes() for path in paths(route, spoiled.rows)):
        answer = spoiled.api.get(path)
        if answer.status >= 500:
            yield f"{path}: {answer.status}"
    for command in ("studio show", "api-key list"):
        run(command, studioId=str(spoiled.studio_id))


@pytest.mark.parametrize("column", plain_columns(), ids=lambda column: f"{column.table.name}.{column.name}")
def test_a_row_with_odd_values_can_be_read_disconnected_and_erased(column: "Column[Any]", spoiled: Spoiled) -> None:
    values = odd_values(column)
    spoiled.move()
    for value in values:
        if not spoiled.spoil(column.table.name, column.name, value):
            continue
        assert list(problems_of_reading(spoiled)) == [], value
        if column.table.name not in ENDED and value != values[-1]:
            continue
        assert spoiled.api.delete("/api/connections/google").status in (204, 404), value
        assert run("studio erase", studioId=str(spoiled.studio_id), dryRun=True).complete
        assert run("studio erase", studioId=str(spoiled.studio_id), confirm=str(spoiled.studio_id)).complete, value
        assert spoiled.is_gone, value
        spoiled.move()
