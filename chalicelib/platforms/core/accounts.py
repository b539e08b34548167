"""Accounts under a grant: the part of a grant that a stream reads, such as one calendar, and the rule for reading
it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Rule = Literal["all", "matching"]


class ConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it is passed to a stream's fetcher."""

    external_id: str | None = None
    """None if the grant does not permit reading it; then the platform's alias for the grant's own account is used"""
    own_address: str | None = None
    """The id of the grant's own account of this kind; for a calendar that is the studio's address"""
    time_zone: str | None = None
    currency: str | None = None
    rule: Rule = "matching"
    """Which of its records count: all, or only those that match the studio's business"""
    words: tuple[str, ...] = ()
    """The studio's own words for its business"""


class FoundAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the platform describes it."""

    external_id: str | None = None
    name: str | None = None
    time_zone: str | None = None
    currency: str | None = None
    is_primary: bool = False
    """Whether it is the grant's own account: it stays the same account when its id changes"""
    selected: bool = True
    """Whether it is read unless the studio decides otherwise"""


class FoundAccounts(msgspec.Struct, frozen=True):
    """The accounts of a grant. If `complete`, the list has all of them, so an account missing from it is gone."""

    accounts: Sequence[FoundAccount] = ()
    complete: bool = True
