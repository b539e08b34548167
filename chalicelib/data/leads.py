"""Leads: one statement looks up what is known about a page's threads, another one stores the page."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from chalicelib.data.postgres.query import Query, array_of, columns, typed
from chalicelib.data.postgres.rows import Row


class KnownThread(Row):
    """A thread of the page that was stored before."""

    external_id: str
    id: UUID
    conversation_id: UUID
    person_id: UUID
    updated_at: datetime


class KnownAddress(Row):
    """An address of a person who takes part in a thread of the page; `hash` is None if it was not known then."""

    value: str
    person_id: UUID
    hash: bytes | None


class KnownInquiry(Row):
    """Any inquiry of such a person."""

    id: UUID
    connection_id: UUID
    platform: str
    external_id: str
    person_id: UUID
    conversation_id: UUID
    channel: str
    certainty: Literal["lead", "perhaps"]
    reason: str
    reason_detail: str | None
    decided_at: datetime | None
    contact_name: str | None
    contact_email: str | None
    subject: str | None
    message: str | None
    url: str | None
    received_at: datetime
    last_at: datetime
    """The time of the conversation's last message"""
    answered_by_hand_at: datetime | None
    no_answer_needed_at: datetime | None
    status: str
    skip_reason: str | None


class StoredTurn(Row):
    """A message of such a person's threads that asks for an answer, or gives one."""

    conversation_id: UUID
    thread_id: UUID
    external_id: str
    at: datetime
    effect: Literal["asks", "answers"]


class MetRecord(Row):
    """A thread that is no lead, with a counterpart of the page: when each side wrote."""

    counterpart: bytes
    reason: str
    first_in_at: datetime | None
    last_in_at: datetime | None
    first_out_at: datetime | None
    last_out_at: datetime | None


class Client(Row):
    """An address with a booking, and when the first one was made."""

    email: str
    since: datetime


class StudioRuleRow(Row):
    kind: Literal["sender", "domain"]
    value: str
    verdict: Literal["lead", "perhaps", "not_a_lead"]


class Known(Row):
    """What is known about the people of a page."""

    ids: list[UUID]
    """For new rows"""
    threads: list[KnownThread]
    addresses: list[KnownAddress]
    inquiries: list[KnownInquiry]
    turns: list[StoredTurn]
    met: list[MetRecord]
    clients: list[Client]
    rules: list[StudioRuleRow]


class StoredPage(Row):
    """The effect of a stored page: inquiries that are new or changed, and threads with new or changed messages."""

    created: list[UUID]
    updated: list[UUID]
    threads: list[UUID]


LOCK_LEADS: Query[None] = Query("SELECT pg_advisory_xact_lock(hashtextextended('leads ' || :studio_id::text, 0))")
"""Pages of one studio are judged one after another: each needs what the one before has stored."""

THREAD_IDS = array_of("thread_ids")
ADDRESSES = array_of("addresses")

LOOK_UP_LEADS: Query[Known] = Query(
    f"""
    WITH on_page AS (
        SELECT t.external_id, t.id, t.conversation_id, c.person_id, t.updated_at
        FROM thread AS t JOIN conversation AS c ON c.studio_id = t.studio_id AND c.id = t.conversation_id
        WHERE t.connection_id = :connection_id AND t.external_id = ANY({THREAD_IDS})
    ), people AS (
        SELECT on_page.person_id AS id FROM on_page
        UNION
        SELECT i.person_id FROM person_identity AS i WHERE i.kind = 'email' AND i.value = ANY({ADDRESSES})
    ), inquiries AS (
        SELECT {
        columns(
            KnownInquiry,
            "i",
            last_at='''(
                SELECT greatest(i.received_at, max(m.sent_at))
                FROM thread AS t JOIN message AS m ON m.studio_id = t.studio_id AND m.thread_id = t.id
                WHERE t.studio_id = i.studio_id AND t.conversation_id = i.conversation_id
            )''',
        )
    }
        FROM inquiry AS i WHERE i.person_id = ANY(ARRAY(SELECT people.id FROM people))
    ), turns AS (
        SELECT {columns(StoredTurn, "m", conversation_id="t.conversation_id", at="m.sent_at")}
        FROM conversation AS c
        JOIN thread AS t ON t.studio_id = c.studio_id AND t.conversation_id = c.id
        JOIN message AS m ON m.studio_id = t.studio_id AND m.thread_id = t.id
        WHERE c.person_id = ANY(ARRAY(SELECT people.id FROM people)) AND m.effect IS NOT NULL
    ), addresses AS (
        SELECT i.value, i.person_id, i.hash
        FROM person_identity AS i
        WHERE i.person_id = ANY(ARRAY(SELECT people.id FROM people)) AND i.kind = 'email'
    ), met AS (
        SELECT {columns(MetRecord, "s")}
        FROM skipped_record AS s
        WHERE s.counterpart = ANY(ARRAY(
                SELECT decode(json_array_elements_text(:counterparts::json), 'base64')
                UNION SELECT addresses.hash FROM addresses WHERE addresses.hash IS NOT NULL
            ))
          AND NOT (s.connection_id = :connection_id AND s.external_id = ANY({THREAD_IDS}))
    ), clients AS (
        SELECT lower(b.client_email) AS email, min(b.booked_at) AS since
        FROM booking AS b
        WHERE lower(b.client_email) = ANY({ADDRESSES}) AND b.status <> 'cancelled' AND b.skip_reason IS NULL
        GROUP BY 1
    )
    SELECT json_build_object(
        'ids', ARRAY(SELECT uuidv7() FROM generate_series(1, :ids::integer)),
        'threads', (SELECT coalesce(json_agg(t), '[]') FROM (SELECT {columns(KnownThread)} FROM on_page) AS t),
        'addresses', (SELECT coalesce(json_agg(a), '[]') FROM (SELECT {columns(KnownAddress)} FROM addresses) AS a),
        'inquiries', (SELECT coalesce(json_agg(i), '[]') FROM inquiries AS i),
        'turns', (SELECT coalesce(json_agg(t), '[]') FROM turns AS t),
        'met', (SELECT coalesce(json_agg(m), '[]') FROM met AS m),
        'clients', (SELECT coalesce(json_agg(c), '[]') FROM clients AS c),
        'rules', (SELECT coalesce(json_agg(r), '[]') FROM (SELECT {columns(StudioRuleRow)} FROM lead_rule) AS r)
    )
    """,
    Known,
)
"""The people are those who write in the page's threads or are written to, by address; their inquiries, turns and former
contacts are needed to tell who waits. `counterparts` holds the keyed hashes of the addresses, as base64."""

OF_INQUIRY = (
    *("connection_id", "platform", "external_id", "channel", "certainty", "reason", "reason_detail"),
    *("contact_name", "contact_email", "subject", "message", "url", "received_at"),
    *("first_response_at", "waiting_since", "skip_reason"),
)
"""The columns of an inquiry that pages change"""
OF_MESSAGE = (
    *("direction", "kind", "effect", "sent_at", "sender_name", "sender_address", "person_address", "recipients"),
    *("subject", "preview", "message_id", "answered_ids"),
)


def _list(names: tuple[str, ...], prefix: str = "") -> str:
    return ", ".join(prefix + name for name in names)


def _changes(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names)


STORE_LEADS: Query[StoredPage] = Query(
    typed(
        f"""
    WITH people AS (
        INSERT INTO person AS t (id, studio_id, name)
        SELECT r.id, :studio_id, r.name FROM json_to_recordset(:people) AS r (id uuid, name text)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = greatest(now(), t.updated_at)
        WHERE t.name IS NULL AND excluded.name IS NOT NULL
    ), identities AS (
        INSERT INTO person_identity AS t (studio_id, kind, value, person_id, hash)
        SELECT :studio_id, 'email', r.value, r.person_id, decode(r.hash, 'base64')
        FROM json_to_recordset(:identities) AS r (value text, person_id uuid, hash text)
        ON CONFLICT (studio_id, kind, value) DO UPDATE SET hash = excluded.hash
        WHERE t.hash IS DISTINCT FROM excluded.hash
    ), conversations AS (
        INSERT INTO conversation (id, studio_id, person_id)
        SELECT r.id, :studio_id, r.person_id FROM json_to_recordset(:conversations) AS r (id uuid, person_id uuid)
        ON CONFLICT DO NOTHING
    ), messages AS (
        INSERT INTO message AS t (studio_id, thread_id, external_id, {_list(OF_MESSAGE)})
        SELECT :studio_id, r.thread_id, r.external_id, {_list(OF_MESSAGE, "r.")}
        FROM json_to_recordset(:messages) AS r (
            thread_id uuid, external_id text, direction text, kind text, effect text, sent_at timestamptz,
            sender_name text, sender_address text, person_address text, recipients text[], subject text, preview text,
            message_id text, answered_ids text[]
        )
        ON CONFLICT (studio_id, thread_id, external_id) DO UPDATE SET
            {_changes(OF_MESSAGE)}, updated_at = greatest(now(), t.updated_at)
        WHERE ({_list(OF_MESSAGE, "t.")}) IS DISTINCT FROM ({_list(OF_MESSAGE, "excluded.")})
        RETURNING t.thread_id
    ), threads AS (
        INSERT INTO thread AS t (id, studio_id, connection_id, external_id, conversation_id, channel, url)
        SELECT r.id, :studio_id, :connection_id, r.external_id, r.conversation_id, r.channel, r.url
        FROM json_to_recordset(:threads) AS r (id uuid, external_id text, conversation_id uuid, channel text, url text)
        ON CONFLICT (studio_id, connection_id, external_id) DO UPDATE SET
            conversation_id = excluded.conversation_id, url = excluded.url, updated_at = greatest(now(), t.updated_at)
        WHERE (t.conversation_id, t.url) IS DISTINCT FROM (excluded.conversation_id, excluded.url)
           OR t.id IN (SELECT messages.thread_id FROM messages)
    ), inquiries AS (
        INSERT INTO inquiry AS t (
            id, studio_id, person_id, conversation_id, status, contacted_at, {_list(OF_INQUIRY)}
        )
        SELECT r.id, :studio_id, r.person_id, r.conversation_id,
               CASE WHEN r.first_response_at IS NULL THEN 'new' ELSE 'contacted' END, r.first_response_at,
               {_list(OF_INQUIRY, "r.")}
        FROM json_to_recordset(:inquiries) AS r (
            id uuid, person_id uuid, conversation_id uuid, connection_id uuid, platform text, external_id text,
            channel text, certainty text, reason text, reason_detail text, contact_name text, contact_email text,
            subject text, message text, url text, received_at timestamptz, first_response_at timestamptz,
            waiting_since timestamptz, skip_reason text
        )
        ON CONFLICT (id) DO UPDATE SET
            {_changes(OF_INQUIRY)},
            status = CASE
                WHEN t.status = 'new' AND excluded.first_response_at IS NOT NULL THEN 'contacted' ELSE t.status
            END,
            contacted_at = coalesce(t.contacted_at, excluded.first_response_at),
            updated_at = greatest(now(), t.updated_at)
        WHERE ({_list(OF_INQUIRY, "t.")}) IS DISTINCT FROM ({_list(OF_INQUIRY, "excluded.")})
        RETURNING t.id, xmax = 0 AS is_new
    )
    SELECT json_build_object(
        'created', (SELECT coalesce(json_agg(id) FILTER (WHERE is_new), '[]') FROM inquiries),
        'updated', (SELECT coalesce(json_agg(id) FILTER (WHERE NOT is_new), '[]') FROM inquiries),
        'threads', (SELECT coalesce(json_agg(DISTINCT messages.thread_id), '[]') FROM messages)
    )
    """,
        studio_id="uuid",
        connection_id="uuid",
        people="json",
        identities="json",
        conversations="json",
        messages="json",
        threads="json",
        inquiries="json",
    ),
    StoredPage,
)
"""A page's rows, in one statement. A lead that is still `new` becomes `contacted` at the time of the first answer."""
