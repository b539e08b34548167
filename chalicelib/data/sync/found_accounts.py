"""Accounts as listed by a platform: how a run stores the list it requested."""

from uuid import UUID

from chalicelib.data.postgres.query import Query, typed
from chalicelib.data.postgres.rows import Row
from chalicelib.data.sync.leases import HELD
from chalicelib.data.sync.positions import closed


class NamedAccount(Row):
    """The grant's own account, and its previous id."""

    id: UUID
    was: str | None
    replaced: UUID | None
    """The account without an id that it replaces"""


class SavedAccounts(Row):
    found: int
    gone: int


HELD_RUN = f"""
    SELECT r.studio_id, r.connection_id, r.stream FROM sync_log AS r WHERE {HELD} FOR UPDATE
"""
OF_KIND = "a.studio_id = run.studio_id AND a.connection_id = run.connection_id AND a.kind = :kind"

NAME_PRIMARY: Query[NamedAccount | None] = Query(
    typed(
        f"""
        WITH run AS ({HELD_RUN}), known AS (
            SELECT a.* FROM connected_account AS a JOIN run ON {OF_KIND}
            WHERE a.is_primary AND a.gone_at IS NULL AND a.external_id IS DISTINCT FROM :external_id
            ORDER BY a.id LIMIT 1 FOR UPDATE OF a
        ), other AS (
            SELECT a.id FROM connected_account AS a JOIN run ON {OF_KIND}
            WHERE a.external_id = :external_id AND EXISTS (SELECT FROM known) FOR UPDATE OF a
        ), renamed AS (
            UPDATE connected_account AS a SET external_id = :external_id
            FROM known WHERE a.id = known.id AND NOT EXISTS (SELECT FROM other)
            RETURNING a.id, old.external_id AS was, NULL::uuid AS replaced
        ), left_behind AS (
            DELETE FROM connected_account AS a USING known
            WHERE a.id = known.id AND known.external_id IS NULL AND EXISTS (SELECT FROM other)
            RETURNING a.id
        ), replaced AS (
            UPDATE connected_account AS a SET is_primary = true, selected = true
            FROM other, left_behind WHERE a.id = other.id
            RETURNING a.id, NULL::text AS was, left_behind.id AS replaced
        )
        SELECT row_to_json(named) FROM (SELECT * FROM renamed UNION ALL SELECT * FROM replaced) AS named
        """,
        kind="text",
        external_id="text",
    ),
    NamedAccount | None,
)
"""Gives the grant's own account the id that the platform reports: a known one is renamed in place, one without an id
gets its first. If another account already has that id, from before another grant was connected, that account stays
with its own rule, and the one without an id is deleted.

None if nothing changed, or without the run's lease."""

MOVE_BOOKINGS: Query[None] = Query(
    typed(
        """
        UPDATE booking AS b SET calendar_id = :external_id, account_ids = array_replace(b.account_ids, :replaced, :id)
        WHERE b.account_ids @> ARRAY[coalesce(:replaced, :id)]
          AND (b.calendar_id IS NOT DISTINCT FROM :was OR :replaced IS NOT NULL)
        """,
        external_id="text",
        was="text",
        id="uuid",
        replaced="uuid",
    )
)
"""After NAME_PRIMARY: their calendar has another id now."""

FORGET_REPLACED: Query[None] = Query(
    typed(
        """
        WITH skipped AS (
            DELETE FROM skipped_record AS x WHERE x.account_id = :replaced
        ), odd AS (
            DELETE FROM set_aside AS x WHERE x.account_id = :replaced
        ), seen AS (
            DELETE FROM sync_seen AS x WHERE x.account_id = :replaced
        ), position AS (
            DELETE FROM account_position AS x WHERE x.account_id = :replaced
        )
        UPDATE account_position AS p SET cursor = NULL WHERE p.account_id = :id AND p.backfill_id IS NULL
        """,
        replaced="uuid",
        id="uuid",
    )
)
"""The account that replaces it is read from the start."""

SAVE_ACCOUNTS: Query[SavedAccounts | None] = Query(
    typed(
        f"""
        WITH run AS ({HELD_RUN}), found AS (
            SELECT * FROM json_to_recordset(:accounts) AS f (
                external_id text, name text, time_zone text, currency text, is_primary boolean, selected boolean
            )
        ), unnamed AS (
            UPDATE connected_account AS a SET
                time_zone = coalesce(found.time_zone, a.time_zone), seen_at = now()
            FROM run, found
            WHERE {OF_KIND} AND found.external_id IS NULL AND a.is_primary AND a.gone_at IS NULL
            RETURNING a.id
        ), named AS (
            INSERT INTO connected_account AS a (
                studio_id, connection_id, kind, external_id, name, time_zone, currency, is_primary, selected
            )
            SELECT run.studio_id, run.connection_id, :kind, found.external_id, found.name, found.time_zone,
                   found.currency, found.is_primary, found.selected
            FROM run CROSS JOIN found
            WHERE found.external_id IS NOT NULL OR NOT EXISTS (SELECT FROM unnamed)
            ORDER BY found.external_id
            ON CONFLICT (studio_id, connection_id, kind, external_id) DO UPDATE SET
                name = coalesce(excluded.name, a.name), time_zone = coalesce(excluded.time_zone, a.time_zone),
                currency = coalesce(excluded.currency, a.currency), is_primary = excluded.is_primary,
                seen_at = now(), gone_at = NULL
            RETURNING a.id
        ), gone AS (
            UPDATE connected_account AS a SET gone_at = now()
            FROM run
            WHERE {OF_KIND} AND :complete AND a.gone_at IS NULL
              AND NOT EXISTS (SELECT FROM found WHERE found.external_id = a.external_id)
            RETURNING a.*
        ), closed AS ({closed("gone")}), schedule AS (
            UPDATE sync_schedule AS s SET accounts_listed_at = now()
            FROM run
            WHERE s.studio_id = run.studio_id AND s.connection_id = run.connection_id AND s.stream = run.stream
        )
        SELECT json_build_object('found', (SELECT count(*) FROM found), 'gone', (SELECT count(*) FROM gone)) FROM run
        """,
        kind="text",
        complete="boolean",
    ),
    SavedAccounts | None,
)
"""Stores the platform's list of the accounts of a kind. Accounts that are missing from it are gone if the list is
`complete`; the studio's choices for them stay."""
