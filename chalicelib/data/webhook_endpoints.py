"""Webhook endpoints and their deliveries. Due times use the database's clock."""

from typing import Literal
from uuid import UUID

from chalicelib.data.audit import audited, returned_and_audited
from chalicelib.data.connections import DATA_KEYS_OF_STUDIO, SHOWN, ConnectionFacts
from chalicelib.data.data_keys import StoredDataKey
from chalicelib.data.events import Event
from chalicelib.data.postgres.query import Query, array_of, columns, many, one
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.data.studios import NewId

SHOWN_DELIVERIES = 5
KEPT_TESTS = 10
"""Per webhook, in addition to the one in progress"""
DeliveryState = Literal["waiting", "delivered", "given_up"]
"""`waiting`: for its next attempt. `delivered`: a 2xx came back. `given_up`: there are no more attempts."""
WebhookEndpointState = Literal["enabled", "disabled"]
"""`enabled`: it receives events. `disabled`: it does not any more, because the URL answered 410."""


class Delivery(Row):
    """One event, or a test, being delivered to one webhook endpoint."""

    id: UUID
    """The delivery's id."""
    event_id: UUID
    """The id the receiver gets as `webhook-id`: the event's, or for a test the delivery's own. It is the same in every
    attempt."""
    type: str
    """`connection.failed`, `connection.recovered` or `test`."""
    connection_id: UUID | None
    """The id of the connection concerned; null for a test."""
    platform: str | None
    """The platform of the connection concerned; null for a test."""
    occurred_at: Moment
    """When the event happened; for a test, when it was requested."""
    state: DeliveryState
    """Whether it has arrived."""
    attempts: int
    """How many attempts have been made."""
    next_attempt_at: Moment | None
    """When the next attempt is due; null when there is none."""
    delivered_at: Moment | None
    """When it arrived; null until then."""
    problem: str | None
    """Why the last attempt failed, for a person; null when it did not fail."""


class WebhookEndpoint(Row):
    """A URL of the studio that receives events about its connections. The secret is not shown."""

    id: UUID
    """The endpoint's id."""
    url: str
    """The https URL that events are sent to."""
    state: WebhookEndpointState
    """Whether events are sent to it."""
    disabled_reason: str | None
    """Why the endpoint is disabled, for a person; null while it is enabled."""
    created_at: Moment
    """When the endpoint was created."""
    deliveries: list[Delivery]
    """The last five deliveries, newest first."""


class EndpointDraft(Row):
    """The id of a webhook before it exists, and what its secret is sealed with."""

    id: UUID
    data_keys: list[StoredDataKey]


class StoredWebhookEndpoint(Row):
    id: UUID
    url: str
    secret: bytes
    data_keys: list[StoredDataKey]


class ClaimedDelivery(Row):
    """A delivery that this worker has to attempt, with everything it needs."""

    attempts: int
    enabled: bool
    occurred_at: Moment
    endpoint: StoredWebhookEndpoint
    event: Event | None
    """None for a test, like the connection"""
    connection: ConnectionFacts | None


class StartedTest(Row):
    """A test that is in progress now."""

    delivery: Delivery
    is_new: bool


class DeliveryDispatch(Row):
    delivery_id: UUID
    studio_id: UUID


DELAYS = array_of("delays", "integer")
STATE = "CASE WHEN w.disabled_at IS NULL THEN 'enabled' ELSE 'disabled' END"
DELIVERY_STATE = """
    CASE WHEN d.delivered_at IS NOT NULL THEN 'delivered' WHEN d.due_at IS NULL THEN 'given_up' ELSE 'waiting' END
"""
OCCURRED_AT = "coalesce(e.at, uuid_extract_timestamp(d.id))"
"""For a test, when it was requested."""
WITH_EVENT = """
    LEFT JOIN connection_event AS e ON e.studio_id = d.studio_id AND e.id = d.event_id
    LEFT JOIN platform_connection AS c ON c.studio_id = e.studio_id AND c.id = e.connection_id
"""
"""For a delivery `d`; a test has none."""
DELIVERY = columns(
    Delivery,
    "d",
    event_id="coalesce(d.event_id, d.id)",
    type="coalesce('connection.' || e.kind, 'test')",
    connection_id="e.connection_id",
    platform="c.platform",
    occurred_at=OCCURRED_AT,
    state=DELIVERY_STATE,
    next_attempt_at="d.due_at",
    problem="d.last_problem",
)
DELIVERIES = f"""(
    SELECT coalesce(json_agg(r), '[]') FROM (
        SELECT {DELIVERY} FROM webhook_delivery AS d {WITH_EVENT}
        WHERE d.studio_id = w.studio_id AND d.endpoint_id = w.id
        ORDER BY d.id DESC LIMIT {SHOWN_DELIVERIES}
    ) AS r
)"""
STORED = columns(StoredWebhookEndpoint, "w", data_keys=DATA_KEYS_OF_STUDIO)

LOCK_WEBHOOK_ENDPOINTS: Query[None] = Query(
    "SELECT pg_advisory_xact_lock(hashtextextended('webhooks ' || :studio_id, 0))"
)
"""Held until the transaction ends; otherwise two concurrent creations could both find capacity for one."""
LIST_WEBHOOK_ENDPOINTS: Query[list[WebhookEndpoint]] = Query(
    many(
        f"SELECT {columns(WebhookEndpoint, 'w', state=STATE, deliveries=DELIVERIES)} FROM webhook_endpoint AS w"
        " ORDER BY w.id"
    ),
    list[WebhookEndpoint],
)
DRAFT_WEBHOOK_ENDPOINT: Query[EndpointDraft] = Query(
    one(f'SELECT uuidv7() AS id, {DATA_KEYS_OF_STUDIO} AS "dataKeys"'), EndpointDraft
)
INSERT_WEBHOOK_ENDPOINT: Query[WebhookEndpoint] = Query(
    returned_and_audited(
        "INSERT INTO webhook_endpoint AS w (id, studio_id, url, secret) VALUES (:id, :studio_id, :url, :secret)",
        "w.studio_id, w.id",
        columns(WebhookEndpoint, "w", state="'enabled'", deliveries="'[]'::json"),
        action="webhook_endpoint.create",
        subject="webhook_endpoint",
        detail="'{}'::jsonb",
    ),
    WebhookEndpoint,
)
DELETE_WEBHOOK_ENDPOINT: Query[NewId | None] = Query(
    returned_and_audited(
        "DELETE FROM webhook_endpoint AS w WHERE w.id = :id",
        "w.studio_id, w.id",
        "w.id",
        action="webhook_endpoint.delete",
        subject="webhook_endpoint",
        detail="'{}'::jsonb",
    ),
    NewId | None,
)
DISABLE_WEBHOOK_ENDPOINT: Query[None] = Query(
    """
    WITH disabled AS (
        UPDATE webhook_endpoint AS w SET disabled_at = now(), disabled_reason = :problem
        WHERE w.id = :id AND w.disabled_at IS NULL
        RETURNING w.studio_id, w.id
    )
    UPDATE webhook_delivery AS d SET due_at = NULL, last_problem = :problem
    FROM disabled WHERE d.studio_id = disabled.studio_id AND d.endpoint_id = disabled.id AND d.due_at IS NOT NULL
    """
)

START_TEST: Query[StartedTest | None] = Query(
    f"""
    WITH forgotten AS (
        DELETE FROM webhook_delivery AS t
        WHERE t.endpoint_id = :id AND t.event_id IS NULL AND t.due_at IS NULL AND t.id <= (
            SELECT k.id FROM webhook_delivery AS k
            WHERE k.endpoint_id = :id AND k.event_id IS NULL ORDER BY k.id DESC OFFSET {KEPT_TESTS} LIMIT 1
        )
    ), d AS (
        INSERT INTO webhook_delivery AS open (studio_id, endpoint_id)
        SELECT w.studio_id, w.id FROM webhook_endpoint AS w WHERE w.id = :id
        ON CONFLICT (studio_id, endpoint_id) WHERE event_id IS NULL AND due_at IS NOT NULL
            DO UPDATE SET due_at = open.due_at
        RETURNING new.*, old.id IS NULL AS is_new
    ), {audited("d", action="webhook_endpoint.test", subject="webhook_endpoint", id="x.endpoint_id", when="x.is_new")}
    SELECT json_build_object('delivery', (SELECT row_to_json(r) FROM (SELECT {DELIVERY}) AS r), 'isNew', d.is_new)
    FROM d {WITH_EVENT}
    """,
    StartedTest | None,
    is_prepared=False,
)
"""Creates a test of a webhook, or finds the one in progress. Deletes all but its latest tests."""
FIND_DELIVERY: Query[Delivery | None] = Query(
    one(
        f"""
        SELECT {DELIVERY} FROM webhook_delivery AS d {WITH_EVENT} WHERE d.endpoint_id = :endpoint_id AND d.id = :id
        """
    ),
    Delivery | None,
    is_prepared=False,
)

CLAIM_DUE_DELIVERIES: Query[list[DeliveryDispatch]] = Query(
    "SELECT cross_tenant.claim_due_deliveries(:batch)", list[DeliveryDispatch]
)
CLAIM_DELIVERY: Query[ClaimedDelivery | None] = Query(
    f"""
    WITH claimed AS (
        UPDATE webhook_delivery AS d SET
            attempts = d.attempts + 1,
            due_at = now() + make_interval(
                secs => ({DELAYS})[least(
                    CASE WHEN d.event_id IS NULL THEN 1 ELSE d.attempts + 1 END, cardinality({DELAYS})
                )] * (1 + random() / 10)
            )
        WHERE d.id = :id AND d.due_at <= now() + interval '2 minutes'
        RETURNING d.*
    )
    SELECT json_build_object(
        'attempts', d.attempts,
        'enabled', w.disabled_at IS NULL,
        'occurredAt', {OCCURRED_AT},
        'endpoint', (SELECT row_to_json(r) FROM (SELECT {STORED}) AS r),
        'event', (SELECT row_to_json(r) FROM (SELECT {columns(Event, "e")}) AS r WHERE e.id IS NOT NULL),
        'connection', (SELECT row_to_json(r) FROM (SELECT {SHOWN}) AS r WHERE c.id IS NOT NULL)
    )
    FROM claimed AS d
    JOIN webhook_endpoint AS w ON w.studio_id = d.studio_id AND w.id = d.endpoint_id
    {WITH_EVENT}
    """,
    ClaimedDelivery | None,
)
"""Takes a delivery for one attempt by postponing it: if a worker dies, the next attempt follows, and a second message
finds it taken. When the tick enqueues a delivery it postpones it too, by the two minutes that this statement ignores.
"""
SETTLE_DELIVERY: Query[None] = Query(
    """
    UPDATE webhook_delivery SET delivered_at = now(), due_at = NULL, last_problem = NULL
    WHERE id = :id AND delivered_at IS NULL
    """
)
FAIL_DELIVERY: Query[None] = Query(
    """
    UPDATE webhook_delivery SET
        last_problem = :problem,
        due_at = CASE WHEN NOT :last THEN greatest(due_at, now() + make_interval(secs => :retry_after)) END
    WHERE id = :id AND attempts = :attempts AND delivered_at IS NULL
    """
)
"""The result of an attempt that is no longer the latest is ignored."""
POSTPONE_DELIVERY: Query[None] = Query(
    """
    UPDATE webhook_delivery SET
        attempts = attempts - 1,
        last_problem = :problem,
        due_at = CASE WHEN NOT :last THEN now() + make_interval(secs => :delay) * (1 + random() / 10) END
    WHERE id = :id AND attempts = :attempts AND delivered_at IS NULL
    """
)
"""Takes an attempt back that failed for a reason of ours."""
