"""The basics of the Graph API: its version, its paged edges, and the ad accounts that a grant can access."""

import logging
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from chalicelib import logs
from chalicelib.errors import AnswerTooLarge, ContractChanged, TransientFault
from chalicelib.platforms.core.accounts import FoundAccount, FoundAccounts
from chalicelib.platforms.core.client import Client
from chalicelib.platforms.core.contract import AccountKind
from chalicelib.platforms.core.decoding import decode_leniently
from chalicelib.platforms.core.text import clean
from chalicelib.platforms.core.urls import Url, url_of

HOST = "graph.facebook.com"
# Released on 29 July 2026; each version lives for about two years: developers.facebook.com/docs/graph-api/changelog
VERSION = "v26.0"
BASE_URL = f"https://{HOST}/{VERSION}"
ADS_SCOPES = ("ads_read", "ads_management")

PAGE_SIZE = 100
SMALL_PAGE_SIZE = 25
MOST_ACCOUNT_PAGES = 50

AdAccountId = Annotated[str, Meta(pattern="^act_[0-9]{1,20}$")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]


class Cursors(msgspec.Struct, frozen=True):
    after: str | None = None


class Paging(msgspec.Struct, frozen=True):
    """`next` is a URL that contains the access token: we never follow it and only check whether it is present."""

    cursors: Cursors = Cursors()
    next: str | None = None


class Edge(msgspec.Struct, frozen=True):
    """One page. A short or empty page is not the last one: the last one has no `next`."""

    data: list[Raw]
    paging: Paging = Paging()


class AdAccount(msgspec.Struct, frozen=True):
    id: AdAccountId
    name: str | None = None
    currency: Currency | None = None
    timezone_name: str | None = None


class _BareAccount(msgspec.Struct):
    id: AdAccountId


def fetch_edge(client: Client, url: Url, params: list[tuple[str, str]], after: str | None) -> tuple[Edge, str | None]:
    """A page, and the cursor of the next one. A page that is too large for Graph is requested again with fewer
    items."""
    params = [*params, ("after", after)] if after else params
    try:
        edge = client.get(url, [*params, ("limit", str(PAGE_SIZE))], into=Edge)
    except AnswerTooLarge:
        edge = client.get(url, [*params, ("limit", str(SMALL_PAGE_SIZE))], into=Edge)
    return edge, _following(edge.paging, after)


def list_ad_accounts(client: Client) -> FoundAccounts:
    """Every ad account of the grant, in few requests: most studios have one."""
    accounts: list[FoundAccount] = []
    complete, after = True, None
    for _ in range(MOST_ACCOUNT_PAGES):
        edge, after = fetch_edge(
            client, url_of(f"{BASE_URL}/me/adaccounts"), [("fields", "id,name,currency,timezone_name")], after
        )
        read = [_read_account(raw) for raw in edge.data]
        accounts += [_described(account) for account in read if account]
        complete = complete and None not in read
        if after is None:
            return FoundAccounts(accounts, complete)
    raise TransientFault(internal="the list of ad accounts never ends")


AD_ACCOUNTS = AccountKind("ad_account", list_ad_accounts)


def id_of_account(client: Client) -> str:
    """The ad account to read. One without an id is in no list."""
    if client.account.external_id is None:
        raise ContractChanged(internal="no ad account was named")
    return client.account.external_id


def _described(account: AdAccount) -> FoundAccount:
    return FoundAccount(
        external_id=account.id,
        name=clean(account.name),
        time_zone=account.timezone_name,
        currency=account.currency,
    )


def _read_account(raw: Raw) -> AdAccount | None:
    """Its id is enough to query it; an account without a readable id cannot be queried."""
    try:
        return decode_leniently(raw, AdAccount)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        return AdAccount(decode_leniently(raw, _BareAccount).id)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        logs.event("ad_account.unreadable", level=logging.WARNING)
        return None


def _following(paging: Paging, after: str | None) -> str | None:
    if paging.next is None:
        return None
    if paging.cursors.after in (None, after):
        raise TransientFault(internal="a Graph page announces a next page but has no cursor for it")
    return paging.cursors.after
