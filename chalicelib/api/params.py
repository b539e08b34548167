"""Path parameters. A name or id that does not exist and text that cannot be one are the same 404."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from chalicelib.platforms.registry import NAMES, require_known
from chalicelib.runtime.decoding import IdOf

ConnectionId = Annotated[UUID, Meta(description="The id of a connection.")]
OnlyConnection = Annotated[ConnectionId | None, Meta(description="Return only those of this connection.")]


class OfConnection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which connection of the platform a request is about."""

    connection: ConnectionId | None = None
    """The id of the connection. Needed when the studio has several connections of the platform."""


class OnlyOfConnection(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Of which connection a list is, if not of all."""

    connection: OnlyConnection = None


class KnownPlatform:
    """A parameter that is a platform's name."""

    def decode(self, text: str) -> str:
        return require_known(text)


PlatformName = Annotated[
    str,
    Meta(description="The platform.", examples=["google"], extra_json_schema={"enum": list(NAMES)}),
    KnownPlatform(),
]
RunId = Annotated[UUID, Meta(description="The id of a run, from the sync log."), IdOf("run")]
WebhookId = Annotated[UUID, Meta(description="The id of a webhook endpoint."), IdOf("webhook endpoint")]
ConnectedAccountId = Annotated[
    UUID, Meta(description="The id of an account, from the list of accounts."), IdOf("account")
]
DeliveryId = Annotated[UUID, Meta(description="The id of a delivery."), IdOf("delivery")]
ConfirmationCode = Annotated[
    str,
    Meta(description="The `confirmation_code` of the receipt.", examples=["6f1ed002ab5595859014ebf0951522d9"]),
]
