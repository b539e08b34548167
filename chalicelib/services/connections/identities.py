"""Identities: a connection stands for one account of a platform and rejects the tokens of any other."""

from uuid import UUID

from chalicelib.data.identities import IDENTIFY_CONNECTION
from chalicelib.data.postgres.database import Transaction
from chalicelib.errors import AccountConnectedTwice, AnotherAccount, AuthorizationFailed
from chalicelib.platforms.core.contract import Identity, Platform


def identify(tx: Transaction, connection_id: UUID, token_generation: int, account: Identity) -> bool:
    """Stores the account that the tokens of this generation belong to.

    Returns False if the tokens have been replaced: the new ones must be identified again. Raises AnotherAccount if the
    connection stands for another account, AccountConnectedTwice if another connection stands for this one.
    """
    identified = tx.run(
        IDENTIFY_CONNECTION,
        id=connection_id,
        token_generation=token_generation,
        account_id=known_id(account),
        account_name=account.name,
        scopes=list(account.scopes) if account.scopes is not None else None,
    )
    if identified is None:
        return False
    if identified.account == "another":
        own = identified.name or "another account"
        message = f"The new tokens belong to {account.name or 'another account'}, but this connection belongs to {own}"
        raise AnotherAccount(message, internal=AnotherAccount.title)  # no names in the log
    if identified.account == "taken":
        raise AccountConnectedTwice()
    return True


def known_id(account: Identity | None) -> str | None:
    """None if the platform does not identify the account."""
    return account.external_id or None if account else None


def require_same_account(platform: Platform, expected: str | None, account: Identity | None) -> None:
    """Raises AuthorizationFailed for a grant of another account than that of the connection to be reconnected."""
    actual = known_id(account)
    if expected is not None and actual is not None and expected != actual:
        raise AuthorizationFailed(
            f"A different account of {platform.title} was chosen: choose the account of this connection, or start"
            " again without naming a connection to connect the other account as well",
            code=AnotherAccount.code,
        )
