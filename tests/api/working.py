"""Work done by workers in tests of the API: each under the login of its own function."""

from collections.abc import Callable
from uuid import UUID

from chalicelib.services.sync import execute
from migrations.privileges import SYNC
from tests.conftest import login_as


def execute_run(studio_id: UUID, run_id: UUID, remaining_ms: Callable[[], int]) -> str:
    with login_as(SYNC):
        return execute.execute_run(studio_id, run_id, remaining_ms)
