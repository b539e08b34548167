"""/api/webhook-endpoints: the studio's own URLs that receive signed events about its connections."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from chalicelib.api.connections import READ, WRITE
from chalicelib.api.params import DeliveryId, WebhookId
from chalicelib.data.webhook_endpoints import Delivery, WebhookEndpoint
from chalicelib.runtime.declare import Routes
from chalicelib.runtime.paging import Listing
from chalicelib.runtime.responses import Created
from chalicelib.security.outbound_urls import MAX_URL_LENGTH
from chalicelib.services import webhook_endpoints

routes = Routes()


class NewWebhookEndpoint(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Where to send events."""

    url: Annotated[str, Meta(min_length=9, max_length=MAX_URL_LENGTH, examples=["https://studio.example/hooks/ansel"])]
    """An https URL on port 443 on the public internet."""


class CreatedWebhookEndpoint(WebhookEndpoint):
    """A new webhook endpoint with its secret."""

    secret: str
    """The signing secret: `whsec_` and Base64, as in Standard Webhooks. It is shown only here."""


@routes.get("/api/webhook-endpoints", scope=READ)
def list_webhook_endpoints(studio_id: UUID) -> Listing[WebhookEndpoint]:
    """List webhook endpoints with their last deliveries"""
    return Listing(items=webhook_endpoints.list_webhook_endpoints(studio_id))


@routes.post("/api/webhook-endpoints", scope=WRITE, status=201, errors=[409], secret=True)
def create_webhook_endpoint(studio_id: UUID, body: NewWebhookEndpoint) -> CreatedWebhookEndpoint:
    """Create a webhook endpoint

    The URL receives a signed event whenever a connection fails or recovers. The response contains the signing secret,
    which is never shown again. A studio may have five endpoints."""
    endpoint, secret = webhook_endpoints.create_webhook_endpoint(studio_id, body.url)
    return CreatedWebhookEndpoint(**msgspec.structs.asdict(endpoint), secret=secret.reveal())


@routes.delete("/api/webhook-endpoints/{endpoint_id}", scope=WRITE)
def delete_webhook_endpoint(studio_id: UUID, endpoint_id: WebhookId) -> None:
    """Delete a webhook endpoint

    Deliveries that are still waiting are dropped."""
    webhook_endpoints.delete_webhook_endpoint(studio_id, endpoint_id)


@routes.post("/api/webhook-endpoints/{endpoint_id}/test", scope=WRITE, status=202)
def test_webhook_endpoint(studio_id: UUID, endpoint_id: WebhookId) -> Created[Delivery]:
    """Send a `test` event to a webhook endpoint

    A disabled endpoint gets it as well. It is attempted once; `Location` leads to the delivery, which says whether it
    arrived. If a test is still waiting, it returns that one instead of sending another."""
    test = webhook_endpoints.test_webhook_endpoint(studio_id, endpoint_id)
    return Created(test, location=f"/api/webhook-endpoints/{endpoint_id}/deliveries/{test.id}")


@routes.get("/api/webhook-endpoints/{endpoint_id}/deliveries/{delivery_id}", scope=READ)
def get_delivery(studio_id: UUID, endpoint_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
    """Get a delivery"""
    return webhook_endpoints.get_delivery(studio_id, endpoint_id, delivery_id)
