"""Bulk upserts: a page becomes one statement with one JSON parameter, built from the columns of its table."""

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
"""Records per statement; 500 to 2,000 performed best."""

EXTERNAL_IDS = array_of("external_ids")

UNCONFIRMED_DELETION_ROWS = 20
UNCONFIRMED_DELETION_SHARE = 0.25
"""Deletions beyond both this number and this share of the current rows need confirmation: a platform that returns half
a list must not delete a studio's bookings."""


class Upserted(Row):
    """The effect of an upsert on its records."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0


class Removed(Row):
    """How many rows a sweep removed, or refused to remove."""

    count: int = 0
    refused: int = 0


class Missing(Row):
    """Records that a complete read did not see, and the number of current rows."""

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
    """Stores the records of an account by their natural key; unchanged rows are left untouched.

    A key that occurs twice counts once; the last one wins. With `fetched_at`, a time of the database's clock, rows that
    changed since then are left alone and count as unchanged.
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
    """In the order of their keys, so that two transactions that store the same rows cannot deadlock."""
    key_of = attrgetter(*SYNCED[table].record_key)
    distinct = {key_of(record): record for record in records}
    return [distinct[key] for key in sorted(distinct)]


@cache
def _upsert_query(table: str, fields: tuple[str, ...], guarded: bool) -> Query[Upserted]:
    return Query(upsert_sql(table, fields, guarded=guarded), Upserted, is_prepared=SYNCED[table].parent is None)


def remove(tx: Transaction, table: str, connection_id: UUID, external_ids: Sequence[str], *, account_id: UUID) -> int:
    """Removes an account from rows that the platform reports as gone there; returns how many no account holds any more.
    Rows that another account holds stay."""
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
    """A complete read of one account of a stream by a run."""

    run_id: UUID
    account_id: UUID
    stream: str


def remember_seen(tx: Transaction, table: str, read: FullRead, studio_id: UUID, external_ids: Sequence[str]) -> None:
    """Notes the records of a table that a complete read has seen, for `sweep` at its end."""
    if SYNCED[table].on_delete is not None and external_ids:
        seen = {"run_id": read.run_id, "account_id": read.account_id, "external_ids": list(external_ids)}
        tx.run(REMEMBER_SEEN, studio_id=studio_id, table_name=table, **seen)


BEFORE_THE_READ = f"t.updated_at <= {READ_STARTED_AT}"
"""A backfill may have stored later changes after the read had passed their place."""
IN_ACCOUNT = f"t.account_ids @> {HOLDER}"


def sweep(tx: Transaction, table: str, connection_id: UUID, read: FullRead, *, confirmed: bool = False) -> Removed:
    """Marks rows that a complete read did not see, unless they are implausibly many and unconfirmed."""
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
    """EXCEPT reads each side once. The planner has no statistics for a table that was just filled, and might otherwise
    compare every row of one with every row of the other."""
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
    """Removes an account from rows. Rows that no other account holds are marked and counted."""
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
