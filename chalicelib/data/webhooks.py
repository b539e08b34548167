"""Webhooks and their deliveries. When a delivery is due, the database's clock says."""

from typing import Literal
from uuid import UUID

from chalicelib.data.connections import DATA_KEYS_OF_STUDIO, SHOWN, Connection
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.events import Event
from chalicelib.data.query import Query, columns, many, one, returned
from chalicelib.data.rows import Moment, Row
from chalicelib.data.studios import NewId

SHOWN_DELIVERIES = 5


class Delivery(Row):
    """One event on its way to one webhook."""

    event_id: UUID
    """What the receiver sees as `webhook-id`"""
    type: str
    platform: str
    occurred_at: Moment
    state: Literal["waiting", "delivered", "given_up"]
    attempts: int
    next_attempt_at: Moment | None
    delivered_at: Moment | None
    problem: str | None
    """Why the last attempt did not deliver it"""


class Webhook(Row):
    """A webhook as the API shows it; never its secret."""

    id: UUID
    url: str
    state: Literal["enabled", "disabled"]
    disabled_reason: str | None
    created_at: Moment
    deliveries: list[Delivery]
    """The last ones, newest first"""


class Draft(Row):
    """A webhook's id before it exists, and what its secret is sealed with."""

    id: UUID
    data_keys: list[StoredDataKey]


class StoredWebhook(Row):
    id: UUID
    url: str
    secret: bytes
    data_keys: list[StoredDataKey]


class ClaimedDelivery(Row):
    """A delivery that is this worker's to attempt, with all that it needs."""

    attempts: int
    enabled: bool
    webhook: StoredWebhook
    event: Event
    connection: Connection


class DeliveryBell(Row):
    delivery_id: UUID
    studio_id: UUID


STATE = "CASE WHEN w.disabled_at IS NULL THEN 'enabled' ELSE 'disabled' END"
DELIVERY_STATE = """
    CASE WHEN d.delivered_at IS NOT NULL THEN 'delivered' WHEN d.due_at IS NULL THEN 'given_up' ELSE 'waiting' END
"""
DELIVERY = columns(
    Delivery,
    "d",
    type="'connection.' || e.kind",
    platform="c.platform",
    occurred_at="e.at",
    state=DELIVERY_STATE,
    next_attempt_at="d.due_at",
    problem="d.last_problem",
)
DELIVERIES = f"""(
    SELECT coalesce(json_agg(r), '[]') FROM (
        SELECT {DELIVERY} FROM webhook_delivery AS d
        JOIN connection_event AS e ON e.studio_id = d.studio_id AND e.id = d.event_id
        JOIN platform_connection AS c ON c.studio_id = e.studio_id AND c.id = e.connection_id
        WHERE d.studio_id = w.studio_id AND d.webhook_id = w.id
        ORDER BY d.event_id DESC LIMIT {SHOWN_DELIVERIES}
    ) AS r
)"""
STORED = columns(StoredWebhook, "w", data_keys=DATA_KEYS_OF_STUDIO)

LOCK_WEBHOOKS: Query[None] = Query("SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || :studio_id, 0))")
"""Until the transaction ends; two webhooks made at once would both find room for one."""
LIST_WEBHOOKS: Query[list[Webhook]] = Query(
    many(f"SELECT {columns(Webhook, 'w', state=STATE, deliveries=DELIVERIES)} FROM webhook AS w ORDER BY w.id"),
    list[Webhook],
)
DRAFT_WEBHOOK: Query[Draft] = Query(one(f'SELECT uuidv7() AS id, {DATA_KEYS_OF_STUDIO} AS "dataKeys"'), Draft)
INSERT_WEBHOOK: Query[Webhook] = Query(
    returned(
        f"""
        INSERT INTO webhook AS w (id, studio_id, url, secret) VALUES (:id, :studio_id, :url, :secret)
        RETURNING {columns(Webhook, "w", state="'enabled'", deliveries="'[]'::json")}
        """
    ),
    Webhook,
)
FIND_STORED_WEBHOOK: Query[StoredWebhook | None] = Query(
    one(f"SELECT {STORED} FROM webhook AS w WHERE w.id = :id"), StoredWebhook | None
)
DELETE_WEBHOOK: Query[NewId | None] = Query(
    returned("DELETE FROM webhook AS w WHERE w.id = :id RETURNING w.id"), NewId | None
)
DISABLE_WEBHOOK: Query[None] = Query(
    """
    WITH disabled AS (
        UPDATE webhook AS w SET disabled_at = now(), disabled_reason = :problem
        WHERE w.id = :id AND w.disabled_at IS NULL
        RETURNING w.studio_id, w.id
    )
    UPDATE webhook_delivery AS d SET due_at = NULL, last_problem = :problem
    FROM disabled WHERE d.studio_id = disabled.studio_id AND d.webhook_id = disabled.id AND d.due_at IS NOT NULL
    """
)

CLAIM_DUE_DELIVERIES: Query[list[DeliveryBell]] = Query("SELECT door.claim_due_deliveries(:batch)", list[DeliveryBell])
CLAIM_DELIVERY: Query[ClaimedDelivery | None] = Query(
    f"""
    WITH claimed AS (
        UPDATE webhook_delivery AS d SET
            attempts = d.attempts + 1,
            due_at = now() + make_interval(
                secs => (CAST(:delays AS integer[]))[least(d.attempts + 1, cardinality(CAST(:delays AS integer[])))]
                    * (1 + random() / 10)
            )
        WHERE d.id = :id AND d.due_at <= now() + interval '2 minutes'
        RETURNING d.studio_id, d.webhook_id, d.event_id, d.attempts
    )
    SELECT json_build_object(
        'attempts', claimed.attempts,
        'enabled', w.disabled_at IS NULL,
        'webhook', (SELECT row_to_json(r) FROM (SELECT {STORED}) AS r),
        'event', (SELECT row_to_json(r) FROM (SELECT {columns(Event, "e")}) AS r),
        'connection', (SELECT row_to_json(r) FROM (SELECT {SHOWN}) AS r)
    )
    FROM claimed
    JOIN webhook AS w ON w.studio_id = claimed.studio_id AND w.id = claimed.webhook_id
    JOIN connection_event AS e ON e.studio_id = claimed.studio_id AND e.id = claimed.event_id
    JOIN platform_connection AS c ON c.studio_id = e.studio_id AND c.id = e.connection_id
    """,
    ClaimedDelivery | None,
)
"""Takes a delivery for one attempt, by moving on when it is due: a worker that dies leaves it for the next attempt, and
a second message finds it taken. The tick moves it on as well when it rings, by the two minutes that are passed over
here.
"""
SETTLE_DELIVERY: Query[None] = Query(
    """
    UPDATE webhook_delivery SET delivered_at = now(), due_at = NULL, last_problem = NULL
    WHERE id = :id AND delivered_at IS NULL
    """
)
FAIL_DELIVERY: Query[None] = Query(
    """
    UPDATE webhook_delivery SET last_problem = :problem, due_at = CASE WHEN :last THEN NULL ELSE due_at END
    WHERE id = :id AND attempts = :attempts AND delivered_at IS NULL
    """
)
"""What became of an attempt that is not the latest any more is not told."""
