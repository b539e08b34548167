"""How much of the database a statement touches, counted by the server itself."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from pg8000.converters import make_params
from pg8000.native import literal

from chalicelib.data.audit import actor_setting
from chalicelib.data.postgres.driver import PgConnection
from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.tenants import SET_STUDIO, studio_settings

GENERIC, CUSTOM = "force_generic_plan", "force_custom_plan"


def pages_touched(
    connection: PgConnection, query: Query[Any], studio_id: UUID, params: Mapping[str, Any], mode: str
) -> int:
    """The pages that the statement touches with a plan of this kind, once the catalog caches are filled."""
    return min(_touched(connection, query, studio_id, params, mode) for _ in range(2))


def _touched(connection: PgConnection, query: Query[Any], studio_id: UUID, params: Mapping[str, Any], mode: str) -> int:
    values = ", ".join(map(literal, make_params(connection.py_types, query.values(params))))
    connection.execute_simple(f"BEGIN; SET LOCAL plan_cache_mode = {mode}")
    try:
        connection.pipeline(SET_STUDIO, (*studio_settings(studio_id), actor_setting()))
        connection.execute_simple(f"PREPARE it AS {query.sql}")
        explained = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE it{f'({values})' if values else ''}"
        (plan,) = msgspec.json.decode((connection.execute_simple(explained).rows or [])[0][0])
        return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])
    finally:
        connection.rollback()
        connection.execute_simple("DEALLOCATE it")
