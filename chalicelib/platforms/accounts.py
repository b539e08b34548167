"""Accounts under a grant: what of it a stream reads, such as one of its calendars, and by which rule."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from chalicelib.platforms.client import Client

Rule = Literal["all", "matching"]


class ConnectedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as a stream's fetcher is given it."""

    external_id: str | None = None
    """None while the grant may not tell it: then the platform's name for the grant's own account has to do"""
    time_zone: str | None = None
    rule: Rule = "matching"
    """Which of its records count: all, or those that look like the studio's business"""
    words: tuple[str, ...] = ()
    """The studio's own words for what is its business"""


class FoundAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account as the platform describes it."""

    external_id: str | None = None
    name: str | None = None
    time_zone: str | None = None


class AccountKind(msgspec.Struct, frozen=True):
    """A kind of account that streams read."""

    name: str
    find: Callable[["Client"], FoundAccount]
    """Asks the platform for the one that the grant's streams read"""
    scopes: tuple[str, ...] = ()
    """Any one of these is enough to learn its id"""
