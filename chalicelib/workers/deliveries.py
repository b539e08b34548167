"""The delivery function: sends one signed event to a studio's URL and reports the outcome.

It runs outside the VPC, and its environment and its role hold nothing: whatever a receiver does to the code that talks
to it, there is no database, key or credential to reach from here.
"""

from typing import Any

import msgspec
from chalice.app import Blueprint

from chalicelib import logs
from chalicelib.runtime.jobs import job_invocation
from chalicelib.security.outbound import post
from chalicelib.security.outbound_messages import OutboundRequest, Outcome
from chalicelib.settings import get_base_settings
from chalicelib.urls import split_url

blueprint = Blueprint(__name__)


class DeliveryCrashed(Exception):
    """Raised instead of the original exception, whose message may quote what was sent. Its own is that one's type."""


@blueprint.lambda_function(name="deliver")
def deliver(event: Any, context: Any) -> Any:
    """Invoked by the sync worker with an OutboundRequest, synchronously; returns an Outcome."""
    with job_invocation("deliver", context, get_base_settings):
        try:
            outcome = _deliver(event)
        except Exception as error:  # noqa: BLE001  Lambda would log the original without masking secrets
            raise DeliveryCrashed(type(error).__name__).with_traceback(error.__traceback__) from None
    return msgspec.to_builtins(outcome)


def _deliver(event: Any) -> Outcome:
    loopback = get_base_settings().allows_loopback
    request = msgspec.convert(event, OutboundRequest)
    with logs.bound(delivery_id=request.delivery_id):
        outcome = post(request.url, request.body, request.headers, loopback=loopback)
        # Of the URL the host alone, because the rest of it often is the receiver's secret.
        parts = split_url(request.url)
        host = parts.hostname if parts else None
        logs.event("delivery.attempted", host=host, status=outcome.status, failure=outcome.failure)
    return outcome
