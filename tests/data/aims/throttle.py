"""Aims of the queries in `chalicelib/data/throttle.py`."""

from tests.data.aiming import CROSS_TENANT, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "SPEND_QUOTA": Aim(values={"app_used": 0.1, "app_seconds": 60, "account_used": 0.99, "account_seconds": 60}),
    "CHECK_CALL": Aim(values={"charged": True, "per_minute": 6.0}),
    "BLOCK_APP": CROSS_TENANT,
    "BLOCK_ACCOUNT": Aim(),
    "TRIP_CIRCUIT": CROSS_TENANT,
    "PROBE_CIRCUIT": CROSS_TENANT,
    "CLOSE_CIRCUIT": CROSS_TENANT,
}
