"""What a platform tells of an account by itself, without being asked."""

from datetime import datetime
from typing import Literal

import msgspec


class AccountNotice(msgspec.Struct, frozen=True):
    """`at` is when it happened, or when the platform says that it told of it. The grants of the account are `revoked`,
    or it is merely `warned` of something."""

    account_id: str
    at: datetime
    effect: Literal["revoked", "warned"]
    code: str
    message: str
