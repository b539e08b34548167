"""Plans: a prepared statement is planned once for all studios, so its plan must suit small and large ones."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import msgspec
import pg8000.native
import pytest
from pg8000.converters import make_params
from pg8000.native import literal

from chalicelib.data.audit import actor_setting
from chalicelib.data.postgres.driver import PgConnection
from chalicelib.data.postgres.tenants import SET_STUDIO, studio_settings
from tests.conftest import Database
from tests.data.aimed import ATTACKS, AnyValue
from tests.data.attack import VICTIM
from tests.data.rows import Rows, fill

GENERIC, CUSTOM = "force_generic_plan", "force_custom_plan"
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
    "inquiry": {"external_id": "n::text"},
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
        studio_id = uuid4()
        fill(superuser, studio_id, f"other{number}")
        multiply(superuser, studio_id, SMALL)
    superuser.run("VACUUM ANALYZE")
    yield rows
    superuser.run("TRUNCATE studio CASCADE")
    superuser.close()


def multiply(superuser: pg8000.native.Connection, studio_id: UUID, size: int) -> None:
    superuser.run("SET session_replication_role = replica")  # copies refer to no row of their own
    for table, changes in COPIES.items():
        key = {} if table == "sync_seen" else {"id": "uuidv7()"}
        changed = ", ".join(f"'{name}', {value}" for name, value in {**key, **changes}.items())
        superuser.run(
            f"INSERT INTO {table} SELECT (json_populate_record(t, json_build_object({changed}))).*"
            f" FROM {table} AS t, generate_series(1, {size}) AS n WHERE t.studio_id = '{studio_id}'"
        )


def pages(connection: PgConnection, name: str, studio: Rows, mode: str) -> int:
    """The pages that the statement touches with a plan of this kind."""
    query, aim = ATTACKS[name]
    values = AnyValue(studio, aim) | {"studio_id": studio["studio"]["id"]}
    params = ", ".join(map(literal, make_params(connection.py_types, query.values(values))))
    connection.execute_simple(f"BEGIN; SET LOCAL plan_cache_mode = {mode}")
    try:
        connection.pipeline(SET_STUDIO, (*studio_settings(studio["studio"]["id"]), actor_setting()))
        connection.execute_simple(f"PREPARE it AS {query.sql}")
        explained = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE it{f'({params})' if params else ''}"
        (plan,) = msgspec.json.decode((connection.execute_simple(explained).rows or [])[0][0])
        return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
    finally:
        connection.rollback()
        connection.execute_simple("DEALLOCATE it")


@pytest.mark.parametrize("name", sorted(name for name in ATTACKS.keys() - NOT_REPEATED if ATTACKS[name][0].is_prepared))
def test_a_plan_for_all_studios_suits_the_small_and_the_large(
    connection: PgConnection, studios: dict[str, Rows], name: str
) -> None:
    for studio in studios.values():
        generic = min(pages(connection, name, studio, GENERIC) for _ in range(2))  # the first one fills catalog caches
        assert generic <= 2 * pages(connection, name, studio, CUSTOM) + 20
