"""Aims of the queries in `chalicelib/data/identities.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "FIND_UNKNOWN_CONNECTION": Aim(prepare="UPDATE platform_connection SET external_account_id = NULL"),
    "FIND_CONNECTION_OF_GRANT": Aim(values={"account_id": "victim external_account_id"}),
    "DRAFT_CONNECTION": Aim(values={"account_id": "victim external_account_id"}),
    "IDENTIFY_CONNECTION": Aim("platform_connection", values={"account_id": "x", "account_name": "y"}),
}
