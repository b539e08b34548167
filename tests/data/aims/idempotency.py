"""Aims of the queries in `chalicelib/data/idempotency.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "RESERVE_KEY": Aim(),
    "FIND_STORED_RESPONSE": Aim(),
    "STORE_RESPONSE": Aim(values={"status": 299}),
    "RELEASE_KEY": Aim(prepare="UPDATE idempotency_key SET status = NULL"),
}
