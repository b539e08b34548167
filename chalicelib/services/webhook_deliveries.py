"""Deliveries of events to webhook endpoints, signed as Standard Webhooks describes.

Delivery is at least once, in no guaranteed order. A delivery is a row that is due until it is delivered or abandoned;
everything except the attempt itself happens in the database. A test of an endpoint is a delivery without an event.
"""

import logging
from collections.abc import Callable
from typing import Any, Literal
from uuid import UUID

import msgspec

from chalicelib import clock, logs, telemetry
from chalicelib.data import webhook_endpoints as rows
from chalicelib.data.postgres.database import write
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.data.webhook_endpoints import ClaimedDelivery
from chalicelib.security.outbound_messages import Failure, OutboundRequest, Outcome
from chalicelib.security.outbound_urls import problem_of_url
from chalicelib.security.signatures import sign_webhook
from chalicelib.security.vault import vault
from chalicelib.services import delivery_function
from chalicelib.services.delivery_function import DeliveryFault
from chalicelib.services.dispatch import enqueue_due
from chalicelib.services.explain import Connection, explain_connection
from chalicelib.services.webhook_endpoints import associated_data
from chalicelib.settings import get_settings
from chalicelib.work_queue import DeliveryMessage

MINUTE, HOUR = 60, 3600
DAY = 24 * HOUR
# From each attempt to the next. The last delay only serves to settle a delivery whose worker died.
DELAYS = [5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 22 * HOUR, 32 * HOUR, 5 * MINUTE]
ATTEMPTS = len(DELAYS)
NEEDED_MS = 50_000
"""Longer than any attempt takes."""
FAULT_DELAYS = (5 * MINUTE, HOUR)
"""After a fault of ours the next attempt waits as long as the delivery has already waited, within these bounds."""
MAX_FAULT_AGE = 4 * DAY
"""Longer than all attempts take: a receiver at which the delivery function crashes is not called forever."""
MAX_FAULT_AGE_OF_TEST = HOUR
GONE = 410
DISABLED_BY_RECEIVER = "the receiver responded with 410 Gone"
OUR_FAULT = "we could not send it; the attempt does not count"
PROBLEMS: dict[Failure, str] = {
    "url_refused": "the URL is not allowed",
    "address_refused": "the host is not on the public internet",
    "host_not_found": "the host name does not resolve",
    "certificate_invalid": "the certificate is not valid for the host",
    "tls_failed": "no TLS connection could be established",
    "timed_out": "timed out",
    "no_response": "the connection failed or was closed without a response",
    "response_invalid": "the response is not valid HTTP",
}

Outcomes = Literal["delivered", "failed", "given_up", "disabled", "dropped", "postponed"]


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
    if not (claimed.enabled or _is_test(claimed)):
        return _fail(studio_id, delivery_id, claimed, "the webhook endpoint is disabled")
    if claimed.attempts > ATTEMPTS:
        return _fail(studio_id, delivery_id, claimed, "no response")
    try:
        outcome = delivery_function.attempt(_request(studio_id, delivery_id, claimed))
    except DeliveryFault as fault:
        return _postpone(studio_id, delivery_id, claimed, fault)
    if _delivered(outcome):
        write(studio_id, rows.SETTLE_DELIVERY, id=delivery_id)
        _log("webhook_delivery.delivered", delivery_id, claimed)
        return "delivered"
    if outcome.status == GONE and not _is_test(claimed):
        write(studio_id, rows.DISABLE_WEBHOOK_ENDPOINT, id=claimed.endpoint.id, problem=DISABLED_BY_RECEIVER)
        _log("webhook_endpoint.disabled", delivery_id, claimed)
        return "disabled"
    return _fail(
        studio_id, delivery_id, claimed, _problem(outcome, claimed), retry_after_seconds=outcome.retry_after_seconds
    )


def _fail(
    studio_id: UUID, delivery_id: UUID, claimed: ClaimedDelivery, problem: str, *, retry_after_seconds: int = 0
) -> Outcomes:
    last = claimed.attempts >= ATTEMPTS or not claimed.enabled or _is_test(claimed)
    write(
        studio_id,
        rows.FAIL_DELIVERY,
        id=delivery_id,
        attempts=claimed.attempts,
        problem=problem,
        last=last,
        retry_after=retry_after_seconds,
    )
    _log("webhook_delivery.failed", delivery_id, claimed, problem=problem, given_up=last)
    return "given_up" if last else "failed"


def _postpone(studio_id: UUID, delivery_id: UUID, claimed: ClaimedDelivery, fault: DeliveryFault) -> Outcomes:
    """Takes the attempt back: the receiver has not failed, we have."""
    waited = int((clock.now() - claimed.occurred_at).total_seconds())
    last = waited > (MAX_FAULT_AGE_OF_TEST if _is_test(claimed) else MAX_FAULT_AGE)
    least, most = FAULT_DELAYS
    write(
        studio_id,
        rows.POSTPONE_DELIVERY,
        id=delivery_id,
        attempts=claimed.attempts,
        problem=OUR_FAULT,
        last=last,
        delay=min(max(waited, least), most),
    )
    telemetry.count("DeliveryErrors")
    _log("webhook_delivery.postponed", delivery_id, claimed, level=logging.ERROR, code=fault.code, given_up=last)
    return "given_up" if last else "postponed"


def _request(studio_id: UUID, delivery_id: UUID, claimed: ClaimedDelivery) -> OutboundRequest:
    endpoint, body = claimed.endpoint, msgspec.json.encode(_payload(claimed))
    message_id = str(claimed.event.id if claimed.event else delivery_id)
    secret = vault().open(endpoint.secret, endpoint.data_keys, associated_data(studio_id, endpoint.id))
    signed = sign_webhook(secret, message_id=message_id, at=clock.now(), body=body)
    headers = {"Content-Type": "application/json", "User-Agent": "ansel", **signed}
    return OutboundRequest(delivery_id=delivery_id, url=endpoint.url, headers=headers, body=body)


def _payload(claimed: ClaimedDelivery) -> _Payload:
    event = claimed.event
    if event is None or claimed.connection is None:
        return _Payload(type="test", timestamp=claimed.occurred_at, data={"endpointId": str(claimed.endpoint.id)})
    payload_event = _PayloadEvent(id=event.id, code=event.code, message=event.message, at=event.at)
    data = _PayloadData(connection=explain_connection(claimed.connection), event=payload_event)
    return _Payload(type=f"connection.{event.kind}", timestamp=event.at, data=data)


def _is_test(claimed: ClaimedDelivery) -> bool:
    return claimed.event is None


def _delivered(outcome: Outcome) -> bool:
    return outcome.status is not None and 200 <= outcome.status < 300


def _problem(outcome: Outcome, claimed: ClaimedDelivery) -> str:
    if outcome.failure is None:
        return f"the receiver responded with {outcome.status}"
    precise = problem_of_url(claimed.endpoint.url, loopback=get_settings().allows_loopback)
    return precise if outcome.failure == "url_refused" and precise else PROBLEMS[outcome.failure]


def _log(name: str, delivery_id: UUID, claimed: ClaimedDelivery, *, level: int = logging.INFO, **fields: Any) -> None:
    ids: dict[str, Any] = {"endpoint_id": claimed.endpoint.id, "delivery_id": delivery_id, "attempt": claimed.attempts}
    logs.event(name, level=level, **ids, **fields)
