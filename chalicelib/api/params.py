"""What may stand in a path: what is not there, and text that could be nothing of the kind, is the same 404."""

from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib.platforms.registry import NAMES, require_known
from chalicelib.runtime.decoding import IdOf


class KnownPlatform:
    """A parameter that is a platform's name."""

    def decode(self, text: str) -> str:
        return require_known(text)


PlatformName = Annotated[
    str, msgspec.Meta(examples=["google"], extra_json_schema={"enum": list(NAMES)}), KnownPlatform()
]
RunId = Annotated[UUID, IdOf("run")]
WebhookId = Annotated[UUID, IdOf("webhook endpoint")]
ConnectedAccountId = Annotated[UUID, IdOf("account")]
DeliveryId = Annotated[UUID, IdOf("delivery")]
ConfirmationCode = Annotated[str, msgspec.Meta(examples=["6f1ed002ab5595859014ebf0951522d9"])]
