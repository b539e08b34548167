"""Throttle controls for operators: platforms that are not called because they were down or over a limit."""

from collections.abc import Callable
from uuid import UUID

from chalicelib import work_queue
from chalicelib.data import throttle_control as rows
from chalicelib.data.postgres.database import read, write
from chalicelib.data.postgres.rows import Row
from chalicelib.data.throttle_control import AccountThrottle, SharedThrottle, WaitingRuns
from chalicelib.platforms.registry import get_platform
from chalicelib.services.studios import get_studio

BATCH = 1000
OWN_MS = 20_000
"""With less time left than this, no further batch is started."""


class Throttles(Row):
    """What currently holds runs back."""

    shared: list[SharedThrottle]
    """Open circuits, and used-up quotas of the application: they hold back every studio"""
    accounts: list[AccountThrottle]
    """Accounts that a platform refused, longest waits first"""
    runs: list[WaitingRuns]
    """Deferred runs, by platform and reason"""


class Cleared(Row):
    platform: str
    studio_id: UUID | None
    circuits: int
    quotas: int
    runs: int
    """Deferred runs that are due again"""
    complete: bool


def list_throttles(limit: int) -> Throttles:
    waits = read(None, rows.FIND_WAITS, batch=limit)
    return Throttles(shared=read(None, rows.LIST_SHARED_THROTTLES), accounts=waits.accounts, runs=waits.runs)


def clear_throttles(platform_name: str, studio_id: UUID | None, remaining_ms: Callable[[], int]) -> Cleared:
    """Ends the waits of a studio's account at the platform; without a studio, those that hold back every studio.

    The platform is called again, and may refuse again. Raises NotFound for an unknown platform or studio.
    """
    platform = get_platform(platform_name).name
    return _clear_all(platform, remaining_ms) if studio_id is None else _clear_one(platform, studio_id)


def _clear_one(platform: str, studio_id: UUID) -> Cleared:
    get_studio(studio_id)
    cleared = write(studio_id, rows.CLEAR_ACCOUNT_THROTTLES, platform=platform)
    work_queue.enqueue(work_queue.RunMessage(id=run_id, studio_id=studio_id) for run_id in cleared.runs)
    return Cleared(
        platform=platform,
        studio_id=studio_id,
        circuits=0,
        quotas=cleared.quotas,
        runs=len(cleared.runs),
        complete=True,
    )


def _clear_all(platform: str, remaining_ms: Callable[[], int]) -> Cleared:
    """The tick sends the runs' messages when they are due."""
    shared = write(None, rows.CLEAR_SHARED_THROTTLES, platform=platform)
    cleared = Cleared(
        platform=platform, studio_id=None, circuits=shared.circuits, quotas=shared.quotas, runs=0, complete=False
    )
    while not cleared.complete and remaining_ms() > OWN_MS:
        resumed = write(None, rows.RESUME_DEFERRED_RUNS, platform=platform, batch=BATCH).count
        cleared.runs += resumed
        cleared.complete = resumed < BATCH
    return cleared
