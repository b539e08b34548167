"""Accounts under a connection: what is known of them, and the rule by which their records count."""

from typing import Literal
from uuid import UUID

from chalicelib.data.audit import audited
from chalicelib.data.connections import CHOSEN, WORKING
from chalicelib.data.connections import LIVE as CONNECTED
from chalicelib.data.counted_accounts import PRESENT
from chalicelib.data.events import noted
from chalicelib.data.postgres.query import Query, columns, many, typed
from chalicelib.data.postgres.rows import FailuresInRow, Moment, Row, StreamText
from chalicelib.data.reasons import ReasonFacts, reason_facts
from chalicelib.data.sync.runs import ACTIVE, FIRST_ENQUEUE, LIVE

AccountRule = Literal["all", "matching"]
"""`all`: every record counts. `matching`: those that look like the studio's business."""


AccountStreamState = Literal["pending", "waiting", "failing", "needs_confirmation", "idle"]
"""The first of these that holds. `pending`: not read yet. `waiting`: waits until `resumesAt`. `failing`: the last try
failed. `needs_confirmation`: so many records were missing that they were kept. `idle`: none of these."""


class BaseAccountStream(Row):
    """The state of a stream for one account, without the reason."""

    sync_type: StreamText
    state: AccountStreamState
    """The stream's state with this account."""
    since: Moment | None
    """When it began to fail for this reason; null when it does not fail."""
    resumes_at: Moment | None
    """When the account is read again after a wait; null when it does not wait."""
    last_success_at: Moment | None
    """When the account was last read completely; null before the first time."""
    failures_in_row: FailuresInRow
    refused_deletions: int
    """How many records the last complete read of the account did not find and kept, because they were too many to
    delete without confirmation; otherwise 0."""


class AccountStreamFacts(BaseAccountStream):
    reason: ReasonFacts | None


class BaseAccount(Row):
    """An account under a connection, as the API shows it, without its streams."""

    id: UUID
    """The account's id in this API."""
    kind: str
    """The kind of account: `calendar` or `ad_account`."""
    external_id: str | None
    """The platform's own id; null while the granted scopes do not permit reading it."""
    name: str | None
    """The account's name at the platform; null when it has none."""
    time_zone: str | None
    """The account's IANA time zone, such as `Europe/Berlin`; null when the platform names none."""
    currency: str | None
    """The account's ISO 4217 currency code; null for accounts without money."""
    is_primary: bool
    """Whether it is the connected user's own account, the primary calendar."""
    selected: bool
    """Whether syncs read the account and its records count in the metrics."""
    gone_at: Moment | None
    """When the platform stopped listing the account; null while it lists it. Its records do not count until it is
    back."""
    rule: AccountRule
    """Which of its records count."""
    words: list[str]
    """The studio's own words that mark a record as business. They match beginnings of words, whatever their case and
    accents."""
    seen_at: Moment
    """When the platform last listed the account."""


class AccountFacts(BaseAccount):
    streams: list[AccountStreamFacts]
    """The streams that have read it, or tried to"""


class ChangedAccount(Row):
    """An account after a change, and the runs that will read it."""

    account: AccountFacts
    changed: bool
    runs: list[UUID]


OF_ACCOUNT = "s.studio_id = a.studio_id AND s.connection_id = a.connection_id AND s.account_kind = a.kind"
EVENT_KIND = """
    CASE WHEN NOT x.is_moved THEN 'rule_changed' WHEN x.selected THEN 'account_selected' ELSE 'account_deselected' END
"""
EVENT_CODE = "CASE WHEN NOT x.is_moved THEN x.rule END"
EVENT_MESSAGE = "CASE WHEN x.is_moved THEN x.name ELSE :message END"
ABOUT_ACCOUNT = "jsonb_build_object('selected', x.selected, 'rule', x.rule)"
ACCOUNT_COLUMNS = (
    "studio_id, connection_id, id, kind, external_id, name, time_zone, currency, is_primary, selected, gone_at, rule,"
    " words, seen_at"
)


STREAM_STATE = """
    CASE
        WHEN p.resume_at > now() THEN 'waiting'
        WHEN p.code IS NOT NULL THEN 'failing'
        WHEN p.refused_deletions > 0 THEN 'needs_confirmation'
        WHEN p.last_success_at IS NULL THEN 'pending'
        ELSE 'idle'
    END
"""
SHOWN_STREAM = columns(
    AccountStreamFacts,
    "p",
    sync_type="p.stream",
    state=STREAM_STATE,
    reason=f"CASE WHEN p.code IS NOT NULL THEN {reason_facts('p.code', 'p.message')} END",
    resumes_at="CASE WHEN p.resume_at > now() THEN p.resume_at END",
)
STREAMS_OF_ACCOUNT = many(
    f"SELECT {SHOWN_STREAM} FROM account_position AS p"
    " WHERE p.studio_id = a.studio_id AND p.connection_id = a.connection_id AND p.account_id = a.id"
    " AND p.backfill_id IS NULL ORDER BY p.stream"
)
SHOWN = columns(AccountFacts, "a", streams=f"({STREAMS_OF_ACCOUNT})")

LIST_ACCOUNTS: Query[list[AccountFacts] | None] = Query(
    f"""
    SELECT ({
        many(
            f'''
            SELECT {SHOWN} FROM connected_account AS a WHERE a.studio_id = c.studio_id AND a.connection_id = c.id
            ORDER BY a.kind, a.gone_at IS NOT NULL, a.selected DESC, a.is_primary DESC, a.name, a.id
            '''
        )
    })
    FROM platform_connection AS c WHERE c.id = {CHOSEN} AND {CONNECTED}
    """,
    list[AccountFacts] | None,
)
"""None if the platform is not connected."""

CHANGE_ACCOUNT: Query[ChangedAccount | None] = Query(
    typed(
        f"""
        WITH before AS (
            SELECT a.* FROM connected_account AS a
            JOIN platform_connection AS c ON c.studio_id = a.studio_id AND c.id = a.connection_id
            WHERE a.id = :id AND c.id = {CHOSEN} AND {CONNECTED}
            FOR UPDATE OF a
        ), changed AS (
            UPDATE connected_account AS a SET
                selected = coalesce(:selected, a.selected),
                rule = coalesce(:rule, a.rule), words = coalesce(:words, a.words)
            FROM before
            WHERE a.id = before.id
              AND (coalesce(:selected, a.selected), coalesce(:rule, a.rule), coalesce(:words, a.words))
                  IS DISTINCT FROM (a.selected, a.rule, a.words)
            RETURNING a.*, old.selected <> new.selected AS is_moved,
                      (old.rule, old.words) IS DISTINCT FROM (new.rule, new.words) AS is_rule_changed
        ), positions AS (
            UPDATE account_position AS p SET
                cursor = CASE WHEN a.is_rule_changed THEN NULL ELSE p.cursor END, resume_at = NULL,
                is_open = p.is_open AND p.backfill_id IS NOT NULL AND a.selected,
                page_cursor = CASE WHEN p.backfill_id IS NOT NULL THEN p.page_cursor END,
                run_id = CASE WHEN p.backfill_id IS NOT NULL THEN p.run_id END
            FROM changed AS a
            WHERE p.studio_id = a.studio_id AND p.connection_id = a.connection_id AND p.account_id = a.id
        ), begun AS (
            UPDATE sync_log AS r SET
                full_read = r.full_read OR ({LIVE} AND a.is_rule_changed),
                lease_owner = NULL,
                lease_expires_at = CASE WHEN r.status = 'running' THEN now() END,
                enqueue_at = CASE WHEN r.status = 'running' THEN now() ELSE r.enqueue_at END
            FROM changed AS a
            JOIN sync_schedule AS s ON {OF_ACCOUNT}
            WHERE r.studio_id = a.studio_id AND r.connection_id = a.connection_id AND r.stream = s.stream
              AND {ACTIVE} AND r.started_at IS NOT NULL
            RETURNING r.id, r.status
        ), unseen AS (
            DELETE FROM sync_seen AS seen USING begun, changed AS a
            WHERE seen.run_id = begun.id AND seen.account_id = a.id
        ), queued AS (
            INSERT INTO sync_log AS r (studio_id, connection_id, platform, stream, trigger, enqueue_at)
            SELECT s.studio_id, s.connection_id, s.platform, s.stream, 'manual', {FIRST_ENQUEUE}
            FROM changed AS a
            JOIN sync_schedule AS s ON {OF_ACCOUNT}
            JOIN platform_connection AS c ON c.studio_id = a.studio_id AND c.id = a.connection_id
            WHERE {WORKING} AND {PRESENT}
            ON CONFLICT DO NOTHING
            RETURNING r.id
        ), connection AS (
            SELECT a.studio_id, a.connection_id AS id, coalesce(a.name, a.external_id) AS name, a.rule, a.selected,
                   a.is_moved FROM changed AS a
        ), {noted("connection", kind=EVENT_KIND, code=EVENT_CODE, message=EVENT_MESSAGE)}, {
            audited("changed", action="account.change", subject="account", detail=ABOUT_ACCOUNT)
        }
        SELECT json_build_object(
            'account', (SELECT row_to_json(shown) FROM (SELECT {SHOWN}) AS shown),
            'changed', EXISTS (SELECT FROM changed),
            'runs', (SELECT coalesce(json_agg(id), '[]') FROM (
                SELECT id FROM queued UNION ALL SELECT id FROM begun WHERE status = 'running'
            ) AS runs)
        )
        FROM (
            SELECT {ACCOUNT_COLUMNS} FROM changed
            UNION ALL SELECT {ACCOUNT_COLUMNS} FROM before WHERE NOT EXISTS (SELECT FROM changed)
        ) AS a
        """,
        selected="boolean",
        rule="text",
        words="jsonb",
        message="text",
    ),
    ChangedAccount | None,
)
"""None leaves a setting unchanged. A change makes the streams of the account's kind read it; a new rule makes them read
it from the start.

Workers on active runs lose their leases, so that they store nothing that was judged by the old rule or belongs to an
account that was deselected."""
