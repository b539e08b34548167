"""Aims of the queries in `chalicelib/data/sync/schedules.py`."""

from tests.data.aiming import CROSS_TENANT, Aim, AnyAim

AIMS: dict[str, AnyAim] = {
    "SAVE_SCHEDULES": Aim(prepare="DELETE FROM sync_schedule"),
    "FIND_PLACE_OF_SCHEDULE": Aim(),
    "PUT_SCHEDULE": Aim(),
    "DISABLE_SCHEDULE": Aim(),
    "PAUSE_SCHEDULE": Aim(prepare="UPDATE sync_schedule SET paused_at = NULL, paused_by = NULL"),
    "LOCK_SCHEDULE": Aim(),
    "RESUME_SCHEDULE": Aim("sync_schedule"),
    "CLAIM_DUE_SCHEDULES": CROSS_TENANT,
    "START_SCHEDULED_RUNS": CROSS_TENANT,
    "ENQUEUE_LOST_RUNS": CROSS_TENANT,
}
