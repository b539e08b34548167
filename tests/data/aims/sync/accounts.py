"""Aims of the queries in `chalicelib/data/sync/accounts.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "LIST_ACCOUNTS": Aim(),
    "CHANGE_ACCOUNT": Aim("connected_account", values={"selected": False, "rule": "all", "words": '["intruder"]'}),
}
