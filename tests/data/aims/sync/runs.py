"""Aims of the queries in `chalicelib/data/sync/runs.py`."""

from tests.data.aiming import TENANTLESS, Aim, AnyAim
from tests.data.rows import NOW

MAKE_BACKFILL = """
    UPDATE sync_log SET
        trigger = 'backfill', backfill_from = '2026-05-04', backfill_to = '2026-05-04'
"""
AIMS: dict[str, AnyAim] = {
    "INSERT_RUNS": Aim(prepare="DELETE FROM sync_log"),
    "INSERT_BACKFILL": Aim(values={"first": NOW.date(), "last": NOW.date(), "continues": None}),
    "LIST_SPENT_STREAMS": Aim(values={"most": 0}),
    "FIND_ACTIVE_BACKFILL": Aim(prepare=MAKE_BACKFILL),
    "READ_AGAIN": Aim(),
    "FIND_RUN_STATE": Aim("sync_log"),
    "DATABASE_TIME": TENANTLESS,
    "CANCEL_RUN": Aim("sync_log"),
    "FORGET_SEEN": Aim("sync_log"),
    "FIND_RUN": Aim("sync_log"),
}
