"""Aims of the queries in `chalicelib/data/sync/found_accounts.py`."""

from tests.data.aiming import Aim, AnyAim
from tests.data.rows import id_of

FOUND = '[{"external_id": "intruder", "is_primary": false, "selected": true}]'
AIMS: dict[str, AnyAim] = {
    "NAME_PRIMARY": Aim("sync_log", values={"kind": "calendar", "external_id": "intruder"}),
    "MOVE_BOOKINGS": Aim(
        "connected_account", values={"external_id": "intruder", "was": "victim calendar_id", "replaced": None}
    ),
    "FORGET_REPLACED": Aim("connected_account", values={"replaced": id_of("victim", "connected_account")}),
    "SAVE_ACCOUNTS": Aim("sync_log", values={"kind": "calendar", "accounts": FOUND, "complete": True}),
}
