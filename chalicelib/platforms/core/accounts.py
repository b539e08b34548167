"""Accounts under a grant: what of it a stream reads, such as one of its calendars, and by which rule."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Rule = Literal["all", "matching"]


class ConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as a stream's fetcher is given it."""

    external_id: str | None = None
    """None while the grant may not tell it: then the platform's name for the grant's own account has to do"""
    own_address: str | None = None
    """The id of the grant's own account of the kind, which for a calendar is the studio's address"""
    time_zone: str | None = None
    currency: str | None = None
    rule: Rule = "matching"
    """Which of its records count: all, or those that look like the studio's business"""
    words: tuple[str, ...] = ()
    """The studio's own words for what is its business"""


class FoundAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the platform describes it."""

    external_id: str | None = None
    name: str | None = None
    time_zone: str | None = None
    currency: str | None = None
    is_primary: bool = False
    """Whether it is the grant's own: it stays the same account when its id changes"""
    selected: bool = True
    """Whether it is read unless the studio says otherwise"""


class FoundAccounts(msgspec.Struct, frozen=True):
    """The accounts of a grant; `complete` unless there may be others, so that what is missing is gone."""

    accounts: Sequence[FoundAccount] = ()
    complete: bool = True
