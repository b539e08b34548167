"""A studio with a connection, and a webhook endpoint at a receiver on loopback."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pg8000.native
from standardwebhooks import Webhook as Verifier

from chalicelib.data.connections import FIND_STORED_CONNECTION, StoredConnection
from chalicelib.data.postgres.database import read
from chalicelib.errors import TokenRevoked
from chalicelib.services.connections.state import fail_connection
from chalicelib.services.webhook_deliveries import NEEDED_MS, deliver, enqueue_due_deliveries
from chalicelib.services.webhook_endpoints import create_webhook_endpoint
from tests.conftest import Api, Queue
from tests.http_fake import Fake


@dataclass
class Studio:
    """Fails and recovers, and works as the sync worker does."""

    api: Api
    queue: Queue
    receiver: Fake
    superuser: pg8000.native.Connection
    endpoint_id: str = ""
    secret: str = ""

    def add_webhook(self, path: str = "/hook") -> None:
        webhook, secret = create_webhook_endpoint(self.api.studio_id, f"{self.receiver.url}{path}")
        self.endpoint_id, self.secret = str(webhook.id), secret.reveal()

    def connection(self) -> StoredConnection:
        stored = read(self.api.studio_id, FIND_STORED_CONNECTION, platform="pinterest", connection=None)
        assert stored is not None
        return stored

    def fail(self) -> None:
        fail_connection(self.connection(), TokenRevoked("The grant is gone", code="token_revoked"))

    def recover(self) -> None:
        assert self.api.put("/api/connections/pinterest", {"accessToken": "another"}).status == 200

    def enqueued(self) -> list[UUID]:
        return [UUID(message["id"]) for message in self.queue.receive() if message["kind"] == "delivery"]

    def deliver(self, delivery_id: UUID) -> str:
        return deliver(self.api.studio_id, delivery_id, lambda: NEEDED_MS)

    def work(self) -> list[str]:
        return [self.deliver(delivery_id) for delivery_id in self.enqueued()]

    def pass_time(self) -> None:
        """Lets time pass until every waiting delivery is due."""
        self.superuser.run("UPDATE webhook_delivery SET due_at = now() WHERE due_at IS NOT NULL")
        enqueue_due_deliveries()

    def deliveries(self) -> list[dict[str, Any]]:
        (endpoint,) = self.api.get("/api/webhook-endpoints").json["items"]
        return endpoint["deliveries"]  # type: ignore[no-any-return]

    def ask_for_test(self) -> str:
        answer = self.api.post(f"/api/webhook-endpoints/{self.endpoint_id}/test")
        assert answer.status == 202, answer.text
        return str(answer.json["id"])

    def received(self) -> list[Any]:
        """The messages that the receiver was sent, verified by the vendor's library."""
        return [Verifier(self.secret).verify(each.body, each.headers) for each in self.receiver.requests]


def connect_studio(api: Api, queue: Queue, receiver: Fake, superuser: pg8000.native.Connection) -> Studio:
    body = {"platform": "pinterest", "accessToken": "pina_canary", "refreshToken": "pinr_canary"}
    assert api.post("/api/connections", body).status == 201
    studio = Studio(api, queue, receiver, superuser)
    studio.add_webhook()
    queue.receive()
    return studio
