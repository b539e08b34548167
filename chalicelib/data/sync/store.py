"""Records in bulk: a page becomes one statement with one JSON parameter, built from the columns of its table."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import ClassVar, NamedTuple, Protocol
from uuid import UUID

from chalicelib.data.postgres.database import Transaction
from chalicelib.data.postgres.query import Query, array_of, to_json
from chalicelib.data.postgres.rows import Row
from chalicelib.data.sync.positions import READ_STARTED_AT
from chalicelib.data.sync.tables import SYNCED, OnDelete, Table
from chalicelib.data.sync.upsert_sql import CHANGED_AT, HOLDER, upsert_sql

BATCH = 1000
"""Records a statement; 500 to 2,000 measured best."""

EXTERNAL_IDS = array_of("external_ids")

UNCONFIRMED_DELETION_ROWS = 20
UNCONFIRMED_DELETION_SHARE = 0.25
"""A complete read that misses more rows than that, and more than that share of the current ones, is not believed:
neither a platform that answers half a list nor a switched account may wipe a studio's bookings."""


class Upserted(Row):
    """What an upsert did to the records it was given."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


class Removed(Row):
    """What a sweep removed, or would have had to."""

    count: int = 0
    refused: int = 0


class Missing(Row):
    """What a complete read did not meet, and how many rows there are."""

    external_ids: list[str]
    current: int


class Identified(Protocol):
    """A record: a struct whose fields are columns of its table or its parent's, `external_id` among them."""

    __struct_fields__: ClassVar[tuple[str, ...]]

    @property
    def external_id(self) -> str: ...


def upsert(
    tx: Transaction,
    table: str,
    studio_id: UUID,
    platform: str,
    records: Sequence[Identified],
    *,
    connection_id: UUID,
    account_id: UUID,
    fetched_at: datetime | None = None,
) -> Upserted:
    """Stores the records of an account by their natural key; rows that would not change are left untouched.

    A key that comes twice counts once, the last one wins. Records `fetched_at` a moment of the database's clock, and
    stored beside what others fetch, do not touch rows that changed since: these count as unchanged.
    """
    distinct = _distinct(table, records)
    source = {"platform": platform, "connection_id": connection_id, "account_id": account_id}
    when = {} if fetched_at is None else {"fetched_at": fetched_at}
    created = updated = 0
    for start in range(0, len(distinct), BATCH):
        rows = to_json(distinct[start : start + BATCH])
        query = _upsert_query(table, distinct[start].__struct_fields__, bool(when))
        outcome = tx.run(query, studio_id=studio_id, rows=rows, **source, **when)
        created, updated = created + outcome.created, updated + outcome.updated
    return Upserted(created=created, updated=updated, unchanged=len(distinct) - created - updated)


def _distinct(table: str, records: Sequence[Identified]) -> list[Identified]:
    """In the order of their keys, so that two who store the same rows cannot wait for each other."""
    key = attrgetter(*SYNCED[table].record_key)
    distinct = {key(record): record for record in records}
    return [distinct[found] for found in sorted(distinct)]


@cache
def _upsert_query(table: str, fields: tuple[str, ...], guarded: bool) -> Query[Upserted]:
    return Query(upsert_sql(table, fields, guarded=guarded), Upserted, is_prepared=SYNCED[table].parent is None)


def remove(tx: Transaction, table: str, connection_id: UUID, external_ids: Sequence[str], *, account_id: UUID) -> int:
    """Marks rows that the platform says are gone from an account; returns how many are gone altogether. What another
    account holds, or has taken over, stays."""
    if SYNCED[table].on_delete is None or not external_ids:
        return 0
    removed = {"connection_id": connection_id, "account_id": account_id, "external_ids": list(external_ids)}
    return tx.run(_remove_query(table), **removed).count


@cache
def _remove_query(table: str) -> Query[Removed]:
    return _counting(table, f"t.external_id = ANY({EXTERNAL_IDS})")


REMEMBER_SEEN: Query[None] = Query(
    f"""
    INSERT INTO sync_seen (run_id, account_id, studio_id, table_name, external_id)
    SELECT :run_id::uuid, :account_id::uuid, :studio_id::uuid, :table_name, unnest({EXTERNAL_IDS})
    ON CONFLICT DO NOTHING
    """
)


class FullRead(NamedTuple):
    """What a run reads from its start, for what it does not meet: an account of a stream."""

    run_id: UUID
    account_id: UUID
    stream: str


def remember_seen(tx: Transaction, table: str, read: FullRead, studio_id: UUID, external_ids: Sequence[str]) -> None:
    """Notes what a complete read has met of a table, for `sweep` at its end."""
    if SYNCED[table].on_delete is not None and external_ids:
        seen = {"run_id": read.run_id, "account_id": read.account_id, "external_ids": list(external_ids)}
        tx.run(REMEMBER_SEEN, studio_id=studio_id, table_name=table, **seen)


BEFORE_THE_READ = f"t.updated_at <= {READ_STARTED_AT}"
"""What changed since may have been stored by a backfill after the read had passed its place."""
IN_ACCOUNT = f"t.account_ids @> {HOLDER}"


def sweep(tx: Transaction, table: str, connection_id: UUID, read: FullRead, *, confirmed: bool = False) -> Removed:
    """Marks what a complete read did not meet, unless that is too much to believe and nobody confirmed it."""
    if SYNCED[table].on_delete is None:
        return Removed()
    of_read = {"connection_id": connection_id, **read._asdict()}
    missing = tx.run(missing_query(table), **of_read)
    number = len(missing.external_ids)
    if not confirmed and number > UNCONFIRMED_DELETION_ROWS and number > missing.current * UNCONFIRMED_DELETION_SHARE:
        return Removed(refused=number)
    if not number:
        return Removed()
    return tx.run(_sweep_query(table), external_ids=missing.external_ids, **of_read)


@cache
def missing_query(table: str) -> Query[Missing]:
    """EXCEPT reads each side once, whatever the planner believes: of tables that were just filled it knows nothing, and
    would compare every row of the one with every row of the other."""
    synced, on_delete = _deletable(table)
    return Query(
        f"""
        WITH current AS (
            SELECT t.external_id, t.updated_at FROM {table} AS t
            WHERE {synced.in_scope("t")} AND NOT (t.{on_delete}) AND {IN_ACCOUNT}
        ), missing AS (
            SELECT t.external_id FROM current AS t WHERE {BEFORE_THE_READ}
            EXCEPT
            SELECT seen.external_id FROM sync_seen AS seen
            WHERE seen.run_id = :run_id AND seen.account_id = :account_id::uuid AND seen.table_name = '{table}'
        )
        SELECT json_build_object(
            'externalIds', (SELECT coalesce(json_agg(missing.external_id), '[]') FROM missing),
            'current', (SELECT count(*) FROM current)
        )
        """,
        Missing,
        is_prepared=False,
    )


@cache
def _sweep_query(table: str) -> Query[Removed]:
    return _counting(table, f"t.external_id = ANY({EXTERNAL_IDS}) AND {BEFORE_THE_READ}")


def _counting(table: str, condition: str) -> Query[Removed]:
    """Takes rows from an account. Those that no other one holds are gone, and counted."""
    synced, on_delete = _deletable(table)
    column, value = on_delete
    is_last = f"t.account_ids <@ {HOLDER}"
    return Query(
        f"""
        WITH removed AS (
            UPDATE {table} AS t SET
                {column} = CASE WHEN {is_last} THEN {value} ELSE t.{column} END,
                account_ids = array_remove(t.account_ids, :account_id::uuid), updated_at = {CHANGED_AT}
            WHERE {synced.in_scope("t")} AND NOT (t.{on_delete}) AND {IN_ACCOUNT} AND {condition}
            RETURNING new.{on_delete} AS is_gone
        )
        SELECT json_build_object('count', count(*) FILTER (WHERE is_gone)) FROM removed
        """,
        Removed,
    )


def _deletable(name: str) -> tuple[Table, OnDelete]:
    table = SYNCED[name]
    if table.on_delete is None:
        raise ValueError(f"rows of {name} are never deleted")
    return table, table.on_delete
