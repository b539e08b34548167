"""Aims of the queries in `chalicelib/data/tenant_keys.py`."""

from tests.data.aiming import TENANTLESS, AnyAim

AIMS: dict[str, AnyAim] = {
    "LIST_TENANT_KEYS": TENANTLESS,
    "APPLY_TENANT_KEYS": TENANTLESS,
}
