"""What the worker hands to the delivery function, and the little that it gets back."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

MAX_RETRY_AFTER_SECONDS = 86_400

Failure = Literal[
    "url_refused",
    "address_refused",
    "host_not_found",
    "certificate_invalid",
    "tls_failed",
    "timed_out",
    "no_response",
    "response_invalid",
]
"""Why a receiver has not responded. A closed list: the delivery function reads what strangers send, so no text of it is
stored or shown."""


class OutboundRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One attempt of a delivery: everything needed to send it, and nothing that could sign another."""

    delivery_id: UUID
    """For log lines only"""
    url: str
    headers: dict[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"OutboundRequest({self.delivery_id})"


class Outcome(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """The receiver's status, or why there is none."""

    status: Annotated[int, Meta(ge=100, le=999)] | None = None
    failure: Failure | None = None
    retry_after_seconds: Annotated[int, Meta(ge=0, le=MAX_RETRY_AFTER_SECONDS)] = 0
    """As the receiver asked, up to a day"""

    def __post_init__(self) -> None:
        if (self.status is None) == (self.failure is None):
            raise ValueError("either a status or a failure")
