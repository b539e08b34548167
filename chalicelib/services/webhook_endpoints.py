"""Webhook endpoints: a studio's URLs that get signed events when a connection fails or recovers (Standard Webhooks)."""

from uuid import UUID

from chalicelib import logs, work_queue
from chalicelib.data import webhook_endpoints as rows
from chalicelib.data.postgres.database import read, transaction, write
from chalicelib.data.webhook_endpoints import Delivery, WebhookEndpoint
from chalicelib.errors import Conflict, FieldProblem, InvalidInput, NotFound
from chalicelib.secret import Secret
from chalicelib.security.outbound_urls import problem_of_url
from chalicelib.security.signatures import new_webhook_secret
from chalicelib.security.vault import AssociatedData, vault
from chalicelib.settings import get_settings
from chalicelib.work_queue import DeliveryMessage

MAX_WEBHOOK_ENDPOINTS = 5


def list_webhook_endpoints(studio_id: UUID) -> list[WebhookEndpoint]:
    return read(studio_id, rows.LIST_WEBHOOK_ENDPOINTS)


def create_webhook_endpoint(studio_id: UUID, url: str) -> tuple[WebhookEndpoint, Secret]:
    """The secret is shown only once."""
    if problem := problem_of_url(url, loopback=get_settings().allows_loopback):
        raise InvalidInput(fields=[FieldProblem("url", problem)])
    secret, draft = new_webhook_secret(), read(studio_id, rows.DRAFT_WEBHOOK_ENDPOINT)
    sealed = vault().seal(secret, draft.data_keys, associated_data(studio_id, draft.id))
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


def _require_room(endpoints: list[WebhookEndpoint], url: str) -> None:
    if any(endpoint.url == url for endpoint in endpoints):
        raise Conflict("A webhook endpoint for this URL already exists", code="webhook_endpoint_exists")
    if len(endpoints) >= MAX_WEBHOOK_ENDPOINTS:
        raise Conflict(
            f"A studio can have at most {MAX_WEBHOOK_ENDPOINTS} webhook endpoints", code="too_many_webhook_endpoints"
        )


def associated_data(studio_id: UUID, endpoint_id: UUID) -> AssociatedData:
    return AssociatedData(studio_id, "webhook_endpoint", "secret", endpoint_id, 1)


def _unknown() -> NotFound:
    return NotFound("Webhook endpoint not found", code="webhook_endpoint_not_found")
