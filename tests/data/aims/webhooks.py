"""Aims of the queries in `chalicelib/data/webhooks.py`."""

from tests.data.aiming import CROSS_TENANT, TENANTLESS, Aim, AnyAim
from tests.data.rows import NOW

AIMS: dict[str, AnyAim] = {
    "FIND_ACCOUNT_CONNECTIONS": CROSS_TENANT,
    "FIND_WORKING_CONNECTION": Aim("platform_connection", values={"account_id": "victim external_account_id"}),
    "FORGET_ACCOUNT": Aim("platform_connection", values={"account_id": "victim external_account_id"}),
    "NOTE_ACCOUNT_EVENT": Aim("platform_connection", values={"at": NOW}),
    "INSERT_DATA_DELETION": TENANTLESS,
    "FINISH_DATA_DELETION": TENANTLESS,
    "FIND_DATA_DELETION": TENANTLESS,
}
