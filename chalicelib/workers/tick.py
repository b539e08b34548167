"""The tick: every minute, start what is due and ring again for what got lost."""

from chalice.app import Blueprint, CloudWatchEvent

from chalicelib.runtime.jobs import job
from chalicelib.services.pending_grants import ring_expired_grants
from chalicelib.services.renewals import ring_due_renewals
from chalicelib.services.schedules import start_due_runs
from chalicelib.services.webhooks import ring_due_deliveries

blueprint = Blueprint(__name__)


@blueprint.schedule("rate(1 minute)", name="tick")
@job
def tick(event: CloudWatchEvent) -> None:
    start_due_runs()
    ring_due_renewals()
    ring_due_deliveries()
    ring_expired_grants()
