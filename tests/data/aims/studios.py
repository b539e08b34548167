"""Aims of the queries in `chalicelib/data/studios.py`."""

from tests.data.aiming import CROSS_TENANT, TENANTLESS, Aim, AnyAim
from tests.data.attack import VICTIM

AIMS: dict[str, AnyAim] = {
    "NEW_ID": TENANTLESS,
    "NEW_IDS": TENANTLESS,
    "INSERT_STUDIO": Aim("studio", prepare=f"DELETE FROM studio WHERE id = '{VICTIM}'"),
    "GET_STUDIO": Aim(),
    "FIND_STUDIOS": CROSS_TENANT,
}
