"""Aims of the queries in `chalicelib/data/connections.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "LIST_CONNECTIONS": Aim(),
    "FIND_CONNECTION": Aim(),
    "FIND_STORED_CONNECTION": Aim(),
    "FIND_SCHEDULED_CONNECTION": Aim(),
    "FIND_CONNECTION_TO_REFRESH": Aim("platform_connection"),
    "LIST_GRANTS": Aim(),
    "FIND_STORED_BY_ID": Aim("platform_connection"),
    "DRAFT_CONNECTION": Aim(),
    "IDENTIFY_CONNECTION": Aim("platform_connection", values={"account_id": "x", "account_name": "y"}),
}
