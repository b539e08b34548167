"""Invokes the delivery function, the only one that connects to URLs of studios: with one signed body, and no secret."""

import msgspec

from chalicelib import aws_requests
from chalicelib.aws_requests import AwsError
from chalicelib.security.outbound_messages import OutboundRequest, Outcome
from chalicelib.settings import get_settings

TIMEOUT_SECONDS = 40.0
"""Longer than the function may take, so that its result is not missed"""
MAX_REQUEST_BYTES = 6_000_000
"""Of an invocation whose result is waited for: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_outcomes = msgspec.json.Decoder(Outcome)


class DeliveryFault(Exception):
    """The attempt failed on our side; the receiver may have got the request, but nobody knows what it responded."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def attempt(request: OutboundRequest) -> Outcome:
    """Raises DeliveryFault."""
    payload = msgspec.json.encode(request)
    if len(payload) > MAX_REQUEST_BYTES:
        raise DeliveryFault("RequestTooLarge")
    try:
        answer = aws_requests.invoke(f"ansel-{get_settings().stage}-deliver", payload, timeout_seconds=TIMEOUT_SECONDS)
        return _outcomes.decode(answer)
    except AwsError as error:
        raise DeliveryFault(error.code) from error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise DeliveryFault("InvalidOutcome") from None  # the cause may quote what a receiver made of it
