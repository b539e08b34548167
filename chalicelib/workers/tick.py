"""The tick: every minute, start what is due and re-enqueue what got lost."""

from chalice.app import Blueprint, CloudWatchEvent

from chalicelib.runtime.jobs import job
from chalicelib.services.messages import enqueue_due

blueprint = Blueprint(__name__)


@blueprint.schedule("rate(1 minute)", name="tick")
@job
def tick(event: CloudWatchEvent) -> None:
    enqueue_due()
