"""Aims of the queries in `chalicelib/data/oauth_states.py`."""

from tests.data.aiming import CROSS_TENANT, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "DRAFT_OAUTH_STATE": Aim(),
    "INSERT_OAUTH_STATE": Aim(values={"state_hash": b"new", "verifier": None, "return_to": None}),
    "TAKE_OAUTH_STATE": CROSS_TENANT,
}
