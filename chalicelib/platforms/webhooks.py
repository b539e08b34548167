"""What a platform tells of an account by itself, without being asked."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

AccountId = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,255}\Z")]
"""Printable ASCII, as all platforms name accounts; Google promises at most 255 characters. What else is signed names no
account, and some of it, such as NUL, no column could hold."""


class AccountEvent(msgspec.Struct, frozen=True):
    """`at` is when it happened, or when the platform says that it told of it. The grants of the account are `revoked`,
    or it is merely `warning` of something."""

    account_id: str
    at: datetime
    effect: Literal["revoked", "warning"]
    code: str
    message: str
