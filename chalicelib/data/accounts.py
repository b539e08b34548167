"""Accounts under a connection: what is known of them, and the rule by which their records count."""

from typing import Literal
from uuid import UUID

from chalicelib.data.audit import audited
from chalicelib.data.connections import LIVE as CONNECTED
from chalicelib.data.connections import WORKING
from chalicelib.data.events import noted
from chalicelib.data.query import Query, columns, many, typed
from chalicelib.data.rows import Moment, Row
from chalicelib.data.runs import ACTIVE, FIRST_ENQUEUE, HELD, LIVE, AccountToRead

Rule = Literal["all", "matching"]


class Account(Row):
    """An account under a connection, as the API shows it."""

    id: UUID
    kind: str
    """`calendar`"""
    external_id: str | None
    """The platform's own id; null while the connection's scopes do not allow to read it"""
    name: str | None
    time_zone: str | None
    selected: bool
    """Whether syncs read it"""
    rule: Rule
    """What of it counts: `all`, or `matching` for what looks like the studio's business"""
    words: list[str]
    """The studio's own words for that, compared with the beginnings of words, whatever their case and accents"""
    seen_at: Moment
    """When the platform last named it"""


class SavedAccount(AccountToRead):
    """An account as it is after a look-up."""

    is_renamed: bool
    was: str | None
    """Its id before, if it is renamed"""


class ChangedAccount(Row):
    """An account after a change, and the runs that are to read it again."""

    account: Account
    runs: list[UUID]


SHOWN = columns(Account, "a")

LIST_ACCOUNTS: Query[list[Account] | None] = Query(
    f"""
    SELECT ({
        many(
            f'''
            SELECT {SHOWN} FROM connected_account AS a WHERE a.studio_id = c.studio_id AND a.connection_id = c.id
            ORDER BY a.kind, a.name, a.id
            '''
        )
    })
    FROM platform_connection AS c WHERE c.platform = :platform AND {CONNECTED}
    """,
    list[Account] | None,
)
"""None when the platform is not connected."""

OF_RUN = "run.studio_id = a.studio_id AND run.connection_id = a.connection_id"

SAVE_ACCOUNT: Query[SavedAccount | None] = Query(
    typed(
        f"""
        WITH run AS (
            SELECT r.studio_id, r.connection_id FROM sync_log AS r WHERE {HELD} FOR UPDATE
        ), known AS (
            SELECT a.id FROM connected_account AS a JOIN run ON {OF_RUN} WHERE a.kind = :kind AND a.selected
        ), other AS (
            SELECT a.id FROM connected_account AS a JOIN run ON {OF_RUN}
            WHERE a.kind = :kind AND NOT a.selected AND a.external_id = :external_id
        ), renamed AS (
            UPDATE connected_account AS a SET
                external_id = coalesce(:external_id, a.external_id), name = coalesce(:name, a.name),
                time_zone = coalesce(:time_zone, a.time_zone), seen_at = now()
            FROM known WHERE a.id = known.id AND NOT EXISTS (SELECT FROM other)
            RETURNING a.*, old.external_id IS DISTINCT FROM new.external_id AS is_renamed, old.external_id AS was
        ), replaced AS (
            DELETE FROM connected_account AS a USING known WHERE a.id = known.id AND EXISTS (SELECT FROM other)
        ), made AS (
            INSERT INTO connected_account AS a (studio_id, connection_id, kind, external_id, name, time_zone)
            SELECT run.studio_id, run.connection_id, :kind, :external_id, :name, :time_zone FROM run
            WHERE NOT EXISTS (SELECT FROM known) OR EXISTS (SELECT FROM other)
            ON CONFLICT (studio_id, connection_id, kind, external_id) DO UPDATE SET
                selected = true, name = coalesce(excluded.name, a.name),
                time_zone = coalesce(excluded.time_zone, a.time_zone), seen_at = now()
            RETURNING a.*, false AS is_renamed, NULL AS was
        )
        SELECT row_to_json(account) FROM (
            SELECT {columns(SavedAccount, "a")} FROM (SELECT * FROM renamed UNION ALL SELECT * FROM made) AS a
        ) AS account
        """,
        kind="text",
        external_id="text",
        name="text",
        time_zone="text",
    ),
    SavedAccount | None,
)
"""What the platform says of the account that a run reads. The one that is selected is renamed in place; it gives way to
one that was selected before another account was connected, which keeps its own rule."""

MOVE_BOOKINGS: Query[None] = Query(
    typed(
        """
        UPDATE booking AS b SET calendar_id = :external_id
        WHERE b.platform = :platform AND b.calendar_id IS NOT DISTINCT FROM :was
        """,
        external_id="text",
        was="text",
    )
)
"""The calendar that they are in has another id now."""

OF_ACCOUNT = "{0}.studio_id = a.studio_id AND {0}.connection_id = a.connection_id"
STREAMS = "(SELECT json_array_elements_text(:streams::json -> a.kind))"

CHANGE_ACCOUNT: Query[ChangedAccount | None] = Query(
    typed(
        f"""
        WITH before AS (
            SELECT a.* FROM connected_account AS a
            JOIN platform_connection AS c ON c.studio_id = a.studio_id AND c.id = a.connection_id
            WHERE a.id = :id AND c.platform = :platform AND {CONNECTED}
            FOR UPDATE OF a
        ), changed AS (
            UPDATE connected_account AS a SET rule = coalesce(:rule, a.rule), words = coalesce(:words, a.words)
            FROM before
            WHERE a.id = before.id
              AND (coalesce(:rule, a.rule), coalesce(:words, a.words)) IS DISTINCT FROM (a.rule, a.words)
            RETURNING a.*
        ), forgotten AS (
            UPDATE sync_schedule AS s SET cursor = NULL
            FROM changed AS a WHERE {OF_ACCOUNT.format("s")} AND s.stream IN {STREAMS}
        ), begun AS (
            UPDATE sync_log AS r SET
                page_cursor = CASE WHEN NOT ({LIVE}) THEN r.page_cursor END,
                full_read = {LIVE}, read_started_at = now(), skipped = '{{}}',
                lease_owner = NULL,
                lease_expires_at = CASE WHEN r.status = 'running' THEN now() END,
                enqueue_at = CASE WHEN r.status = 'running' THEN now() ELSE r.enqueue_at END
            FROM changed AS a
            WHERE {OF_ACCOUNT.format("r")} AND r.stream IN {STREAMS} AND {ACTIVE} AND r.started_at IS NOT NULL
            RETURNING r.id, r.status
        ), unseen AS (
            DELETE FROM sync_seen AS seen USING begun WHERE seen.run_id = begun.id
        ), queued AS (
            INSERT INTO sync_log AS r (studio_id, connection_id, platform, stream, trigger, enqueue_at)
            SELECT s.studio_id, s.connection_id, s.platform, s.stream, 'manual', {FIRST_ENQUEUE}
            FROM changed AS a
            JOIN sync_schedule AS s ON {OF_ACCOUNT.format("s")} AND s.stream IN {STREAMS}
            JOIN platform_connection AS c ON c.studio_id = a.studio_id AND c.id = a.connection_id
            WHERE {WORKING}
            ON CONFLICT DO NOTHING
            RETURNING r.id
        ), connection AS (
            SELECT a.studio_id, a.connection_id AS id, a.rule FROM changed AS a
        ), {noted("connection", kind="'rule_changed'", code="x.rule", message=":message")}, {
            audited("changed", action="account.change", subject="account", detail="jsonb_build_object('rule', x.rule)")
        }
        SELECT json_build_object(
            'account', (SELECT row_to_json(shown) FROM (SELECT {SHOWN}) AS shown),
            'runs', (SELECT coalesce(json_agg(id), '[]') FROM (
                SELECT id FROM queued UNION ALL SELECT id FROM begun WHERE status = 'running'
            ) AS runs)
        )
        FROM (
            SELECT * FROM changed
            UNION ALL SELECT * FROM before WHERE NOT EXISTS (SELECT FROM changed)
        ) AS a
        """,
        rule="text",
        words="jsonb",
        message="text",
    ),
    ChangedAccount | None,
)
"""What is None stays. A change makes the streams of the account's kind, by `streams`, read it from the start: active
runs start over, and workers at them lose their leases, so that nothing is stored that was judged by the old rule."""
