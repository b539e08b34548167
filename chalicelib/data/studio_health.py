"""An operator's view of one studio: its connections, streams, runs and keys, and how much it has stored."""

from uuid import UUID

from chalicelib.data.erasures import TABLES
from chalicelib.data.postgres.query import Query, columns, many, one
from chalicelib.data.postgres.rows import Moment, Row
from chalicelib.data.sync.runs import ACTIVE


class RunsHealth(Row):
    active: int
    stuck: int
    """Active for more than a day"""
    oldest_active_at: Moment | None


class DataKeyHealth(Row):
    id: UUID
    created_at: Moment
    retired_at: Moment | None
    wrapped_under: list[str] | None


class Quarantined(Row):
    """The number of a column's values that could not be decrypted."""

    table_name: str
    column_name: str
    count: int


GET_RUNS_HEALTH: Query[RunsHealth] = Query(
    one(
        f"""
        SELECT count(*) AS active, count(*) FILTER (WHERE r.queued_at < now() - interval '1 day') AS stuck,
               min(r.queued_at) AS "oldestActiveAt"
        FROM sync_log AS r WHERE {ACTIVE}
        """
    ),
    RunsHealth,
)
LIST_DATA_KEY_HEALTH: Query[list[DataKeyHealth]] = Query(
    many(f"SELECT {columns(DataKeyHealth)} FROM data_key ORDER BY id DESC"), list[DataKeyHealth]
)
COUNT_QUARANTINED: Query[list[Quarantined]] = Query(
    many(
        f"""
        SELECT {columns(Quarantined, count="count(*)")} FROM quarantine
        GROUP BY table_name, column_name ORDER BY table_name, column_name
        """
    ),
    list[Quarantined],
)
COUNT_ROWS: Query[dict[str, int]] = Query(
    one("SELECT " + ", ".join(f"(SELECT count(*) FROM {table}) AS {table}" for table in sorted(TABLES))), dict[str, int]
)
