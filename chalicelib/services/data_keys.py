"""Data keys of studios: made by KMS, stored wrapped; what they seal is in `security/vault`."""

from uuid import UUID

from chalicelib.data.data_keys import INSERT_DATA_KEY
from chalicelib.data.postgres.database import Transaction
from chalicelib.security.vault import vault


def new_data_key(studio_id: UUID) -> bytes:
    """A fresh data key, wrapped; KMS is asked, so it is made before the transaction that stores it."""
    return vault().new_key(studio_id)


def store_data_key(tx: Transaction, studio_id: UUID, wrapped: bytes) -> None:
    """Makes it the one that the studio seals with."""
    under = {"provider": vault().provider_name, "wrapped_under": vault().wrapped_under}
    tx.run(INSERT_DATA_KEY, studio_id=studio_id, wrapped=wrapped, **under)
