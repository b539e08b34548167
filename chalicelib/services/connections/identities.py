"""Whose a grant is: a connection stands for one account of a platform, and takes no other's tokens."""

from uuid import UUID

from chalicelib.data.identities import IDENTIFY_CONNECTION
from chalicelib.data.postgres.database import Transaction
from chalicelib.errors import AccountConnectedTwice, AnotherAccount, AuthorizationFailed
from chalicelib.platforms.core.contract import Identity, Platform


def identify(tx: Transaction, connection_id: UUID, token_generation: int, account: Identity) -> bool:
    """Remembers whose the tokens of this generation are.

    False when the tokens were replaced meanwhile: whose the new ones are has to be asked again. Raises AnotherAccount
    when it has been another account's so far, AccountConnectedTwice when another connection stands for the account.
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
        was = f" is {identified.name}'s" if identified.name else " is another account's"
        message = f"The new tokens belong to {account.name or 'another account'}, but this connection{was}"
        raise AnotherAccount(message, internal=AnotherAccount.title)  # the log names nobody
    if identified.account == "taken":
        raise AccountConnectedTwice()
    return True


def known_id(account: Identity | None) -> str | None:
    """None where the platform does not say whose a grant is."""
    return account.external_id or None if account else None


def require_same_account(platform: Platform, expected: str | None, account: Identity | None) -> None:
    """Raises AuthorizationFailed for a grant of another account than that of the connection to be reconnected."""
    found = known_id(account)
    if expected is not None and found is not None and expected != found:
        raise AuthorizationFailed(
            f"Another account of {platform.title} was chosen than the one to be reconnected: choose that one, or start"
            " without naming a connection to connect the other account as well",
            code=AnotherAccount.code,
        )
