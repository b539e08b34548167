"""Aims of the queries in `chalicelib/data/sync/stream_status.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "LIST_STREAM_STATUSES": Aim(),
}
