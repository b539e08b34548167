"""Maintenance: every day, delete what has outlived its retention and report what is stuck."""

from chalice.app import Blueprint, CloudWatchEvent

from chalicelib.runtime.jobs import job
from chalicelib.services.operations.maintenance import maintain

blueprint = Blueprint(__name__)


@blueprint.schedule("rate(1 day)", name="maintenance")
@job
def maintenance(event: CloudWatchEvent) -> None:
    maintain(event.context.get_remaining_time_in_millis)  # type: ignore[union-attr]  # Chalice types it as a dict
