"""Records that a stream's rules leave out: only their id, the reason, and the times of last contact."""

from functools import cache

from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Row
from chalicelib.data.sync.positions import READ_STARTED_AT
from chalicelib.data.sync.tables import SYNCED, Table
from chalicelib.data.sync.upsert_sql import CHANGED_AT, HOLDER


class AddressKey(Row):
    address_key: bytes


@cache
def store_skipped_query(table: str) -> Query[None]:
    """Stores the skipped records of an account. A stored row with the same id stops counting, unless another account
    holds it."""
    synced, marked = SYNCED[table], ""
    if synced.skippable:
        marked = _marked_in_account(synced) if synced.held_by_accounts else _marked(synced)
    return Query(
        f"""
        WITH r AS (
            SELECT * FROM json_to_recordset(:rows) AS r (
                external_id text, reason text, counterpart text, first_in_at timestamptz, last_in_at timestamptz,
                first_out_at timestamptz, last_out_at timestamptz
            )
        ){marked}
        INSERT INTO skipped_record AS s (
            studio_id, connection_id, stream, account_id, external_id, table_name, reason, counterpart,
            first_in_at, last_in_at, first_out_at, last_out_at
        )
        SELECT :studio_id::uuid, :connection_id::uuid, :stream, :account_id::uuid, r.external_id, '{table}', r.reason,
               decode(r.counterpart, 'base64'),
               r.first_in_at, r.last_in_at, r.first_out_at, r.last_out_at
        FROM r
        ON CONFLICT (studio_id, connection_id, stream, account_id, external_id, table_name) DO UPDATE SET
            reason = excluded.reason, counterpart = excluded.counterpart,
            first_in_at = excluded.first_in_at, last_in_at = excluded.last_in_at,
            first_out_at = excluded.first_out_at, last_out_at = excluded.last_out_at,
            updated_at = greatest(now(), s.updated_at)
        """
    )


def _marked(table: Table) -> str:
    return f"""
        , marked AS (
            UPDATE {table.name} AS t SET skip_reason = r.reason, updated_at = {CHANGED_AT} FROM r
            WHERE {table.in_scope("t")} AND t.external_id = r.external_id AND t.skip_reason IS DISTINCT FROM r.reason
        )"""


def _marked_in_account(table: Table) -> str:
    is_last = f"t.account_ids <@ {HOLDER}"
    return f"""
        , marked AS (
            UPDATE {table.name} AS t SET
                skip_reason = CASE WHEN {is_last} THEN r.reason ELSE t.skip_reason END,
                account_ids = CASE WHEN {is_last} THEN t.account_ids ELSE array_remove(t.account_ids, :account_id) END,
                updated_at = {CHANGED_AT}
            FROM r
            WHERE {table.in_scope("t")} AND t.external_id = r.external_id
              AND CASE WHEN {is_last} THEN t.skip_reason IS DISTINCT FROM r.reason ELSE t.account_ids @> {HOLDER} END
        )"""


CLEAR_SKIPPED: Query[None] = Query(
    """
    DELETE FROM skipped_record WHERE connection_id = :connection_id AND stream = :stream AND account_id = :account_id
      AND table_name = :table_name AND external_id IN (SELECT json_array_elements_text(:external_ids::json))
    """,
    is_prepared=False,
)
"""For records that meanwhile are stored, set aside or gone."""

CLEAR_UNSEEN_SKIPPED: Query[None] = Query(
    f"""
    DELETE FROM skipped_record AS s WHERE s.connection_id = :connection_id AND s.stream = :stream
      AND s.account_id = :account_id AND s.updated_at < {READ_STARTED_AT}
    """,
    is_prepared=False,
)
"""A record that a complete read did not find no longer exists at the platform."""

COUNT_SKIPPED: Query[None] = Query(
    """
    UPDATE sync_schedule AS c SET skipped = coalesce(
        (SELECT json_object_agg(r.reason, r.count) FROM (
            SELECT s.reason, count(*) AS count FROM skipped_record AS s
            WHERE s.connection_id = :connection_id AND s.stream = :stream GROUP BY s.reason
        ) AS r),
        '{}'
    )
    WHERE c.connection_id = :connection_id AND c.stream = :stream
    """,
    is_prepared=False,
)
"""At the end of a run, so that reading the status needs no counting."""

KEEP_ADDRESS_KEY: Query[AddressKey | None] = Query(
    """
    WITH stored AS (
        UPDATE studio AS s SET address_key =
            CASE WHEN s.address_key IS NULL OR s.address_key = :lost THEN :address_key ELSE s.address_key END
        WHERE s.id = :studio_id
        RETURNING s.address_key
    )
    SELECT json_build_object('addressKey', translate(encode(stored.address_key, 'base64'), E'\\n', '')) FROM stored
    """,
    AddressKey | None,
)
"""An existing key stays, unless it is `lost`: two workers may each bring another one."""
