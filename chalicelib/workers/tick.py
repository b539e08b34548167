"""The tick: every minute, start what is due and re-enqueue what was lost."""

from chalice.app import Blueprint, CloudWatchEvent

from chalicelib.runtime.jobs import job
from chalicelib.services.connections.refresh import enqueue_due_refreshes
from chalicelib.services.pending_grants import enqueue_expired_grants
from chalicelib.services.scheduling.schedules import start_due_runs
from chalicelib.services.webhook_deliveries import enqueue_due_deliveries

blueprint = Blueprint(__name__)


@blueprint.schedule("rate(1 minute)", name="tick")
@job
def tick(event: CloudWatchEvent) -> None:
    start_due_runs()
    enqueue_due_refreshes()
    enqueue_due_deliveries()
    enqueue_expired_grants()
