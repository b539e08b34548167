"""/api/webhook-endpoints: where a studio wants to be told when a connection breaks or recovers."""

from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib.api.connections import READ, WRITE
from chalicelib.api.params import DeliveryId, WebhookId
from chalicelib.data.webhook_endpoints import Delivery, WebhookEndpoint
from chalicelib.runtime.declare import Routes
from chalicelib.runtime.paging import Listing
from chalicelib.runtime.responses import Created
from chalicelib.security.outbound import MAX_URL_LENGTH
from chalicelib.services import webhook_endpoints

routes = Routes()


class NewWebhook(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An https URL on the public internet."""

    url: Annotated[
        str, msgspec.Meta(min_length=9, max_length=MAX_URL_LENGTH, examples=["https://studio.example/hooks/ansel"])
    ]


class CreatedWebhookEndpoint(WebhookEndpoint):
    """The one answer that holds the secret."""

    secret: str


@routes.get("/api/webhook-endpoints", scope=READ)
def list_webhook_endpoints(studio_id: UUID) -> Listing[WebhookEndpoint]:
    """List webhooks with their last deliveries"""
    return Listing(items=webhook_endpoints.list_webhook_endpoints(studio_id))


@routes.post("/api/webhook-endpoints", scope=WRITE, status=201, errors=[409], secret=True)
def create_webhook_endpoint(studio_id: UUID, body: NewWebhook) -> CreatedWebhookEndpoint:
    """Have a URL told when a connection breaks or recovers; answers with the signing secret, this once"""
    endpoint, secret = webhook_endpoints.create_webhook_endpoint(studio_id, body.url)
    return CreatedWebhookEndpoint(**msgspec.structs.asdict(endpoint), secret=secret.reveal())


@routes.delete("/api/webhook-endpoints/{endpoint_id}", scope=WRITE)
def delete_webhook_endpoint(studio_id: UUID, endpoint_id: WebhookId) -> None:
    """Delete a webhook and what was on its way to it"""
    webhook_endpoints.delete_webhook_endpoint(studio_id, endpoint_id)


@routes.post("/api/webhook-endpoints/{endpoint_id}/test", scope=WRITE, status=202)
def test_webhook_endpoint(studio_id: UUID, endpoint_id: WebhookId) -> Created[Delivery]:
    """Send a `test` event, also to a webhook that is disabled; the location says what came of it"""
    test = webhook_endpoints.test_webhook_endpoint(studio_id, endpoint_id)
    return Created(test, location=f"/api/webhook-endpoints/{endpoint_id}/deliveries/{test.id}")


@routes.get("/api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}", scope=READ)
def get_delivery(studio_id: UUID, endpoint_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
    """One delivery of a webhook"""
    return webhook_endpoints.get_delivery(studio_id, endpoint_id, delivery_id)
