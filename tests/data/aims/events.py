"""Aims of the queries in `chalicelib/data/events.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "FIND_CONNECTION_ID": Aim(),
    "LIST_EVENTS": Aim(),
    "NOTE_EVENT": Aim("platform_connection"),
}
