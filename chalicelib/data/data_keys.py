"""Wrapped data keys: those a studio seals and opens with, and those that need rewrapping or replacement."""

from uuid import UUID

from chalicelib.data.postgres.query import Query, array_of, columns, many, one, returned
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.data.studios import NewId


class StoredDataKey(Row):
    """A studio's data key as stored: wrapped."""

    id: UUID
    wrapped: bytes


class KeyRef(Row):
    """A data key and its studio."""

    id: UUID
    studio_id: UUID


class StaleKeys(Row):
    """A batch of keys that are not wrapped as required, and the number of those not in quarantine."""

    left: int
    keys: list[KeyRef]


class DueStudios(Row):
    left: int
    """This batch and everything after it"""
    studios: list[UUID]


class WrappedUnder(Row):
    """The number of data keys wrapped under exactly these keys; None: it was not recorded under which."""

    keys: list[str] | None
    count: int


class KeyCounts(Row):
    wrapped_under: list[WrappedUnder]
    oldest_made_at: Moment | None
    """For the keys that studios currently seal with"""
    retired: int
    quarantined: int


INSERT_DATA_KEY: Query[None] = Query(
    "INSERT INTO data_key (studio_id, wrapped, provider, wrapped_under)"
    f" VALUES (:studio_id, :wrapped, :provider, {array_of('wrapped_under')})"
)
DATA_KEYS = f"SELECT {columns(StoredDataKey)} FROM data_key ORDER BY (retired_at IS NULL) DESC, id DESC"
"""The studio's data keys, the current one first."""

WANTED = array_of("wanted")

LIST_DATA_KEYS: Query[list[StoredDataKey]] = Query(many(DATA_KEYS), list[StoredDataKey])
FIND_STALE_KEY: Query[StoredDataKey | None] = Query(
    one(f"SELECT {columns(StoredDataKey)} FROM data_key WHERE id = :id AND wrapped_under IS DISTINCT FROM {WANTED}"),
    StoredDataKey | None,
)
"""None once the key has been wrapped as required."""
REWRAP_DATA_KEY: Query[NewId | None] = Query(
    f"""
    WITH rewrapped AS (
        UPDATE data_key AS k SET wrapped = :wrapped, wrapped_under = {array_of("wrapped_under")}, provider = :provider
        WHERE k.id = :id AND k.wrapped = :replaced
        RETURNING k.studio_id, k.id
    ), released AS (
        DELETE FROM quarantine AS q USING rewrapped AS x
        WHERE q.studio_id = x.studio_id AND q.table_name = 'data_key' AND q.row_id = x.id
    )
    SELECT json_build_object('id', x.id) FROM rewrapped AS x
    """,
    NewId | None,
)
"""Compare-and-swap on the bytes that were opened. A key that could be opened leaves quarantine."""

RETIRE_DATA_KEY: Query[NewId | None] = Query(
    returned("UPDATE data_key AS k SET retired_at = now() WHERE k.id = :id AND k.retired_at IS NULL RETURNING k.id"),
    NewId | None,
)

FIND_KEYS_TO_REWRAP: Query[StaleKeys] = Query(
    f"SELECT cross_tenant.find_keys_to_rewrap({WANTED}, :after, :batch)", StaleKeys
)
FIND_STUDIOS_TO_REKEY: Query[DueStudios] = Query(
    "SELECT cross_tenant.find_studios_to_rekey(:made_before, :after, :batch)", DueStudios
)
FIND_KEY_COUNTS: Query[KeyCounts] = Query("SELECT cross_tenant.find_key_counts()", KeyCounts)
