"""Plans: a prepared statement is planned once for all studios, so its plan must suit small and large ones."""

from collections.abc import Iterator
from uuid import UUID

import pg8000.native
import pytest

from chalicelib.data.postgres.driver import PgConnection
from tests.conftest import Database
from tests.data.aimed import ATTACKS, AnyValue
from tests.data.attack import VICTIM
from tests.data.explained import CUSTOM, GENERIC, pages_touched
from tests.data.rows import Rows, fill

LARGE, SMALL, SMALL_STUDIOS = 3000, 3, 60
COPIES: dict[str, dict[str, str]] = {
    "connection_event": {},
    "webhook_delivery": {"event_id": "uuidv7()"},
    "audit_entry": {},
    "sync_log": {"status": "'succeeded'", "window_at": "NULL", "lease_owner": "NULL"},
    "sync_seen": {"external_id": "n::text"},
    "ad_campaign": {"external_id": "n::text"},
    "ad_metric": {"day": "date '2026-05-04' - n"},
    "content": {"external_id": "n::text"},
    "content_metric": {"measured_at": "timestamptz '2026-05-04' - n * interval '1 hour'"},
    "review": {"external_id": "n::text"},
    "person": {},
    "person_identity": {"value": "n::text"},
    "conversation": {},
    "thread": {"external_id": "n::text"},
    "message": {"external_id": "n::text"},
    "inquiry": {"external_id": "n::text", "conversation_id": "uuidv7()"},
    "booking": {"external_id": "n::text"},
    "set_aside": {"external_id": "n::text"},
    "skipped_record": {"external_id": "n::text"},
    "idempotency_key": {"key": "n::text"},
}
"""The tables that grow with a studio, and what differs from row to row."""
NOT_REPEATED = {"INSERT_STUDIO", "INSERT_DATA_KEY"}
"""They fail in a studio that has what they make."""


@pytest.fixture(scope="module")
def studios(database: Database) -> Iterator[dict[str, Rows]]:
    """One large studio and many small ones; a large and a small one have a row in every table."""
    superuser = database.connect()
    superuser.run("TRUNCATE studio CASCADE")
    rows = {}
    for name, studio_id, size in (("large", VICTIM, LARGE), ("small", UUID(int=7), SMALL)):
        rows[name] = fill(superuser, studio_id, name)
        multiply(superuser, studio_id, size)
    for number in range(SMALL_STUDIOS):
        studio_id = UUID(int=1000 + number)
        fill(superuser, studio_id, f"other{number}")
        multiply(superuser, studio_id, SMALL)
    superuser.run("VACUUM ANALYZE")
    yield rows
    superuser.run("TRUNCATE studio CASCADE")
    superuser.close()


def multiply(superuser: pg8000.native.Connection, studio_id: UUID, size: int) -> None:
    superuser.run("SET session_replication_role = replica")  # copies refer to no row of their own
    for table, changes in COPIES.items():
        key = {} if table in ("sync_seen", "person_identity") else {"id": "uuidv7()"}
        changed = ", ".join(f"'{name}', {value}" for name, value in {**key, **changes}.items())
        superuser.run(
            f"INSERT INTO {table} SELECT (json_populate_record(t, json_build_object({changed}))).*"
            f" FROM {table} AS t, generate_series(1, {size}) AS n WHERE t.studio_id = '{studio_id}'"
        )


@pytest.mark.parametrize("name", sorted(name for name in ATTACKS.keys() - NOT_REPEATED if ATTACKS[name][0].is_prepared))
def test_a_plan_for_all_studios_suits_the_small_and_the_large(
    connection: PgConnection, studios: dict[str, Rows], name: str
) -> None:
    query, aim = ATTACKS[name]
    for studio in studios.values():
        studio_id = studio["studio"]["id"]
        params = AnyValue(studio, aim) | {"studio_id": studio_id}
        generic, custom = (pages_touched(connection, query, studio_id, params, mode) for mode in (GENERIC, CUSTOM))
        assert generic <= 2 * custom + 20
