"""Webhook endpoints: a studio's URLs that get signed events when a connection fails or recovers (Standard Webhooks).

Delivery is at least once, in no guaranteed order. A delivery is a row that is due until it is delivered or abandoned;
everything except the attempt itself happens in the database. A test of an endpoint is a delivery without an event.
"""

from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

import msgspec

from chalicelib import clock, logs, work_queue
from chalicelib.data import webhook_endpoints as rows
from chalicelib.data.postgres.database import read, transaction, write
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.data.webhook_endpoints import ClaimedDelivery, Delivery, StoredWebhookEndpoint, WebhookEndpoint
from chalicelib.errors import Conflict, FieldProblem, InvalidInput, NotFound
from chalicelib.secret import Secret
from chalicelib.security.outbound import Posted, post, problem_of_url
from chalicelib.security.signatures import new_webhook_secret, sign_webhook
from chalicelib.security.vault import AssociatedData, vault
from chalicelib.services.dispatch import enqueue_due
from chalicelib.services.explain import Connection, explain_connection
from chalicelib.settings import get_settings
from chalicelib.work_queue import DeliveryMessage

MAX_WEBHOOK_ENDPOINTS = 5
MINUTE, HOUR = 60, 3600
# From each attempt to the next. The last delay only serves to settle a delivery whose worker died.
DELAYS = [5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 22 * HOUR, 32 * HOUR, 5 * MINUTE]
ATTEMPTS = len(DELAYS)
NEEDED_MS = 30_000
"""Longer than any attempt takes."""
GONE = 410
DISABLED_BY_RECEIVER = "the receiver responded with 410 Gone"

Outcomes = Literal["delivered", "failed", "given_up", "disabled", "dropped"]


class _PayloadData(Row):
    connection: Connection
    event: "_PayloadEvent"


class _PayloadEvent(Row):
    id: UUID
    code: str | None
    message: str | None
    at: Moment


class _Payload(Row):
    type: str
    timestamp: Moment
    data: _PayloadData | dict[str, str]


def list_webhook_endpoints(studio_id: UUID) -> list[WebhookEndpoint]:
    return read(studio_id, rows.LIST_WEBHOOK_ENDPOINTS)


def create_webhook_endpoint(studio_id: UUID, url: str) -> tuple[WebhookEndpoint, Secret]:
    """The secret is shown only once."""
    if problem := problem_of_url(url, loopback=_loopback()):
        raise InvalidInput(fields=[FieldProblem("url", problem)])
    secret, draft = new_webhook_secret(), read(studio_id, rows.DRAFT_WEBHOOK_ENDPOINT)
    sealed = vault().seal(secret, draft.data_keys, _associated_data(studio_id, draft.id))
    with transaction(studio_id) as tx:
        tx.run(rows.LOCK_WEBHOOK_ENDPOINTS, studio_id=str(studio_id))
        _require_room(tx.run(rows.LIST_WEBHOOK_ENDPOINTS), url)
        endpoint = tx.run(rows.INSERT_WEBHOOK_ENDPOINT, id=draft.id, studio_id=studio_id, url=url, secret=sealed)
    logs.event("webhook_endpoint.created", endpoint_id=endpoint.id)
    return endpoint, secret


def delete_webhook_endpoint(studio_id: UUID, endpoint_id: UUID) -> None:
    if write(studio_id, rows.DELETE_WEBHOOK_ENDPOINT, id=endpoint_id) is None:
        raise _unknown()
    logs.event("webhook_endpoint.deleted", endpoint_id=endpoint_id)


def test_webhook_endpoint(studio_id: UUID, endpoint_id: UUID) -> Delivery:
    """Enqueues one `test` event, also for a disabled endpoint, or returns the one in progress. Any response ends it."""
    started = write(studio_id, rows.START_TEST, id=endpoint_id)
    if started is None:
        raise _unknown()
    if started.is_new:
        work_queue.enqueue([DeliveryMessage(id=started.delivery.id, studio_id=studio_id)])
    return started.delivery


def get_delivery(studio_id: UUID, endpoint_id: UUID, delivery_id: UUID) -> Delivery:
    delivery = read(studio_id, rows.FIND_DELIVERY, endpoint_id=endpoint_id, id=delivery_id)
    if delivery is None:
        raise NotFound("Delivery not found", code="delivery_not_found")
    return delivery


def enqueue_due_deliveries() -> int:
    """Enqueues a message for every due delivery. Returns how many."""
    return enqueue_due(
        rows.CLAIM_DUE_DELIVERIES, lambda due: DeliveryMessage(id=due.delivery_id, studio_id=due.studio_id)
    )


def deliver(studio_id: UUID, delivery_id: UUID, remaining_ms: Callable[[], int]) -> Outcomes:
    """Attempts a delivery, unless it is settled or another worker has it. The tick enqueues later attempts."""
    if remaining_ms() < NEEDED_MS:
        return "dropped"
    claimed = write(studio_id, rows.CLAIM_DELIVERY, id=delivery_id, delays=DELAYS)
    if claimed is None:
        return "dropped"
    is_test = claimed.event is None
    if not (claimed.enabled or is_test):
        return _fail(studio_id, delivery_id, claimed, "the webhook endpoint is disabled")
    if claimed.attempts > ATTEMPTS:
        return _fail(studio_id, delivery_id, claimed, "no response")
    message_id = claimed.event.id if claimed.event else delivery_id
    outcome = _send(studio_id, claimed.endpoint, message_id, _payload(claimed))
    if _delivered(outcome):
        write(studio_id, rows.SETTLE_DELIVERY, id=delivery_id)
        _log("webhook_delivery.delivered", delivery_id, claimed)
        return "delivered"
    if outcome.status == GONE and not is_test:
        write(studio_id, rows.DISABLE_WEBHOOK_ENDPOINT, id=claimed.endpoint.id, problem=DISABLED_BY_RECEIVER)
        _log("webhook_endpoint.disabled", delivery_id, claimed)
        return "disabled"
    return _fail(studio_id, delivery_id, claimed, _problem(outcome))


def _fail(studio_id: UUID, delivery_id: UUID, claimed: ClaimedDelivery, problem: str) -> Outcomes:
    last = claimed.attempts >= ATTEMPTS or not claimed.enabled or claimed.event is None
    write(studio_id, rows.FAIL_DELIVERY, id=delivery_id, attempts=claimed.attempts, problem=problem, last=last)
    _log("webhook_delivery.failed", delivery_id, claimed, problem=problem, given_up=last)
    return "given_up" if last else "failed"


def _send(studio_id: UUID, endpoint: StoredWebhookEndpoint, message_id: UUID, payload: _Payload) -> Posted:
    body = msgspec.json.encode(payload)
    secret = vault().open(endpoint.secret, endpoint.data_keys, _associated_data(studio_id, endpoint.id))
    signed = sign_webhook(secret, message_id=str(message_id), at=clock.now(), body=body)
    headers = {"Content-Type": "application/json", "User-Agent": "ansel", **signed}
    return post(endpoint.url, body, headers, loopback=_loopback())


def _payload(claimed: ClaimedDelivery) -> _Payload:
    event = claimed.event
    if event is None or claimed.connection is None:
        return _Payload(type="test", timestamp=claimed.occurred_at, data={"endpointId": str(claimed.endpoint.id)})
    payload_event = _PayloadEvent(id=event.id, code=event.code, message=event.message, at=event.at)
    data = _PayloadData(connection=explain_connection(claimed.connection), event=payload_event)
    return _Payload(type=f"connection.{event.kind}", timestamp=event.at, data=data)


def _require_room(endpoints: list[WebhookEndpoint], url: str) -> None:
    if any(endpoint.url == url for endpoint in endpoints):
        raise Conflict("A webhook endpoint for this URL already exists", code="webhook_endpoint_exists")
    if len(endpoints) >= MAX_WEBHOOK_ENDPOINTS:
        raise Conflict(
            f"A studio can have at most {MAX_WEBHOOK_ENDPOINTS} webhook endpoints", code="too_many_webhook_endpoints"
        )


def _delivered(outcome: Posted) -> bool:
    return outcome.status is not None and 200 <= outcome.status < 300


def _problem(outcome: Posted) -> str:
    return outcome.problem or f"the receiver responded with {outcome.status}"


def _loopback() -> bool:
    return get_settings().stage in ("local", "test")


def _associated_data(studio_id: UUID, endpoint_id: UUID) -> AssociatedData:
    return AssociatedData(studio_id, "webhook_endpoint", "secret", endpoint_id, 1)


def _unknown() -> NotFound:
    return NotFound("Webhook endpoint not found", code="webhook_endpoint_not_found")


def _log(name: str, delivery_id: UUID, claimed: ClaimedDelivery, **fields: Any) -> None:
    logs.event(name, endpoint_id=claimed.endpoint.id, delivery_id=delivery_id, attempt=claimed.attempts, **fields)
