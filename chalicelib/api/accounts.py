"""/api/connections/{platform}/accounts: which accounts of a connection are read, and which of their records count."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from chalicelib.api.connections import READ, WRITE
from chalicelib.api.params import ConnectedAccountId, OfConnection, PlatformName
from chalicelib.data.sync.accounts import AccountRule
from chalicelib.errors import FieldProblem, InvalidInput
from chalicelib.runtime.declare import Routes
from chalicelib.runtime.paging import Listing
from chalicelib.services.connections import accounts
from chalicelib.services.explain import Account

routes = Routes()

Word = Annotated[str, Meta(min_length=1, max_length=60, examples=["mini", "atelier"])]
Words = Annotated[list[Word], Meta(max_length=100)]


class AccountChange(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What to change about an account. A field that is left out stays as it is; at least one is needed."""

    selected: bool | None = None
    """Whether syncs read the account. Records already stored stay, but count only while it is selected."""
    rule: AccountRule | None = None
    """Which of its records count. A new rule reads the account from the start."""
    words: Words | None = None
    """The studio's own words that mark a record as business, replacing the present ones. They match beginnings of
    words, whatever their case and accents."""


@routes.get("/api/connections/{platform}/accounts", scope=READ, errors=[409])
def list_accounts(studio_id: UUID, platform: PlatformName, query: OfConnection) -> Listing[Account]:
    """List the accounts of a connection

    Calendars and ad accounts that syncs have found, whether each is selected and by which rule its records count, and
    how each stream stands with it. Empty before the first sync."""
    return Listing(items=accounts.list_accounts(studio_id, platform, query.connection))


@routes.put("/api/connections/{platform}/accounts/{account_id}", scope=WRITE)
def change_account(
    studio_id: UUID, platform: PlatformName, account_id: ConnectedAccountId, query: OfConnection, body: AccountChange
) -> Account:
    """Select an account, or change which of its records count

    A selected account is then synced; after a change of the rule or the words, from the start. Records of an account
    that is deselected stay stored, and leave every figure until it is selected again."""
    if body == AccountChange():
        raise InvalidInput(
            "The request changes nothing: send at least one of the fields",
            fields=[FieldProblem(name, "is missing") for name in ("selected", "rule", "words")],
        )
    return accounts.change_account(
        studio_id,
        platform,
        account_id,
        connection=query.connection,
        selected=body.selected,
        rule=body.rule,
        words=body.words,
    )
