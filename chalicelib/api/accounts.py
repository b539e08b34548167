"""/api/connections/{platform}/accounts: what is read under a connection, and what of it counts."""

from typing import Annotated
from uuid import UUID

import msgspec

from chalicelib.api.connections import READ, WRITE
from chalicelib.api.params import ConnectedAccountId, PlatformName
from chalicelib.data.accounts import Rule
from chalicelib.errors import FieldProblem, InvalidInput
from chalicelib.runtime.declare import Routes
from chalicelib.runtime.paging import Listing
from chalicelib.services import accounts
from chalicelib.services.explain import Account

routes = Routes()

Word = Annotated[str, msgspec.Meta(min_length=1, max_length=60, examples=["mini", "atelier"])]
Words = Annotated[list[Word], msgspec.Meta(max_length=100)]


class AccountChange(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is left out stays. `selected`: whether it is read; what was read stays, and counts only while it is.

    `rule`: `all`, or `matching` for what looks like the studio's business. `words`: the studio's own words for that,
    compared with the beginnings of words, whatever their case and accents."""

    selected: bool | None = None
    rule: Rule | None = None
    words: Words | None = None


@routes.get("/api/connections/{platform}/accounts", scope=READ)
def list_accounts(studio_id: UUID, platform: PlatformName) -> Listing[Account]:
    """List what syncs have found under a connection, such as its calendars, and where each stream stands with it"""
    return Listing(items=accounts.list_accounts(studio_id, platform))


@routes.put("/api/connections/{platform}/accounts/{account_id}", scope=WRITE)
def change_account(
    studio_id: UUID, platform: PlatformName, account_id: ConnectedAccountId, body: AccountChange
) -> Account:
    """Select an account or leave it out, or change what of it counts; it is then read, by a new rule from the start"""
    if body == AccountChange():
        raise InvalidInput(
            "There is nothing to change",
            fields=[FieldProblem(name, "is missing") for name in ("selected", "rule", "words")],
        )
    return accounts.change_account(
        studio_id, platform, account_id, selected=body.selected, rule=body.rule, words=body.words
    )
