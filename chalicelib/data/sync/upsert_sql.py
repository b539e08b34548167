"""The statement that stores a page of records, built from its table's declaration."""

from collections.abc import Sequence

from chalicelib.data.sync.column_types import COLUMN_TYPES
from chalicelib.data.sync.tables import FROM_SCOPE, SCOPES, SYNCED, Table

HOLDER = "ARRAY[:account_id::uuid]"
SOURCE = {"connection_id": ":connection_id::uuid", "platform": ":platform::text"}
"""SQL for a row's source."""

CHANGED_AT = "greatest(now(), t.updated_at)"
"""Of two transactions that change a row, the one that began first may be the last to do so. A row's time never goes
back, or its history would have the two in the wrong order."""


def upsert_sql(name: str, fields: Sequence[str], *, guarded: bool = False) -> str:
    """For records with these fields. An update never touches other columns.

    Takes `rows`, `studio_id`, `connection_id`, `platform` and `account_id`, and if guarded `fetched_at`; counts created
    and updated rows.
    """
    table = SYNCED[name]
    types = _column_types(table, fields)
    typed = ", ".join(f"{field} {types.get(field, 'text')}" for field in fields)
    columns = [field for field in fields if field in types]
    values = [column for column in columns if column not in table.key]
    new = _new_row(table, columns)
    changes = [f"{column} = excluded.{column}" for column in values]
    is_another_holder = ""
    if table.held_by_accounts:
        changes.append(f"account_ids = {_holders(table)}")
        is_another_holder = f"OR NOT {HOLDER} <@ t.account_ids"
    return f"""
        WITH r AS (
            SELECT * FROM json_to_recordset(:rows) AS r ({typed})
        ){_parent_rows(table)}, stored AS (
            INSERT INTO {name} AS t ({", ".join(new)})
            SELECT {", ".join(new.values())} FROM {_source(table)}
            ON CONFLICT ({", ".join(table.key)}) DO UPDATE SET {", ".join(changes)}, updated_at = {CHANGED_AT}
            WHERE (({", ".join(f"t.{column}" for column in values)})
                   IS DISTINCT FROM ({", ".join(f"excluded.{column}" for column in values)}) {is_another_holder})
                  {"AND t.updated_at < :fetched_at::timestamptz" if guarded else ""}
            RETURNING (xmax = 0) AS created{_earlier_values(table)}
        ){_restatements(table)}
        SELECT json_build_object('created', count(*) FILTER (WHERE created),
                                 'updated', count(*) FILTER (WHERE NOT created))
        FROM stored
        """


def _new_row(table: Table, columns: Sequence[str]) -> dict[str, str]:
    """SQL for each column of a new row."""
    parent = {table.parent.column: "parent.id"} if table.parent else {}
    return {**_owner(table), **parent, **{column: f"r.{column}" for column in columns}}


def _owner(table: Table) -> dict[str, str]:
    """SQL for the columns that identify a new row's owner."""
    held = {"account_ids": HOLDER} if table.held_by_accounts else {}
    source = {column: SCOPES[column] for column in table.scope}
    for column in table.scope:
        source |= FROM_SCOPE[column]
    return {"studio_id": ":studio_id::uuid", **source, **held}


def _holders(table: Table) -> str:
    """The accounts that hold a row after an upsert. A row that was gone or left out is held by this account alone."""
    is_void = f"t.{table.on_delete}" + (" OR t.skip_reason IS NOT NULL" if table.skippable else "")
    return f"""
        CASE WHEN {is_void} THEN {HOLDER} WHEN {HOLDER} <@ t.account_ids THEN t.account_ids
             ELSE t.account_ids || {HOLDER} END
    """


def _source(table: Table) -> str:
    if table.parent is None:
        return "r"
    order = ", ".join(f"r.{field}" for field in table.record_key)
    return f"r JOIN parent ON parent.external_id = r.{table.parent.external_id} ORDER BY {order}"


def _parent_rows(table: Table) -> str:
    """The parent rows of records, found or created.

    A parent that another transaction is creating is not in this one's snapshot; the update without a change waits for
    it and returns its id.
    """
    if table.parent is None:
        return ""
    parent, named = SYNCED[table.parent.table], f"r.{table.parent.external_id}"
    new = {**_owner(parent), "external_id": named, **table.parent.made}
    return f"""
        , known AS (
            SELECT p.id, p.external_id FROM {parent.name} AS p
            WHERE {parent.in_scope("p")} AND p.external_id IN (SELECT {named} FROM r)
        ), made AS (
            INSERT INTO {parent.name} AS p ({", ".join(new)})
            SELECT DISTINCT ON ({named}) {", ".join(new.values())}
            FROM r WHERE {named} NOT IN (SELECT known.external_id FROM known)
            ORDER BY {named}
            ON CONFLICT ({", ".join(parent.key)}) DO UPDATE SET external_id = excluded.external_id
            RETURNING p.id, p.external_id
        ), parent AS (
            SELECT * FROM known UNION ALL SELECT * FROM made
        )"""


def _earlier_values(table: Table) -> str:
    """The values of a row before its update, if they are kept."""
    if not table.restated:
        return ""
    before, after = ([f"{version}.{column}" for column in table.restated] for version in ("old", "new"))
    restated = f"old.id IS NOT NULL AND ({', '.join(before)}) IS DISTINCT FROM ({', '.join(after)}) AS restated"
    return f", new.id, new.updated_at, {restated}, {', '.join(before)}"


def _restatements(table: Table) -> str:
    """Of two restatements at the same time only the first is kept: the value between them was never valid."""
    if not table.restated:
        return ""
    columns = ", ".join(table.restated)
    return f"""
        , restated AS (
            INSERT INTO {table.name}_restatement (studio_id, {table.name}_id, valid_until, {columns})
            SELECT :studio_id::uuid, id, updated_at, {columns} FROM stored WHERE restated
            ON CONFLICT DO NOTHING
        )"""


def _column_types(table: Table, fields: Sequence[str]) -> dict[str, str]:
    """The types of fields that are columns. The other fields describe the parent."""
    defined = COLUMN_TYPES[table.name]
    if table.parent is not None:
        fields = [field for field in fields if field in defined]
    return {field: defined[field] for field in fields}
