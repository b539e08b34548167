"""Erasures of studios: stopping a studio, deleting its rows in batches, and recording that it was erased."""

from uuid import UUID

from chalicelib.data.audit import audited
from chalicelib.data.postgres.query import Query, columns, many, one, returned, typed
from chalicelib.data.postgres.rows import Deleted, Moment, Row
from chalicelib.data.studios import NewId

TABLES = (
    *("sync_seen", "set_aside", "skipped_record", "pending_grant"),
    *("webhook_delivery", "connection_event", "webhook_endpoint", "oauth_state"),
    *("account_position", "sync_log", "sync_schedule"),
    *("attribution", "booking", "lead_rule"),
    *("inquiry", "message", "thread", "conversation", "person_identity", "person"),
    *("ad_metric_restatement", "ad_metric", "ad_campaign", "content_metric", "content", "review_restatement", "review"),
    *("connected_account", "account_quota", "platform_connection", "studio_quota", "rate_limit"),
    *("idempotency_key", "quarantine", "data_key", "api_key"),
)
"""All of a studio's tables except `studio`, children before parents, so that nothing is deleted by a cascade.

The audit trail is deleted with the studio's row: the admin role may not delete from it.
"""


class Erased(Row):
    """A studio whose erasure was started or finished."""

    studio_id: UUID
    started_at: Moment
    finished_at: Moment | None


class Stopped(Row):
    api_keys: int
    runs: int


STOP_STUDIO: Query[Stopped] = Query(
    f"""
    WITH erased AS (
        SELECT s.id AS studio_id, s.id FROM studio AS s
    ), {audited("erased", action="studio.erase", subject="studio")}, keys AS (
        UPDATE api_key SET revoked_at = now() WHERE revoked_at IS NULL RETURNING 1
    ), schedules AS (
        DELETE FROM sync_schedule
    ), runs AS (
        UPDATE sync_log SET
            status = 'cancelled', finished_at = now(), lease_owner = NULL, lease_expires_at = NULL,
            error_code = 'studio_erased', error_message = :message, error_at = now()
        WHERE status IN ('queued', 'running', 'deferred')
        RETURNING 1
    ), webhooks AS (
        UPDATE webhook_endpoint SET disabled_at = now(), disabled_reason = :message
        WHERE disabled_at IS NULL
    ), deliveries AS (
        UPDATE webhook_delivery SET due_at = NULL WHERE due_at IS NOT NULL
    ), consents AS (
        DELETE FROM oauth_state
    ), pending AS (
        UPDATE pending_grant SET code_hash = NULL WHERE code_hash IS NOT NULL
    )
    SELECT json_build_object('apiKeys', (SELECT count(*) FROM keys), 'runs', (SELECT count(*) FROM runs))
    """,
    Stopped,
)
"""Afterwards no API key of the studio works, and no worker can store what it is reading."""

SHRED_KEYS: Query[Deleted] = Query(
    "WITH shredded AS (DELETE FROM data_key RETURNING 1) SELECT json_build_object('count', count(*)) FROM shredded",
    Deleted,
)


def _batch_of(table: str) -> str:
    return f"""
        {table}_gone AS (
            DELETE FROM {table}
            WHERE :table_name = '{table}' AND ctid = ANY (ARRAY(SELECT ctid FROM {table} LIMIT :batch))
            RETURNING 1
        )"""


ERASE_ROWS: Query[Deleted] = Query(
    typed(
        f"""
    WITH {", ".join(_batch_of(table) for table in TABLES)}
    SELECT json_build_object('count', {" + ".join(f"(SELECT count(*) FROM {table}_gone)" for table in TABLES)})
    """,
        table_name="text",
        batch="integer",
    ),
    Deleted,
)
"""A batch of one table's rows, by ctid. The other tables are not scanned."""

DELETE_STUDIO: Query[NewId | None] = Query(
    returned("DELETE FROM studio AS s WHERE s.id = :id RETURNING s.id"), NewId | None
)
"""Rows that were stored in the meantime are deleted by cascade."""

BEGIN_ERASURE: Query[None] = Query(
    """
    INSERT INTO studio_erasure (studio_id) VALUES (:studio_id)
    ON CONFLICT (studio_id) DO UPDATE SET finished_at = NULL
    """
)
FINISH_ERASURE: Query[None] = Query(
    "UPDATE studio_erasure SET finished_at = coalesce(finished_at, now()) WHERE studio_id = :studio_id"
)
FIND_ERASURE: Query[Erased | None] = Query(
    one(f"SELECT {columns(Erased)} FROM studio_erasure WHERE studio_id = :studio_id"), Erased | None
)
LIST_ERASURES: Query[list[Erased]] = Query(
    many(f"SELECT {columns(Erased)} FROM studio_erasure ORDER BY started_at, studio_id"), list[Erased]
)
