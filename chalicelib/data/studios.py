"""Studios and their data keys."""

from datetime import datetime
from uuid import UUID

from chalicelib.data.query import Query, columns, many, one
from chalicelib.data.rows import Row


class Studio(Row):
    id: UUID
    name: str
    time_zone: str
    created_at: datetime


class StoredDataKey(Row):
    """A studio's data key as stored: wrapped."""

    id: UUID
    wrapped: bytes


class NewId(Row):
    id: UUID


NEW_ID: Query[NewId] = Query(one("SELECT uuidv7() AS id"), NewId)
"""Ids come from the database, also where one is needed before its row exists."""

INSERT_STUDIO: Query[None] = Query("INSERT INTO studio (id, name, time_zone) VALUES (:id, :name, :time_zone)")
GET_STUDIO: Query[Studio | None] = Query(one(f"SELECT {columns(Studio)} FROM studio"), Studio | None)

INSERT_DATA_KEY: Query[None] = Query(
    "INSERT INTO data_key (studio_id, wrapped, provider) VALUES (:studio_id, :wrapped, :provider)"
)
DATA_KEYS = f"SELECT {columns(StoredDataKey)} FROM data_key ORDER BY (retired_at IS NULL) DESC, id DESC"
"""The studio's data keys, the current one first."""

LIST_DATA_KEYS: Query[list[StoredDataKey]] = Query(many(DATA_KEYS), list[StoredDataKey])
