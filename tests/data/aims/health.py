"""Aims of the queries in `chalicelib/data/health.py`."""

from tests.data.aiming import TENANTLESS, AnyAim

AIMS: dict[str, AnyAim] = {
    "GET_SCHEMA": TENANTLESS,
}
