"""Aims of the queries in `chalicelib/data/sync/advances.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "ADVANCE_RUN": Aim("sync_log", values={"outcome": "last", "code": None, "message": None}),
}
