"""The sync worker: goes on with the run that a message names."""

import msgspec
from chalice.app import Blueprint, SQSEvent

from chalicelib import logs
from chalicelib.doorbell import Message
from chalicelib.runtime.jobs import job
from chalicelib.services.runs import execute_run

blueprint = Blueprint(__name__)

QUEUE = "ansel-sync"


@blueprint.on_sqs_message(queue=QUEUE, batch_size=1, name="sync")
@job
def sync(event: SQSEvent) -> None:
    """One message an invocation: raising returns just that one to the queue, and after five times to the DLQ."""
    for record in event:
        try:
            message = msgspec.json.decode(record.body, type=Message)
        except msgspec.MsgspecError as error:
            logs.event("message.dropped", reason="malformed", error=error)
            continue
        execute_run(message.studio_id, message.run_id, event.context.get_remaining_time_in_millis)  # type: ignore[union-attr]  # Chalice types it as a dict
