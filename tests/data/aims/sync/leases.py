"""Aims of the queries in `chalicelib/data/sync/leases.py`."""

from tests.data.aiming import Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "LEASE_RUN": Aim("sync_log"),
    "OPEN_VISITS": Aim("sync_log", values={"again": True}),
    "RESTART_VISIT": Aim("sync_log"),
    "KEEP_LEASE": Aim("sync_log"),
    "YIELD_RUN": Aim("sync_log"),
    "DEFER_RUN": Aim("sync_log"),
    "FAIL_RUN": Aim("sync_log"),
}
