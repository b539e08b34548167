"""State shared by all studios changes within bounds, whatever a caller of the functions requests."""

import pg8000.native
import pytest

from migrations.privileges import API
from tests.conftest import Database

FOREVER = "1e9"


@pytest.mark.parametrize(
    ("call", "table", "column", "at_most"),
    [
        (f"trip_circuit('google', 'calendar', 1, {FOREVER}, {FOREVER})", "platform_circuit", "open_until", "1 hour"),
        (f"probe_circuit('google', 'calendar', 1, {FOREVER})", "platform_circuit", "open_until", "1 hour"),
        (f"block_app('google', 'calendar', {FOREVER})", "app_quota", "blocked_until", "1 day"),
        (
            f"spend_app_quota('google', 'calendar', 1, true, {FOREVER}, 1, NULL)",
            "app_quota",
            "blocked_until",
            "1 day",
        ),
        (
            f"spend_app_quota('google', 'calendar', 1, true, {FOREVER}, 1, NULL)",
            "app_quota",
            "used_until",
            "1 day",
        ),
    ],
)
def test_shared_waits_are_bounded(
    call: str, table: str, column: str, at_most: str, clean_database: Database, superuser: pg8000.native.Connection
) -> None:
    if table == "platform_circuit":
        superuser.run("INSERT INTO platform_circuit VALUES ('google', 'calendar', 10, now())")
    superuser.run(f"SET ROLE {API}")
    try:
        superuser.run(f"SELECT cross_tenant.{call}")
    finally:
        superuser.run("RESET ROLE")
    limit = f"{column} > now() AND {column} <= now() + interval '{at_most}'"
    assert superuser.run(f"SELECT {limit} FROM {table}") == [[True]]
