"""Aims of the queries in `chalicelib/data/throttle_control.py`."""

from tests.data.aiming import CROSS_TENANT, TENANTLESS, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "LIST_SHARED_THROTTLES": TENANTLESS,
    "FIND_WAITS": CROSS_TENANT,
    "CLEAR_SHARED_THROTTLES": TENANTLESS,
    "RESUME_DEFERRED_RUNS": CROSS_TENANT,
    "CLEAR_ACCOUNT_THROTTLES": Aim(prepare="UPDATE account_quota SET used = 0.9"),
}
