"""Studios, and ids for new rows."""

from datetime import datetime
from uuid import UUID

from chalicelib.data.postgres.query import Query, columns, one
from chalicelib.data.postgres.rows import Row


class Studio(Row):
    id: UUID
    name: str
    time_zone: str
    created_at: datetime


class NewId(Row):
    id: UUID


NEW_ID: Query[NewId] = Query(one("SELECT uuidv7() AS id"), NewId)
"""Ids come from the database, even if one is needed before its row exists."""

NEW_IDS: Query[list[UUID]] = Query("SELECT json_agg(uuidv7()) FROM generate_series(1, :count)", list[UUID])

INSERT_STUDIO: Query[None] = Query("INSERT INTO studio (id, name, time_zone) VALUES (:id, :name, :time_zone)")
GET_STUDIO: Query[Studio | None] = Query(one(f"SELECT {columns(Studio)} FROM studio"), Studio | None)
FIND_STUDIOS: Query[list[Studio]] = Query("SELECT cross_tenant.find_studios(:after, :batch)", list[Studio])
"""The studios after this one, by id."""
