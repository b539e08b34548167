"""What may stand in a path. This describes and does not check: something unknown is a 404, not a wrong value."""

from typing import Annotated

import msgspec

from chalicelib.platforms.registry import NAMES

PlatformName = Annotated[str, msgspec.Meta(examples=["google"], extra_json_schema={"enum": list(NAMES)})]
RunId = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
WebhookId = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
ConnectedAccountId = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
DeliveryId = Annotated[str, msgspec.Meta(extra_json_schema={"format": "uuid"})]
ConfirmationCode = Annotated[str, msgspec.Meta(examples=["6f1ed002ab5595859014ebf0951522d9"])]
