"""Records in bulk: a page becomes one statement with one JSON parameter, built from the columns of its table."""

from collections.abc import Sequence
from functools import cache
from typing import ClassVar, Protocol
from uuid import UUID

import msgspec

from chalicelib.data.database import Transaction
from chalicelib.data.query import Query
from chalicelib.data.rows import Row

BATCH = 1000
"""Records a statement; 500 to 2,000 measured best."""

KEY = ("studio_id", "platform", "external_id")

REPLIED = "excluded.replied_at IS NOT NULL"
DERIVED: dict[str, dict[str, tuple[str, str]]] = {
    "inquiry": {
        "status": (
            "CASE WHEN r.replied_at IS NULL THEN 'new' ELSE 'contacted' END",
            f"CASE WHEN t.status = 'new' AND {REPLIED} THEN 'contacted' ELSE t.status END",
        ),
        "contacted_at": ("r.replied_at", "coalesce(t.contacted_at, excluded.replied_at)"),
    }
}
"""Columns that follow from a record: SQL for a new row, and for one that is there already."""

GONE = {"booking": "status = 'cancelled'"}
"""What becomes of a row whose source is gone. Tables not named here keep it: a lead stays a lead."""


class Outcome(Row):
    """What an upsert did to the records it was given."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


class Removed(Row):
    count: int = 0


class Identified(Protocol):
    """A record: a struct whose fields are columns, `external_id` among them."""

    __struct_fields__: ClassVar[tuple[str, ...]]

    @property
    def external_id(self) -> str: ...


def upsert(tx: Transaction, table: str, studio_id: UUID, platform: str, records: Sequence[Identified]) -> Outcome:
    """Stores records by their natural key; rows that would not change are left untouched.

    A key that comes twice counts once, the last one wins.
    """
    distinct = list({record.external_id: record for record in records}.values())
    created = updated = 0
    for start in range(0, len(distinct), BATCH):
        rows = msgspec.json.encode(distinct[start : start + BATCH]).decode()
        query = upsert_query(table, distinct[start].__struct_fields__)
        outcome = tx.run(query, studio_id=studio_id, platform=platform, rows=rows)
        created, updated = created + outcome.created, updated + outcome.updated
    return Outcome(created=created, updated=updated, unchanged=len(distinct) - created - updated)


@cache
def upsert_query(table: str, fields: tuple[str, ...]) -> Query[Outcome]:
    """The statement for records with these fields. A column no field names is never touched by an update."""
    typed = ", ".join(f"{name} {kind}" for name, kind in _column_types(table, fields))
    derived = DERIVED.get(table, {})
    values = [name for name in fields if name not in KEY]
    changes = [f"{name} = excluded.{name}" for name in values]
    changes += [f"{name} = {update}" for name, (_, update) in derived.items()]
    return Query(
        f"""
        WITH stored AS (
            INSERT INTO {table} AS t ({", ".join(["studio_id", "platform", *fields, *derived])})
            SELECT {", ".join([":studio_id::uuid", ":platform", *(f"r.{name}" for name in fields)])}
                   {"".join(f", {insert}" for insert, _ in derived.values())}
            FROM json_to_recordset(:rows) AS r ({typed})
            ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET {", ".join(changes)}
            WHERE ({", ".join(f"t.{name}" for name in values)})
                  IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in values)})
            RETURNING (xmax = 0) AS created
        )
        SELECT json_build_object('created', count(*) FILTER (WHERE created),
                                 'updated', count(*) FILTER (WHERE NOT created))
        FROM stored
        """,
        Outcome,
    )


def _column_types(table: str, columns: Sequence[str]) -> list[tuple[str, str]]:
    """As the model defines them. Only a worker stores records, so only it pays for importing the models."""
    from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

    from chalicelib.data.models import Base

    dialect = PGDialect_pg8000()  # type: ignore[no-untyped-call]
    defined = Base.metadata.tables[table].c
    return [(name, defined[name].type.compile(dialect)) for name in columns]


def remove(tx: Transaction, table: str, platform: str, external_ids: Sequence[str]) -> int:
    """Marks rows that the platform says are gone; returns how many there were."""
    if table not in GONE or not external_ids:
        return 0
    return tx.run(_remove_query(table), platform=platform, external_ids=list(external_ids)).count


@cache
def _remove_query(table: str) -> Query[Removed]:
    return _counting(table, "t.external_id = ANY(:external_ids)")


REMEMBER_SEEN: Query[None] = Query(
    """
    INSERT INTO sync_seen (run_id, studio_id, external_id)
    SELECT :run_id::uuid, :studio_id::uuid, unnest(:external_ids::text[])
    ON CONFLICT DO NOTHING
    """
)


def remember_seen(tx: Transaction, run_id: UUID, studio_id: UUID, external_ids: Sequence[str]) -> None:
    """Notes what a complete read has met, for `sweep` at its end."""
    if external_ids:
        tx.run(REMEMBER_SEEN, run_id=run_id, studio_id=studio_id, external_ids=list(external_ids))


def sweep(tx: Transaction, table: str, platform: str, run_id: UUID) -> int:
    """Marks what a complete read did not meet; returns how many rows that were."""
    if table not in GONE:
        return 0
    unseen = tx.run(unseen_query(table), platform=platform, run_id=run_id)
    return remove(tx, table, platform, unseen)


@cache
def unseen_query(table: str) -> Query[list[str]]:
    """EXCEPT reads each side once, whatever the planner believes: of tables that were just filled it knows nothing, and
    would compare every row of the one with every row of the other."""
    return Query(
        f"""
        SELECT coalesce(json_agg(unseen.external_id), '[]') FROM (
            SELECT t.external_id FROM {table} AS t WHERE t.platform = :platform AND NOT (t.{GONE[table]})
            EXCEPT
            SELECT seen.external_id FROM sync_seen AS seen WHERE seen.run_id = :run_id
        ) AS unseen
        """,
        list[str],
    )


def _counting(table: str, condition: str) -> Query[Removed]:
    gone = GONE[table]
    return Query(
        f"""
        WITH removed AS (
            UPDATE {table} AS t SET {gone}
            WHERE t.platform = :platform AND NOT (t.{gone}) AND {condition}
            RETURNING t.id
        )
        SELECT json_build_object('count', count(*)) FROM removed
        """,
        Removed,
    )
