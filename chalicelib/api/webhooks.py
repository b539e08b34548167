"""/api/webhooks: where a studio wants to be told when a connection breaks or heals."""

from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib.api.connections import READ, WRITE
from chalicelib.api.paging import Listing
from chalicelib.api.params import DeliveryId, WebhookId
from chalicelib.data.webhooks import Delivery, Webhook
from chalicelib.errors import NotFound
from chalicelib.runtime.routes import Located, Routes
from chalicelib.security.outbound import MAX_URL_LENGTH
from chalicelib.services import webhooks

routes = Routes()


class NewWebhook(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """An https URL on the public internet."""

    url: Annotated[
        str, msgspec.Meta(min_length=9, max_length=MAX_URL_LENGTH, examples=["https://studio.example/hooks/ansel"])
    ]


class CreatedWebhook(Webhook):
    """The one answer that holds the secret."""

    secret: str


@routes.get("/api/webhooks", scope=READ)
def list_webhooks(studio_id: UUID) -> Listing[Webhook]:
    """List webhooks with their last deliveries"""
    return Listing(items=webhooks.list_webhooks(studio_id))


@routes.post("/api/webhooks", scope=WRITE, status=201, errors=[409], secret=True)
def create_webhook(studio_id: UUID, body: NewWebhook) -> CreatedWebhook:
    """Have a URL told when a connection breaks or heals; answers with the signing secret, this once"""
    webhook, secret = webhooks.create_webhook(studio_id, body.url)
    return CreatedWebhook(**msgspec.structs.asdict(webhook), secret=secret.reveal())


@routes.delete("/api/webhooks/{webhook_id}", scope=WRITE)
def delete_webhook(studio_id: UUID, webhook_id: WebhookId) -> None:
    """Delete a webhook and what was on its way to it"""
    webhooks.delete_webhook(studio_id, _uuid(webhook_id, "webhook"))


@routes.post("/api/webhooks/{webhook_id}/test", scope=WRITE, status=202)
def test_webhook(studio_id: UUID, webhook_id: WebhookId) -> Located[Delivery]:
    """Send a `test` event, also to a webhook that is disabled; the location says what came of it"""
    id = _uuid(webhook_id, "webhook")
    test = webhooks.test_webhook(studio_id, id)
    return Located(test, location=f"/api/webhooks/{id}/deliveries/{test.id}")


@routes.get("/api/webhooks/{webhook_id}/deliveries/{delivery_id}", scope=READ)
def get_delivery(studio_id: UUID, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
    """One delivery of a webhook"""
    return webhooks.get_delivery(studio_id, _uuid(webhook_id, "webhook"), _uuid(delivery_id, "delivery"))


def _uuid(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise NotFound(f"There is no such {what}", code=f"{what}_not_found") from error
