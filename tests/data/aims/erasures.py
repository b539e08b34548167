"""Aims of the queries in `chalicelib/data/erasures.py`."""

from tests.data.aiming import TENANTLESS, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "STOP_STUDIO": Aim(),
    "SHRED_KEYS": Aim(),
    "ERASE_ROWS": Aim(values={"table_name": "booking"}),
    "DELETE_STUDIO": Aim("studio"),
    "BEGIN_ERASURE": TENANTLESS,
    "FINISH_ERASURE": TENANTLESS,
    "FIND_ERASURE": TENANTLESS,
    "LIST_ERASURES": TENANTLESS,
}
