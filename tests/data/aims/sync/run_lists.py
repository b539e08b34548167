"""Aims of the queries in `chalicelib/data/sync/run_lists.py`."""

from chalicelib.data.sync.run_lists import AFTER_ALL
from tests.data.aiming import Aim, AnyAim

FIRST_PAGE = {"before": AFTER_ALL}
AIMS: dict[str, AnyAim] = {
    "LIST_RUNS": Aim(values=FIRST_PAGE),
    "LIST_RUNS_OF_STREAMS": Aim(values=FIRST_PAGE),
    "LIST_ENDED_RUNS": Aim(
        values={"status": "failed", **FIRST_PAGE}, prepare="UPDATE sync_log SET status = 'failed', finished_at = now()"
    ),
    "LIST_ACTIVE_RUNS": Aim(values={"status": "running", **FIRST_PAGE}),
}
