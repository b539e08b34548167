"""The definition of a platform: facts, an identity, and streams that are fetched page by page."""

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
    from chalicelib.platforms.core.transport import PlatformResponse

Credential = Literal["oauth", "api_key", "none"]
CursorT = TypeVar("CursorT", bound=msgspec.Struct)


class Identity(msgspec.Struct, frozen=True):
    """The connected account, as the platform names it. `scopes` is None if the platform does not report them."""

    external_id: str
    name: str
    scopes: tuple[str, ...] | None = None


class GrantWarning(msgspec.Struct, frozen=True):
    """A limitation of a grant that works anyway. The code is stable; the message is for the studio."""

    code: str
    """A stable code. `google_testing_mode`: Google ends the grant after a week, because the consent screen of this
    deployment is in the status Testing."""
    message: str
    """What the limitation means, in a sentence for a person."""


class Page(msgspec.Struct, Generic[CursorT], frozen=True):
    """One response of a platform, ready to be stored.

    `cursor` is where the next fetch starts: the next page of this run or, if `last`, the start of the next run. With
    `last`, None makes the next run read the stream from its start.
    `records` may be of several types, in any order: they are stored together, parents before children. `deleted` holds
    what the platform reports as deleted, `skipped` the records that the stream's rules leave out, and `set_aside` those
    that could not be read; each names its record type, unless that is the stream's first.
    """

    records: Sequence[Record]
    cursor: CursorT | None
    last: bool
    deleted: Sequence[Gone] = ()
    skipped: Sequence[Skipped] = ()
    set_aside: Sequence[SetAside] = ()
    complete: bool = True
    """Whether the read that this page ends listed every current record, for streams whose full reads do."""
    ask_again_at: datetime | None = None
    """For something that the platform prepares, such as a report: the cursor holds its id, and the same page is
    requested again at this time (aware UTC). Not for the last page, nor for limits and failures: those are errors."""

    @classmethod
    def of(cls, batch: Batch, cursor: CursorT | None, *, last: bool, complete: bool = True) -> "Page[CursorT]":
        return cls(batch.records, cursor, last, batch.gone, batch.skipped, batch.set_aside, complete)


class Window(msgspec.Struct, frozen=True):
    """A range of days, inclusive."""

    first: date
    last: date


class AccountKind(msgspec.Struct, frozen=True):
    """A kind of account that streams read."""

    name: str
    list_accounts: Callable[["Client"], FoundAccounts]
    """Requests all of the grant's accounts of this kind from the platform"""


class Stream(msgspec.Struct, Generic[CursorT], frozen=True):
    """One kind of data of a platform (`syncType` on the wire).

    `fetch(client, cursor)` returns one page; a cursor of None reads the stream from its start. Cursors are stored as
    the JSON text of `cursor` and are opaque outside the platform's own file.
    """

    name: str
    items: tuple[Items[Any, Any], ...]
    """How its records are decoded, one by one: an entry per record type"""
    cursor: type[CursorT]
    fetch: Callable[["Client", CursorT | None], Page[CursorT]]
    frequency: str
    """How often it syncs unless the studio decides otherwise, e.g. `every 15 minutes`."""
    scopes: tuple[tuple[str, ...], ...]
    """Groups of scopes: one scope of each group is needed to read it, and the first of each is the one we request."""
    helpful_scopes: tuple[str, ...] = ()
    """Also requested, but not required."""
    restricted: bool = False
    """Whether the vendor restricts its scopes to products that pass a security assessment. An authorization requests it
    only when the studio names the stream: otherwise users would be asked for more than most of them need.
    """
    complete: bool = False
    """Whether a full read lists every current record, so that a record missing from it is gone."""
    accounts: AccountKind | None = None
    """The kind of account it reads, if the grant has several; `client.account` is the one to read"""
    fetch_window: Callable[["Client", Window, CursorT | None], Page[CursorT]] | None = None
    """Like `fetch`, for the records of some days only; `last` ends the window. None: the past cannot be read again."""
    slice_days: int = 31
    """How many days a backfill reads at a time."""
    api: str = ""
    """The platform API it reads, where each API has its own quota and fails independently."""

    @property
    def records(self) -> tuple[type[Record], ...]:
        """The record types that its pages may hold."""
        return tuple(items.record for items in self.items)

    @property
    def asked_scopes(self) -> tuple[str, ...]:
        """The scopes that an authorization requests for this stream."""
        return (*(group[0] for group in self.scopes), *self.helpful_scopes)

    def is_covered_by(self, granted: Sequence[str] | None) -> bool:
        """Whether these scopes are enough; assumed for a grant whose scopes are unknown."""
        return not self.find_missing_scopes(granted)

    def find_missing_scopes(self, granted: Sequence[str] | None) -> tuple[str, ...]:
        """The scopes to request so that these become enough."""
        if granted is None:
            return ()
        return tuple(group[0] for group in self.scopes if set(group).isdisjoint(granted))

    def fetch_page(self, client: "Client", cursor: str | None) -> Page[CursorT]:
        """A cursor of another shape, stored by an earlier version of this stream, counts as expired."""
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
    identify: Callable[["Client"], Identity] | None = None
    """Asks the platform which account is connected; also the connection test. Only a grant can tell: for a platform
    that we call with our own key, the client's `account_id` names the account.
    """
    classify: Callable[["PlatformResponse"], "Fault | None"] | None = None
    """Classifies a non-2xx response; None means by its status alone."""
    find_hidden_error: Callable[["PlatformResponse"], "Fault | None"] | None = None
    """Finds the error in a 2xx response, for platforms that send errors that way; returns None for a real success."""
    headers: Mapping[str, Mapping[str, str]] = {}
    """Headers sent with each request, by the start of its address: a whole host or one API"""
    usage: Callable[[Mapping[str, str], datetime], "Sequence[Usage]"] | None = None
    """Reads the used share of the quotas from response headers (lower-case names); None if the platform reports
    none."""
    credential: Credential = "oauth"
    """What a connection authenticates with: its own grant, one key of this product for all studios, or nothing."""
    oauth: "OAuth2 | None" = None
    check_grant: Callable[["Client", "TokenGrant"], "Sequence[GrantWarning]"] | None = None
    """Checks a new grant that covers a stream; raises AuthorizationFailed if the grant is still unusable."""
    webhooks: tuple[WebhookSender[Any, Any], ...] = ()
    """The webhooks it sends, each to its own route"""

    def stream(self, name: str) -> Stream[Any] | None:
        return next((stream for stream in self.streams if stream.name == name), None)

    def streams_named(self, names: Sequence[str] | None) -> list[Stream[Any]]:
        """The streams with these names, ignoring unknown names; all streams for None."""
        return [stream for stream in self.streams if names is None or stream.name in names]

    def get_webhook(self, name: str) -> WebhookSender[Any, Any]:
        """Raises NotFound."""
        for sender in self.webhooks:
            if sender.name == name:
                return sender
        raise NotFound("Webhook not found", code="webhook_not_found")
