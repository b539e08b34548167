"""Accounts under a connection: which one a stream reads, who it is, and by which rule its records count."""

from uuid import UUID

from chalicelib import logs, work_queue
from chalicelib.data import accounts as rows
from chalicelib.data.accounts import Account, Rule
from chalicelib.data.database import read, transaction, write
from chalicelib.data.query import to_json
from chalicelib.data.runs import AccountToRead, LeasedRun
from chalicelib.errors import FieldProblem, InvalidInput, NotFound
from chalicelib.platforms.accounts import AccountKind, ConnectedAccount
from chalicelib.platforms.client import Client
from chalicelib.platforms.registry import get_platform
from chalicelib.platforms.titles import fold
from chalicelib.services.streams import not_connected

RULE_CHANGED = "The rule for what counts in an account was changed, so the account is read again"


def list_accounts(studio_id: UUID, platform_name: str) -> list[Account]:
    """Those that syncs have found. Raises NotFound when the platform is not connected."""
    platform = get_platform(platform_name)
    accounts = read(studio_id, rows.LIST_ACCOUNTS, platform=platform.name)
    if accounts is None:
        raise not_connected(platform.name)
    return accounts


def change_account(
    studio_id: UUID, platform_name: str, account_id: UUID, *, rule: Rule | None, words: list[str] | None
) -> Account:
    """Changes the rule of an account, which is then read again from the start; None keeps what there is."""
    platform = get_platform(platform_name)
    streams: dict[str, list[str]] = {}
    for stream in platform.streams:
        if stream.accounts is not None:
            streams.setdefault(stream.accounts.name, []).append(stream.name)
    changed = write(
        studio_id,
        rows.CHANGE_ACCOUNT,
        id=account_id,
        platform=platform.name,
        rule=rule,
        words=None if words is None else _distinct(words),
        streams=to_json(streams),
        message=RULE_CHANGED,
    )
    if changed is None:
        raise NotFound("Account not found", code="account_not_found")
    work_queue.enqueue(work_queue.RunMessage(id=run_id, studio_id=studio_id) for run_id in changed.runs)
    logs.event("account.rule_saved", platform=platform.name, account_id=account_id, runs=len(changed.runs))
    return changed.account


def known_account(run: LeasedRun, kind: AccountKind) -> ConnectedAccount:
    """As it was when the run was leased; one of which nothing is known for a connection that has not been read yet."""
    found = next((account for account in run.accounts if account.kind == kind.name), None)
    return ConnectedAccount() if found is None else _to_read(found)


def has_to_be_found(run: LeasedRun, kind: AccountKind, account: ConnectedAccount, cursor: str | None) -> bool:
    """Whether the platform is to be asked who it is: where a read begins, and while the id is not known although the
    grant may tell it by now."""
    scopes = run.connection.scopes
    may_tell = scopes is not None and not set(kind.scopes).isdisjoint(scopes)
    return cursor is None or (account.external_id is None and may_tell)


def find_account(run: LeasedRun, kind: AccountKind, client: Client, held: dict[str, UUID]) -> ConnectedAccount | None:
    """Asks the platform, and keeps what it says. Bookings follow a calendar that has another id now.

    None when the run's lease was lost meanwhile.
    """
    found = kind.find(client)
    described = {"external_id": found.external_id, "name": found.name, "time_zone": found.time_zone}
    with transaction(run.connection.studio_id) as tx:
        saved = tx.run(rows.SAVE_ACCOUNT, kind=kind.name, **described, **held)
        if saved is None:
            return None
        if saved.is_renamed:
            tx.run(rows.MOVE_BOOKINGS, platform=run.platform, external_id=saved.external_id, was=saved.was)
    if saved.is_renamed:
        logs.event("account.renamed", platform=run.platform, kind=kind.name)
    return _to_read(saved)


def _to_read(account: AccountToRead) -> ConnectedAccount:
    return ConnectedAccount(
        external_id=account.external_id,
        time_zone=account.time_zone,
        rule=account.rule,
        words=tuple(account.words),
    )


def _distinct(words: list[str]) -> list[str]:
    """Without those that mean the same as one before. Raises InvalidInput for what no title could hold."""
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
