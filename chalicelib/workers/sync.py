"""The sync worker: goes on with the run, the refresh, the delivery or the revocation that a message names."""

from collections.abc import Callable

import msgspec
from chalice.app import Blueprint, SQSEvent

from chalicelib import logs
from chalicelib.runtime.jobs import job
from chalicelib.services.pending_grants import revoke_expired_grant
from chalicelib.services.refresh import refresh_idle
from chalicelib.services.runs import execute_run
from chalicelib.services.webhook_endpoints import deliver
from chalicelib.settings import get_stage
from chalicelib.work_queue import Message

blueprint = Blueprint(__name__)

QUEUE = f"ansel-{get_stage()}-sync"
"""Of plain `chalice deploy`, which finds the queue by its name; the template gives the queue itself."""


@blueprint.on_sqs_message(queue=QUEUE, batch_size=1, name="sync")
@job
def sync(event: SQSEvent) -> None:
    """One message an invocation: raising returns just that one to the queue, and after five times to the DLQ.

    A list of failed items instead would be taken for success wherever nobody switched on ReportBatchItemFailures, and
    runs that shared a batch would share its deadline.
    """
    for record in event:
        try:
            message = msgspec.json.decode(record.body, type=Message)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            logs.event("message.dropped", reason="malformed", error=error)
            continue
        logs.bind(studio_id=message.studio_id, **({"run_id": message.run_id} if message.run_id else {}))
        _go_on_with(message, event.context.get_remaining_time_in_millis)  # type: ignore[union-attr]  # Chalice types it as a dict


def _go_on_with(message: Message, remaining_ms: Callable[[], int]) -> None:
    if message.run_id is not None:
        execute_run(message.studio_id, message.run_id, remaining_ms)
    elif message.refresh_of is not None:
        refresh_idle(message.studio_id, message.refresh_of, remaining_ms)
    elif message.delivery_id is not None:
        deliver(message.studio_id, message.delivery_id, remaining_ms)
    elif message.grant_id is not None:
        revoke_expired_grant(message.studio_id, message.grant_id)
    else:
        logs.event("message.dropped", reason="empty")
