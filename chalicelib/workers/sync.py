"""The sync worker: processes the run, refresh, delivery or revocation that a message names."""

from chalice.app import Blueprint, SQSEvent

from chalicelib import logs, work_queue
from chalicelib.runtime.jobs import job
from chalicelib.services.messages import handle
from chalicelib.settings import get_stage
from chalicelib.work_queue import RunMessage

blueprint = Blueprint(__name__)

QUEUE = f"ansel-{get_stage()}-sync"
"""For plain `chalice deploy`, which finds the queue by name; the template refers to the queue itself."""


@blueprint.on_sqs_message(queue=QUEUE, batch_size=1, name="sync")
@job
def sync(event: SQSEvent) -> None:
    """One message per invocation: raising returns just that one to the queue, and after five times to the DLQ.

    A list of failed items instead would count as success wherever ReportBatchItemFailures is not enabled, and
    runs that shared a batch would share its deadline.
    """
    for record in event:
        try:
            message = work_queue.decode(record.body)
        except ValueError as error:
            logs.event("message.dropped", reason="malformed", error=error)
            continue
        logs.bind(studio_id=message.studio_id, **({"run_id": message.id} if isinstance(message, RunMessage) else {}))
        handle(message, event.context.get_remaining_time_in_millis)  # type: ignore[union-attr]  # Chalice types it as a dict
