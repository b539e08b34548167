"""Aims of the queries in `chalicelib/data/connections.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "LIST_CONNECTIONS": Aim(),
    "FIND_CONNECTION": Aim(),
    "FIND_CONNECTION_BY_ID": Aim("platform_connection"),
    "FIND_STORED_CONNECTION": Aim(),
    "LIST_CHOICES": Aim(values={"or_ended": True}),
    "FIND_SCHEDULED_CONNECTION": Aim(),
    "FIND_CONNECTION_TO_REFRESH": Aim("platform_connection"),
    "LIST_GRANTS": Aim(),
    "FIND_STORED_BY_ID": Aim("platform_connection"),
}
