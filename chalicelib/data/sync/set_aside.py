"""Records that could not be read: listed without their content, which is stored sealed for another attempt."""

from datetime import datetime
from uuid import UUID

from chalicelib.data.connections import CHOSEN_OR_ENDED, DATA_KEYS_OF_STUDIO
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.postgres.query import Query, columns, many, typed
from chalicelib.data.postgres.rows import ConnectionIdText, Moment, PlatformText, Row, StreamText
from chalicelib.data.sync.positions import READ_STARTED_AT


class SetAsideRecord(Row):
    """A record that could not be read. It never contains the record itself."""

    id: UUID
    """The id of this entry; sorts by the time the record was last set aside."""
    connection_id: ConnectionIdText
    platform: PlatformText
    sync_type: StreamText
    external_id: str
    """The record's id at the platform."""
    field: str
    """The field that could not be read, such as `start.date`; empty for the record as a whole."""
    reason: str
    """What is wrong with the field, for a person."""
    first_seen_at: Moment
    """When the record was first set aside."""
    last_seen_at: Moment
    """When the platform last returned the record like this."""


class KeptRecord(Row):
    """The same with its sealed content, for another attempt."""

    id: UUID
    stream: str
    account_id: UUID
    table_name: str
    external_id: str
    content: bytes
    last_seen_at: datetime


class KeptRecords(Row):
    connection_id: UUID | None
    """None where the platform was never connected"""
    records: list[KeptRecord]
    data_keys: list[StoredDataKey]


STORE_SET_ASIDE: Query[None] = Query(
    """
    INSERT INTO set_aside AS s (
        id, studio_id, connection_id, platform, stream, account_id, external_id, table_name, field, reason, content
    )
    SELECT r.id, :studio_id::uuid, :connection_id::uuid, :platform, :stream, :account_id::uuid,
           r.external_id, r.table_name, r.field, r.reason, decode(r.content, 'base64')
    FROM json_to_recordset(:rows) AS r (
        id uuid, table_name text, external_id text, field text, reason text, content text
    )
    ON CONFLICT (studio_id, connection_id, stream, account_id, external_id, table_name) DO UPDATE SET
        id = excluded.id, field = excluded.field, reason = excluded.reason, content = excluded.content,
        last_seen_at = now(), retried_at = now()
    """
)
"""Each content is sealed for the row's id, so new content gives a row a new id."""

CLEAR_SET_ASIDE: Query[None] = Query(
    """
    DELETE FROM set_aside WHERE connection_id = :connection_id AND stream = :stream AND account_id = :account_id
      AND table_name = :table_name AND external_id IN (SELECT json_array_elements_text(:external_ids::json))
    """,
    is_prepared=False,
)
"""For records that were read meanwhile, or are gone."""

CLEAR_UNSEEN_SET_ASIDE: Query[None] = Query(
    f"""
    DELETE FROM set_aside AS s WHERE s.connection_id = :connection_id AND s.stream = :stream
      AND s.account_id = :account_id AND s.last_seen_at < {READ_STARTED_AT}
    """,
    is_prepared=False,
)
"""A record that a complete read did not find no longer exists at the platform."""

LIST_SET_ASIDE: Query[list[SetAsideRecord]] = Query(
    many(
        f"""
        SELECT {columns(SetAsideRecord, "s", sync_type="s.stream")} FROM set_aside AS s
        WHERE (:platform::text IS NULL OR s.platform = :platform)
          AND (:connection::uuid IS NULL OR s.connection_id = :connection)
          AND (:stream::text IS NULL OR s.stream = :stream)
          AND (:before::uuid IS NULL OR s.id < :before)
        ORDER BY s.id DESC LIMIT :limit
        """
    ),
    list[SetAsideRecord],
    is_prepared=False,
)

LIST_KEPT_RECORDS: Query[KeptRecords] = Query(
    typed(
        f"""
        WITH chosen AS MATERIALIZED (SELECT {CHOSEN_OR_ENDED} AS id)
        SELECT json_build_object(
            'connectionId', (SELECT id FROM chosen),
            'records', ({
            many(
                f'''
                SELECT {columns(KeptRecord, "s")} FROM set_aside AS s
                WHERE s.connection_id = (SELECT id FROM chosen) AND (:stream IS NULL OR s.stream = :stream)
                  AND s.content IS NOT NULL
                  AND s.retried_at <= now() - make_interval(secs => :cooled_down_seconds)
                ORDER BY s.retried_at, s.id LIMIT :limit
                '''
            )
        }),
            'dataKeys', {DATA_KEYS_OF_STUDIO}
        )
        """,
        stream="text",
    ),
    KeptRecords,
)
"""Records not tried since then, the longest waiting first."""

NOTE_RETRIED: Query[None] = Query(
    """
    UPDATE set_aside AS s SET retried_at = now(), field = r.field, reason = r.reason
    FROM json_to_recordset(:rows) AS r (id uuid, field text, reason text) WHERE s.id = r.id
    """
)
