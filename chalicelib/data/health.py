"""The health check's questions to the database."""

from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Row

SCHEMA_HEAD = "0001"
"""The migration this code was written for; a test compares it with the newest file in `migrations/versions`."""
SCHEMA_NEEDED = "0001"
"""The oldest migration it works with: a later one, if any, is a contract step and is applied after the deploy."""


class Schema(Row):
    version: str | None


GET_SCHEMA: Query[Schema] = Query(
    """
    SELECT json_build_object(
        'version', (SELECT max(version_num) FROM public.alembic_version),
        'studios', (SELECT count(*) FROM public.studio)
    )
    """,
    Schema,
)
"""Also queries studios: if there is one, the policy demands a proof."""
