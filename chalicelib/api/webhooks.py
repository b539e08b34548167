"""/api/webhooks: where a studio wants to be told when a connection breaks or heals."""

from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib.api.connections import READ, WRITE
from chalicelib.api.paging import Listing
from chalicelib.api.params import WebhookId
from chalicelib.data.webhooks import Webhook
from chalicelib.errors import NotFound
from chalicelib.runtime.routes import Routes
from chalicelib.security.outbound import MAX_URL_LENGTH
from chalicelib.services import webhooks
from chalicelib.services.webhooks import WebhookTest

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
    webhooks.delete_webhook(studio_id, _uuid(webhook_id))


@routes.post("/api/webhooks/{webhook_id}/test", scope=WRITE)
def test_webhook(studio_id: UUID, webhook_id: WebhookId) -> WebhookTest:
    """Send a `test` event now and see what comes of it"""
    return webhooks.test_webhook(studio_id, _uuid(webhook_id))


def _uuid(webhook_id: str) -> UUID:
    try:
        return UUID(webhook_id)
    except ValueError as error:
        raise NotFound("There is no such webhook", code="webhook_not_found") from error
