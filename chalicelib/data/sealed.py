"""The columns with sealed values, listed once, and how values move from a retired data key to the current one."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.postgres.query import Query, columns, many, typed
from chalicelib.data.postgres.rows import Row
from chalicelib.data.studios import NewId

REST = "interval '1 hour'"
"""No invocation lasts longer, so nothing is sealed with a key that was retired earlier."""


class SealedColumn(NamedTuple):
    """A column with sealed values, and the SQL of the generation that they are bound to."""

    table: str
    column: str
    generation: str = "1"


SEALED = (
    SealedColumn("oauth_state", "verifier"),
    SealedColumn("pending_grant", "access_token"),
    SealedColumn("pending_grant", "refresh_token"),
    SealedColumn("platform_connection", "access_token", "t.token_generation"),
    SealedColumn("platform_connection", "refresh_token", "t.token_generation"),
    SealedColumn("set_aside", "content"),
    SealedColumn("studio", "address_key"),
    SealedColumn("webhook_endpoint", "secret"),
)


class SealedValue(Row):
    """A sealed value, and its place."""

    table_name: str
    column_name: str
    row_id: UUID
    generation: int
    sealed: bytes


class ListedKey(StoredDataKey):
    """A data key and its age."""

    created_at: datetime
    retired: bool
    cooled_down: bool
    """Retired so long ago that nothing is sealed with it anymore"""


class SealedValues(Row):
    """A studio's data keys, the current one first, and a page of values sealed with other keys."""

    data_keys: list[ListedKey]
    values: list[SealedValue]
    quarantined: bool
    """Whether any of the studio's values are in quarantine"""


class DeletedKeys(Row):
    keys: int
    released: int


VALUES = " UNION ALL ".join(
    f"SELECT '{place.table}' AS table_name, '{place.column}' AS column_name, t.id AS row_id,"
    f" {place.generation} AS generation, t.{place.column} AS sealed, substring(t.{place.column} FROM 2 FOR 16)"
    f" AS key_id FROM {place.table} AS t WHERE t.{place.column} IS NOT NULL"
    for place in SEALED
)
CURRENT = "(SELECT uuid_send(k.id) FROM data_key AS k WHERE k.retired_at IS NULL)"
OUTDATED = f"SELECT v.* FROM ({VALUES}) AS v WHERE v.key_id IS DISTINCT FROM {CURRENT}"
"""Values that are not sealed under the current key, including those that name no key at all."""

COOLED_DOWN = f"coalesce(retired_at < now() - {REST}, false)"
KEYS = f"""
    SELECT {columns(ListedKey, retired="retired_at IS NOT NULL", cooled_down=COOLED_DOWN)}
    FROM data_key ORDER BY (retired_at IS NULL) DESC, id DESC
"""
PAGE = f"""
    SELECT {columns(SealedValue, "v")} FROM ({VALUES}) AS v
    WHERE (v.table_name, v.column_name, v.row_id) > (:table_name, :column_name, :row_id)
      AND (:everything OR v.key_id IS DISTINCT FROM {CURRENT})
    ORDER BY v.table_name, v.column_name, v.row_id LIMIT :batch
"""
LIST_SEALED_VALUES: Query[SealedValues] = Query(
    typed(
        f"""
        SELECT json_build_object(
            'dataKeys', ({many(KEYS)}), 'values', ({many(PAGE)}), 'quarantined', EXISTS (SELECT FROM quarantine)
        )
        """,
        everything="boolean",
        table_name="text",
        column_name="text",
        row_id="uuid",
    ),
    SealedValues,
)
"""With `everything`, the values sealed with the current key are included."""


def _resealed(place: SealedColumn) -> str:
    return f"""
        UPDATE {place.table} AS t SET {place.column} = :resealed
        WHERE (:table_name, :column_name) = ('{place.table}', '{place.column}')
          AND t.id = :row_id AND t.{place.column} = :sealed
        RETURNING t.id
    """


RESEALED = ", ".join(f"{place.table}_{place.column} AS ({_resealed(place)})" for place in SEALED)
"""A CTE for each column; the values of `table_name` and `column_name` activate one of them."""
RESEALED_IDS = " UNION ALL ".join(f"SELECT id FROM {place.table}_{place.column}" for place in SEALED)
RESEAL: Query[NewId | None] = Query(
    typed(
        f"WITH {RESEALED} SELECT json_build_object('id', x.id) FROM ({RESEALED_IDS}) AS x",
        table_name="text",
        column_name="text",
    ),
    NewId | None,
)
"""Compare-and-swap on the value that was opened: a concurrent replacement wins. Its generation stays."""

DELETE_UNUSED_KEYS: Query[DeletedKeys] = Query(
    f"""
    WITH outdated AS MATERIALIZED ({OUTDATED}), unused AS (
        DELETE FROM data_key AS k
        WHERE {COOLED_DOWN} AND NOT EXISTS (SELECT FROM outdated AS o WHERE o.key_id = uuid_send(k.id))
        RETURNING k.id
    ), released AS (
        DELETE FROM quarantine AS q
        WHERE CASE
            WHEN q.table_name <> 'data_key' THEN NOT EXISTS (
                SELECT FROM outdated AS o
                WHERE (o.table_name, o.column_name, o.row_id) = (q.table_name, q.column_name, q.row_id)
            )
            ELSE q.row_id IN (SELECT u.id FROM unused AS u)
                OR NOT EXISTS (SELECT FROM data_key AS k WHERE k.id = q.row_id)
        END
        RETURNING 1
    )
    SELECT json_build_object('keys', (SELECT count(*) FROM unused), 'released', (SELECT count(*) FROM released))
    """,
    DeletedKeys,
)
"""Deletes retired keys that seal nothing, and removes from quarantine what was opened or replaced since."""
