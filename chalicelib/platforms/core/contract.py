"""What a platform is: facts, an identity, and streams that are fetched page by page."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import msgspec

from chalicelib.errors import CursorExpired, NotFound
from chalicelib.platforms.core.accounts import FoundAccounts
from chalicelib.platforms.core.items import Batch, Gone, Items, SetAside, Skipped
from chalicelib.platforms.core.records import Record
from chalicelib.platforms.core.webhooks import WebhookSender

if TYPE_CHECKING:
    from chalicelib.platforms.core.client import Client
    from chalicelib.platforms.core.faults import Fault
    from chalicelib.platforms.core.oauth2 import OAuth2, TokenGrant
    from chalicelib.platforms.core.quota import Usage
    from chalicelib.platforms.core.transport import Response

Credential = Literal["oauth", "api_key", "none"]
CursorT = TypeVar("CursorT", bound=msgspec.Struct)


class Account(msgspec.Struct, frozen=True):
    """Who is connected, in the platform's words. `scopes` is None when the platform does not tell them."""

    external_id: str
    name: str
    scopes: tuple[str, ...] | None = None


class GrantWarning(msgspec.Struct, frozen=True):
    """A limitation of a grant that works."""

    code: str
    """A stable code. `google_testing_mode`: Google ends the grant after a week, because the consent screen of this
    deployment is in the status Testing."""
    message: str
    """What the limitation means, in a sentence for a person."""


class Page(msgspec.Struct, Generic[CursorT], frozen=True):
    """One answer of a platform, ready to be stored.

    `cursor` is where the next fetch goes on: the next page of this run or, when `last`, the start of the next run; None
    there has the next run read the stream from its start again.
    `records` may be of several types, in any order: they are stored together, parents before children. `deleted` is
    what the platform says is gone, `skipped` and `set_aside` what the stream's rules leave out and what could not be
    read; each says of which record type it is, unless it is the stream's first.
    """

    records: Sequence[Record]
    cursor: CursorT | None
    last: bool
    deleted: Sequence[Gone] = ()
    skipped: Sequence[Skipped] = ()
    set_aside: Sequence[SetAside] = ()
    complete: bool = True
    """Whether the read that this page ends named every living record, where the stream's full reads do."""
    ask_again_at: datetime | None = None
    """For what the platform prepares, such as a report: its id is in the cursor, and the same page is asked for again
    at this time (aware UTC). Not for the last page, and not for a platform that limits or fails: that is an error."""

    @classmethod
    def of(cls, batch: Batch, cursor: CursorT | None, *, last: bool, complete: bool = True) -> "Page[CursorT]":
        return cls(batch.records, cursor, last, batch.gone, batch.skipped, batch.set_aside, complete)


class Window(msgspec.Struct, frozen=True):
    """Days, both included."""

    first: date
    last: date


class AccountKind(msgspec.Struct, frozen=True):
    """A kind of account that streams read."""

    name: str
    list_accounts: Callable[["Client"], FoundAccounts]
    """Asks the platform for all of the grant's"""


class Stream(msgspec.Struct, Generic[CursorT], frozen=True):
    """One kind of data of a platform (`syncType` on the wire).

    `fetch(client, cursor)` makes one page; a cursor of None reads the stream from its start. Cursors are stored as JSON
    text of `cursor` and mean nothing outside the platform's file.
    """

    name: str
    items: tuple[Items[Any, Any], ...]
    """How what it fetches is read, record by record: one for each record type"""
    cursor: type[CursorT]
    fetch: Callable[["Client", CursorT | None], Page[CursorT]]
    frequency: str
    """How often it syncs unless the studio says otherwise, e.g. `every 15 minutes`."""
    scopes: tuple[tuple[str, ...], ...]
    """What it needs to be read: of each group any one scope. The first of a group is the one asked for."""
    helpful_scopes: tuple[str, ...] = ()
    """Asked for as well, and done without when not granted."""
    restricted: bool = False
    """Whether the vendor restricts its scopes to products that pass a security assessment. A consent asks for it only
    when the studio names it: each user would be asked for more than most of them need.
    """
    complete: bool = False
    """Whether a full read names every living record, so that what it leaves out is gone."""
    accounts: AccountKind | None = None
    """What of the grant it reads, where that is an account of its own: `client.account` is the one to read"""
    fetch_window: Callable[["Client", Window, CursorT | None], Page[CursorT]] | None = None
    """As `fetch`, for the records of some days only; `last` ends the window. None: the past cannot be read again."""
    slice_days: int = 31
    """How many days a backfill reads at a time."""
    api: str = ""
    """The platform's interface it reads, where each has a quota and breaks down on its own."""

    @property
    def records(self) -> tuple[type[Record], ...]:
        """The record types that its pages may hold."""
        return tuple(items.record for items in self.items)

    @property
    def asked_scopes(self) -> tuple[str, ...]:
        """What a consent asks for in this stream's name."""
        return (*(group[0] for group in self.scopes), *self.helpful_scopes)

    def is_covered_by(self, granted: Sequence[str] | None) -> bool:
        """Whether these scopes are enough; of a grant that does not tell its scopes it is assumed."""
        return not self.find_missing_scopes(granted)

    def find_missing_scopes(self, granted: Sequence[str] | None) -> tuple[str, ...]:
        """What has to be asked for so that the scopes are enough."""
        if granted is None:
            return ()
        return tuple(group[0] for group in self.scopes if set(group).isdisjoint(granted))

    def fetch_page(self, client: "Client", cursor: str | None) -> Page[CursorT]:
        """A cursor stored by a version of this stream that wrote another shape counts as expired."""
        return self.fetch(client, None if cursor is None else self._decode(cursor))

    def _decode(self, cursor: str) -> CursorT:
        try:
            return msgspec.json.decode(cursor, type=self.cursor)
        except msgspec.MsgspecError as error:
            raise CursorExpired(internal=f"{self.name}: the stored cursor has an unknown shape") from error


class Platform(msgspec.Struct, frozen=True):
    """A platform as data. One without streams can be connected, and tested if it has `identify`, but not synced."""

    name: str
    title: str
    hosts: frozenset[str] = frozenset()
    """The only hosts its tokens are ever sent to."""
    streams: tuple[Stream[Any], ...] = ()
    identify: Callable[["Client"], Account] | None = None
    """Asks the platform who is connected; also the connection test. Only a grant tells that: for a platform asked with
    a key of ours, the client's `account_id` names the account.
    """
    classify: Callable[["Response"], "Fault | None"] | None = None
    """Tells what an answer outside 2xx means; None leaves it to the status alone."""
    find_hidden_error: Callable[["Response"], "Fault | None"] | None = None
    """Tells what a 2xx means that is an error all the same, for platforms that answer so; None for a real success."""
    headers: Mapping[str, Mapping[str, str]] = {}
    """What is sent with each request, by the address that its own begins with: the whole host's, or one API's"""
    usage: Callable[[Mapping[str, str], datetime], "Sequence[Usage]"] | None = None
    """Reads from an answer's headers, in lower case, how much of the quota is used; None when they do not tell."""
    credential: Credential = "oauth"
    """What a connection asks with: its own grant, one key of this product for all studios, or nothing at all."""
    oauth: "OAuth2 | None" = None
    check_grant: Callable[["Client", "TokenGrant"], "Sequence[GrantWarning]"] | None = None
    """Checks a new grant that covers a stream; raises AuthorizationFailed for one that is unusable all the same."""
    webhooks: tuple[WebhookSender[Any, Any], ...] = ()
    """What it sends by itself, each to a route of its own"""

    def stream(self, name: str) -> Stream[Any] | None:
        return next((stream for stream in self.streams if stream.name == name), None)

    def streams_named(self, names: Sequence[str] | None) -> list[Stream[Any]]:
        """Those of these names that there are; all of them for None."""
        return [stream for stream in self.streams if names is None or stream.name in names]

    def get_webhook(self, name: str) -> WebhookSender[Any, Any]:
        """Raises NotFound."""
        for sender in self.webhooks:
            if sender.name == name:
                return sender
        raise NotFound("Webhook not found", code="webhook_not_found")
