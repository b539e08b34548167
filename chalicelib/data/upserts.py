"""The statement that stores a page of records: what is particular about each table, and the SQL made of it."""

from collections.abc import Sequence
from typing import NamedTuple

TENANT_COLUMNS = ("studio_id", "platform")
KEY = (*TENANT_COLUMNS, "external_id")
KEYS = {"ad_metric": ("studio_id", "campaign_id", "day")}
"""The natural keys that are not KEY."""


class Parent(NamedTuple):
    """The row that a record belongs to; one that is not there yet is made of what the record says of it."""

    table: str
    column: str
    external_id: str
    """The record's field that names it."""
    made: dict[str, str]
    """SQL for the columns of a new one. Whoever knows the rest of it fills that in later."""


PARENTS = {
    "ad_metric": Parent(
        "ad_campaign", "campaign_id", "campaign_external_id", {"name": "r.campaign_name", "status": "'active'"}
    )
}

REPLIED = "excluded.replied_at IS NOT NULL"
COMPUTED: dict[str, dict[str, tuple[str, str]]] = {
    "inquiry": {
        "status": (
            "CASE WHEN r.replied_at IS NULL THEN 'new' ELSE 'contacted' END",
            f"CASE WHEN t.status = 'new' AND {REPLIED} THEN 'contacted' ELSE t.status END",
        ),
        "contacted_at": ("r.replied_at", "coalesce(t.contacted_at, excluded.replied_at)"),
    }
}
"""Columns that follow from a record: SQL for a new row, and for one that is there already."""

RESTATED = {
    "ad_metric": ("spend_minor", "currency", "impressions", "clicks", "conversions"),
    "review": ("rating", "text"),
}
"""What platforms change in hindsight: the values before stay on record in `<table>_restatement`."""

ON_DELETE = {"ad_campaign": "status = 'archived'", "booking": "status = 'cancelled'"}
"""What becomes of a row whose source is gone. Tables not named here keep it: a lead stays a lead."""
HELD_BY_ACCOUNTS = ("ad_campaign", "booking")
"""Tables whose rows say which accounts hold them: an event may be in several calendars under one id, or move to another
one. A row is gone only once no account holds it."""
SKIPPABLE = ("booking", "inquiry")
"""Tables whose rows may be left out by a rule after they were stored."""
HOLDER = "ARRAY[:account_id::uuid]"

CHANGED_AT = "greatest(now(), t.updated_at)"
"""Transactions overtake each other: of two that change a row, the one that began first may be the last to do so. The
time of a row never goes back, or its history would hold the two in the wrong order."""


def natural_key(table: str) -> list[str]:
    """The fields of a record that make its row's key, apart from studio and platform."""
    parent = PARENTS.get(table)
    names = [name for name in KEYS.get(table, KEY) if name not in TENANT_COLUMNS]
    return [parent.external_id if parent and name == parent.column else name for name in names]


def upsert_sql(table: str, fields: Sequence[str], *, guarded: bool = False) -> str:
    """For records with these fields. A column no field names is never touched by an update.

    Takes `rows`, `studio_id`, `platform` and `account_id`, a guarded one `fetched_at` as well; counts created and
    updated rows.
    """
    types = _column_types(table, fields)
    typed = ", ".join(f"{name} {types.get(name, 'text')}" for name in fields)
    key, derived = KEYS.get(table, KEY), COMPUTED.get(table, {})
    values = [name for name in fields if name in types and name not in key]
    new = _new_row(table, [name for name in fields if name in types])
    changes = [f"{name} = excluded.{name}" for name in values]
    changes += [f"{name} = {update}" for name, (_, update) in derived.items()]
    is_another_holder = ""
    if table in HELD_BY_ACCOUNTS:
        changes.append(f"account_ids = {_holders(table)}")
        is_another_holder = f"OR NOT {HOLDER} <@ t.account_ids"
    return f"""
        WITH r AS (
            SELECT * FROM json_to_recordset(:rows) AS r ({typed})
        ){_found_parents(table)}, stored AS (
            INSERT INTO {table} AS t ({", ".join(new)})
            SELECT {", ".join(new.values())} FROM {_source(table)}
            ON CONFLICT ({", ".join(key)}) DO UPDATE SET {", ".join(changes)}, updated_at = {CHANGED_AT}
            WHERE (({", ".join(f"t.{name}" for name in values)})
                   IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in values)}) {is_another_holder})
                  {"AND t.updated_at < :fetched_at::timestamptz" if guarded else ""}
            RETURNING (xmax = 0) AS created{_returned_before(table)}
        ){_kept_restatements(table)}
        SELECT json_build_object('created', count(*) FILTER (WHERE created),
                                 'updated', count(*) FILTER (WHERE NOT created))
        FROM stored
        """


def _new_row(table: str, columns: Sequence[str]) -> dict[str, str]:
    """SQL for each column of a new row."""
    parent = PARENTS.get(table)
    owner = {parent.column: "parent.id"} if parent else {"platform": ":platform"}
    derived = {name: insert for name, (insert, _) in COMPUTED.get(table, {}).items()}
    held = {"account_ids": HOLDER} if table in HELD_BY_ACCOUNTS else {}
    return {"studio_id": ":studio_id::uuid", **owner, **held, **{name: f"r.{name}" for name in columns}, **derived}


def _holders(table: str) -> str:
    """The accounts that hold a row after one has brought it. What was gone or left out is held by this one alone."""
    is_void = f"t.{ON_DELETE[table]}" + (" OR t.skip_reason IS NOT NULL" if table in SKIPPABLE else "")
    return f"""
        CASE WHEN {is_void} THEN {HOLDER} WHEN {HOLDER} <@ t.account_ids THEN t.account_ids
             ELSE t.account_ids || {HOLDER} END
    """


def _source(table: str) -> str:
    parent = PARENTS.get(table)
    if parent is None:
        return "r"
    order = ", ".join(f"r.{name}" for name in natural_key(table))
    return f"r JOIN parent ON parent.external_id = r.{parent.external_id} ORDER BY {order}"


def _found_parents(table: str) -> str:
    """The rows that records belong to, found or made.

    One that another transaction makes at the same time is in neither's snapshot; the update that changes nothing waits
    for it and tells its id.
    """
    parent = PARENTS.get(table)
    if parent is None:
        return ""
    named = f"r.{parent.external_id}"
    made = parent.made | ({"account_ids": HOLDER} if parent.table in HELD_BY_ACCOUNTS else {})
    return f"""
        , known AS (
            SELECT p.id, p.external_id FROM {parent.table} AS p
            WHERE p.platform = :platform::text AND p.external_id IN (SELECT {named} FROM r)
        ), made AS (
            INSERT INTO {parent.table} AS p ({", ".join([*KEY, *made])})
            SELECT DISTINCT ON ({named}) :studio_id::uuid, :platform::text, {named}, {", ".join(made.values())}
            FROM r WHERE {named} NOT IN (SELECT known.external_id FROM known)
            ORDER BY {named}
            ON CONFLICT ({", ".join(KEY)}) DO UPDATE SET external_id = excluded.external_id
            RETURNING p.id, p.external_id
        ), parent AS (
            SELECT * FROM known UNION ALL SELECT * FROM made
        )"""


def _returned_before(table: str) -> str:
    """What a row was before its update, where that is kept."""
    if table not in RESTATED:
        return ""
    before, after = ([f"{version}.{name}" for name in RESTATED[table]] for version in ("old", "new"))
    restated = f"old.id IS NOT NULL AND ({', '.join(before)}) IS DISTINCT FROM ({', '.join(after)}) AS restated"
    return f", new.id, new.updated_at, {restated}, {', '.join(before)}"


def _kept_restatements(table: str) -> str:
    """Of two restatements at one moment the first one counts: what it put in place was there for no time at all."""
    if table not in RESTATED:
        return ""
    names = ", ".join(RESTATED[table])
    return f"""
        , restated AS (
            INSERT INTO {table}_restatement (studio_id, {table}_id, valid_until, {names})
            SELECT :studio_id::uuid, id, updated_at, {names} FROM stored WHERE restated
            ON CONFLICT DO NOTHING
        )"""


def _column_types(table: str, names: Sequence[str]) -> dict[str, str]:
    """Those of the names that are columns, as the model defines them.

    Only a worker stores records, so only it pays for importing the models.
    """
    from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000

    from chalicelib.data.models import Base

    dialect = PGDialect_pg8000()  # type: ignore[no-untyped-call]
    defined = Base.metadata.tables[table].c
    if table in PARENTS:
        names = [name for name in names if name in defined]
    return {name: defined[name].type.compile(dialect) for name in names}
