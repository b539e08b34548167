"""Aims of the queries in `chalicelib/data/quarantine.py`."""

from tests.data.aiming import CROSS_TENANT, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "NOTE_QUARANTINED": Aim(values={"table_name": "webhook_endpoint"}),
    "FIND_QUARANTINED": CROSS_TENANT,
}
