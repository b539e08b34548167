"""What the health check asks of the database."""

from chalicelib.data.postgres.query import Query
from chalicelib.data.postgres.rows import Row

SCHEMA_HEAD = "0001"
"""The migration this code was written for; a test holds it to the newest file in `migrations/versions`."""
SCHEMA_NEEDED = "0001"
"""The oldest one it works with: what follows it, if anything does, contracts and comes after the deploy."""


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
"""Asks for studios as well: where there is one, the policy asks for a proof."""
