"""Rows for every table, derived from the models, so that the tests cover a new table immediately."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import msgspec
import pg8000.native
from pg8000.native import literal
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from chalicelib.data.models import Base
from chalicelib.data.postgres.database import transaction
from chalicelib.data.postgres.query import Query
from chalicelib.data.studios import INSERT_STUDIO

SHARED = {"platform_circuit", "app_quota", "data_deletion", "studio_erasure", "tenant_key"}
"""Tables that hold no studio's data."""
TENANT_TABLES = [table for table in Base.metadata.sorted_tables if table.name not in SHARED]
NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
CHOSEN: Mapping[str, Any] = {
    "account_position.backfill_id": None,
    "account_position.is_open": True,
    "account_position.resume_at": None,
    "ad_campaign.status": "active",
    "api_key.revoked_at": None,
    "audit_entry.actor_kind": "api_key",
    "booking.skip_reason": None,
    "booking.status": "confirmed",
    "connected_account.gone_at": None,
    "connected_account.kind": "calendar",
    "connected_account.rule": "matching",
    "sync_schedule.account_kind": "calendar",
    "connected_account.words": ["atelier"],
    "connection_event.kind": "failed",
    "content.kind": "reel",
    "content.status": "published",
    "data_key.retired_at": None,
    "idempotency_key.status": 201,
    "inquiry.certainty": "lead",
    "inquiry.skip_reason": None,
    "inquiry.status": "qualified",
    "lead_rule.kind": "sender",
    "lead_rule.verdict": "lead",
    "message.direction": "in",
    "message.effect": "asks",
    "message.kind": "person",
    "pending_grant.warnings": "[]",
    "person_identity.kind": "email",
    "platform_connection.disconnected_at": None,
    "platform_connection.status": "active",
    "platform_connection.token_generation": 7,
    "review.rating": 4,
    "studio.time_zone": "UTC",
    "sync_log.accounts": [],
    "sync_log.lease_expires_at": None,
    "sync_log.reads_again": False,
    "sync_log.resume_at": None,
    "sync_log.status": "running",
    "sync_log.trigger": "manual",
    "sync_log.backfill_from": None,
    "sync_log.backfill_to": None,
    "sync_schedule.paused_by": "studio",
    "webhook_endpoint.disabled_at": None,
    "webhook_delivery.delivered_at": None,
}
"""Columns that need specific values."""
UNKEYED = {
    "account_position.account_id": "connected_account",
    "account_position.run_id": "sync_log",
    "set_aside.account_id": "connected_account",
    "skipped_record.account_id": "connected_account",
    "sync_seen.account_id": "connected_account",
    "sync_seen.run_id": "sync_log",
}
"""References without a foreign key."""
SAME_FOR_ALL = {
    "platform": "google",
    "stream": "bookings",
    "table_name": "booking",
    "frequency": "hourly",
    "external_id": "one",
    "key": "one",
}
"""Natural keys that two studios share."""
PLAIN: Mapping[type[Any], Any] = {
    Boolean: True,
    Date: date(2026, 5, 4),
    DateTime: NOW,
    Double: 1.5,
    SmallInteger: 1,
    Integer: 1,
    BigInteger: 1,
}

Rows = dict[str, dict[str, Any]]
"""One row of each table, by table name."""


def new_studio(name: str = "Studio", *, time_zone: str = "UTC") -> UUID:
    studio_id = uuid4()
    with transaction(studio_id) as tx:
        tx.run(INSERT_STUDIO, id=studio_id, name=name, time_zone=time_zone)
    return studio_id


CONNECTION_OF: Query[UUID] = Query(
    """
    WITH found AS (
        SELECT c.id FROM platform_connection AS c WHERE c.platform = :platform ORDER BY c.id LIMIT 1
    ), made AS (
        INSERT INTO platform_connection (studio_id, platform, status, disconnected_at)
        SELECT :studio_id, :platform, 'disabled', now() WHERE NOT EXISTS (SELECT FROM found)
        RETURNING id
    )
    SELECT to_json(id) FROM (SELECT id FROM found UNION ALL SELECT id FROM made) AS connection
    """,
    UUID,
)


def connection_of(studio_id: UUID, platform: str = "google") -> UUID:
    """The studio's connection that rows of a platform belong to; a disconnected one where there is none yet."""
    with transaction(studio_id) as tx:
        return tx.run(CONNECTION_OF, studio_id=studio_id, platform=platform)


def fill(superuser: pg8000.native.Connection, studio_id: UUID, marker: str) -> Rows:
    """Gives a studio one row in each table. Its texts and bytes contain the marker, its references stay within it."""
    rows: Rows = {}
    for table in TENANT_TABLES:
        row = {column.name: _value(column, rows, studio_id, marker) for column in table.columns}
        rows[table.name] = row
    rows["studio"]["id"] = studio_id
    superuser.run(";".join(_insert(table, [row]) for table, row in rows.items()))
    return rows


def insert(superuser: pg8000.native.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Stores rows that name every column without a default."""
    if rows:
        superuser.run(_insert(table, rows))


def snapshot(superuser: pg8000.native.Connection, studio_id: UUID) -> list[tuple[str, str]]:
    """Everything a studio has: each row's table and text."""
    parts = [
        f"SELECT '{table.name}', t::text FROM {table.name} AS t WHERE {key_of(table.name)} = '{studio_id}'"
        for table in TENANT_TABLES
    ]
    return [(table, row) for table, row in superuser.run(" UNION ALL ".join(parts) + " ORDER BY 1, 2") or ()]


def key_of(table: str) -> str:
    """The column that identifies a row's studio."""
    return "id" if table == "studio" else "studio_id"


def _insert(table: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """One statement without parameters, so that many of them make one pipeline."""
    names = ", ".join(rows[0])
    documents = literal(msgspec.json.encode([_textual(row) for row in rows]).decode())
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_recordset(NULL::{table}, {documents})"


def _textual(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: f"\\x{value.hex()}" if isinstance(value, bytes) else value for name, value in row.items()}


def _value(column: "Column[Any]", rows: Rows, studio_id: UUID, marker: str) -> Any:
    name = f"{column.table.name}.{column.name}"
    if name in CHOSEN:
        return CHOSEN[name]
    if column.name == "studio_id":
        return studio_id
    for reference in column.foreign_keys:
        return rows[reference.column.table.name][reference.column.name]
    if name in UNKEYED:
        return _by_type(Base.metadata.tables[UNKEYED[name]].c["id"], marker)
    if column.name in SAME_FOR_ALL:
        return SAME_FOR_ALL[column.name]
    return _by_type(column, marker)


def _by_type(column: "Column[Any]", marker: str) -> Any:
    if isinstance(column.type, ARRAY):
        is_of_accounts = isinstance(column.type.item_type, Uuid)
        return [id_of(marker, "connected_account")] if is_of_accounts else [marker]
    if isinstance(column.type, JSON):
        return {marker: 1}
    if isinstance(column.type, LargeBinary):
        return marker.encode()
    if isinstance(column.type, Text):
        return f"{marker} {column.name}"
    if isinstance(column.type, Uuid):
        return id_of(marker, column.table.name, column.name)
    return PLAIN[type(column.type)]


def id_of(marker: str, table: str, column: str = "id") -> UUID:
    return uuid5(NAMESPACE_OID, f"{marker} {table} {column}")
