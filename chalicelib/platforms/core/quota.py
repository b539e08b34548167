"""What response headers report about the quota: how much of it is used, and when it resets."""

from datetime import datetime
from typing import Literal

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """The used share of a quota: of this application's, or of the connected account's."""

    scope: Literal["app", "account"]
    used: float
    """1.0 is all of it; platforms report more once they reject requests."""
    resets_at: datetime | None = None
    """Aware UTC; None if the platform's window slides or it does not say."""
