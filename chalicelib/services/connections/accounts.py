"""Accounts under a connection: listing, selecting, and the rule that decides which of their records count."""

from datetime import timedelta
from uuid import UUID

import msgspec

from chalicelib import logs, work_queue
from chalicelib.data.postgres.database import Transaction, read, transaction, write
from chalicelib.data.postgres.query import to_json
from chalicelib.data.sync import accounts as rows
from chalicelib.data.sync import found_accounts as found_rows
from chalicelib.data.sync.accounts import AccountRule
from chalicelib.data.sync.leases import LeasedRun
from chalicelib.data.sync.positions import Visit
from chalicelib.errors import FieldProblem, InvalidInput, NotFound
from chalicelib.platforms.core.accounts import ConnectedAccount, FoundAccounts
from chalicelib.platforms.core.contract import AccountKind
from chalicelib.platforms.core.titles import fold
from chalicelib.platforms.registry import get_platform
from chalicelib.services.explain import Account, explain_account
from chalicelib.services.streams import not_chosen, require_choice

RULE_CHANGED = "The account's rule was changed, so the account is read again"
LISTED_FOR = timedelta(days=1)
"""How long a list of accounts stays valid"""
LISTED_FOR_MANUAL = timedelta(minutes=10)
"""The same for a manual run, which may be meant for a new account."""


def list_accounts(studio_id: UUID, platform_name: str, connection: UUID | None = None) -> list[Account]:
    """The accounts that syncs have found. Raises as `not_chosen` does."""
    platform = get_platform(platform_name)
    accounts = read(studio_id, rows.LIST_ACCOUNTS, platform=platform.name, connection=connection)
    if accounts is None:
        raise not_chosen(studio_id, platform.name, connection)
    return [explain_account(account) for account in accounts]


def change_account(
    studio_id: UUID,
    platform_name: str,
    account_id: UUID,
    *,
    connection: UUID | None = None,
    selected: bool | None = None,
    rule: AccountRule | None = None,
    words: list[str] | None = None,
) -> Account:
    """Selects or deselects an account, or changes its rule; None leaves a setting as it is. The account is then read,
    after a change of the rule from its start.
    """
    platform = get_platform(platform_name)
    changed = write(
        studio_id,
        rows.CHANGE_ACCOUNT,
        id=account_id,
        platform=platform.name,
        connection=connection,
        selected=selected,
        rule=rule,
        words=None if words is None else _distinct(words),
        message=RULE_CHANGED,
    )
    if changed is None:
        require_choice(studio_id, platform.name, connection)
        raise NotFound("Account not found", code="account_not_found")
    if changed.changed:
        work_queue.enqueue(work_queue.RunMessage(id=run_id, studio_id=studio_id) for run_id in changed.runs)
        logs.event("account.saved", platform=platform.name, account_id=account_id, runs=len(changed.runs))
    return explain_account(changed.account)


def is_list_due(run: LeasedRun, age_seconds: float | None) -> bool:
    """Whether a run lists the platform's accounts before it reads any."""
    good_for = LISTED_FOR_MANUAL if run.trigger == "manual" else LISTED_FOR
    return age_seconds is None or age_seconds > good_for.total_seconds()


def save_accounts(run: LeasedRun, kind: AccountKind, found: FoundAccounts, held: dict[str, UUID]) -> bool:
    """Stores the platform's list. Bookings follow a calendar whose id has changed.

    Returns False if the run has lost its lease.
    """
    distinct = {account.external_id: account for account in found.accounts}
    primary = next((account for account in distinct.values() if account.is_primary and account.external_id), None)
    with transaction(run.connection.studio_id) as tx:
        if primary is not None:
            _name_primary(tx, {"kind": kind.name, "external_id": primary.external_id}, held)
        listed = to_json([*distinct.values()])
        saved = tx.run(found_rows.SAVE_ACCOUNTS, kind=kind.name, accounts=listed, complete=found.complete, **held)
    if saved is not None:
        logs.event("accounts.listed", platform=run.platform, kind=kind.name, found=saved.found, gone=saved.gone)
    return saved is not None


def _name_primary(tx: Transaction, primary: dict[str, str | None], held: dict[str, UUID]) -> None:
    named = tx.run(found_rows.NAME_PRIMARY, **primary, **held)
    if named is None:
        return
    tx.run(found_rows.MOVE_BOOKINGS, external_id=primary["external_id"], **msgspec.structs.asdict(named))
    if named.replaced is not None:
        tx.run(found_rows.FORGET_REPLACED, replaced=named.replaced, id=named.id)


def to_read(visit: Visit) -> ConnectedAccount:
    return ConnectedAccount(
        external_id=visit.external_id,
        own_address=visit.own_address,
        time_zone=visit.time_zone,
        currency=visit.currency,
        rule=visit.rule,
        words=tuple(visit.words),
    )


def _distinct(words: list[str]) -> list[str]:
    """Without words equivalent to an earlier one. Raises InvalidInput for words that no title could contain."""
    problems = [
        FieldProblem(f"words[{index}]", problem) for index, word in enumerate(words) if (problem := _problem(word))
    ]
    if problems:
        raise InvalidInput(fields=problems)
    return list({fold(word): word.strip() for word in reversed(words)}.values())[::-1]


def _problem(word: str) -> str:
    if not word.isprintable():
        return "must not contain a line break or another control character"
    return "" if fold(word).strip() else "must contain a letter, a digit or a symbol"
