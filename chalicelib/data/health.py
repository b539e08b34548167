"""What the health check asks of the database."""

from chalicelib.data.query import Query, one
from chalicelib.data.rows import Row

SCHEMA_HEAD = "0022"
"""The migration this code was written for; a test holds it to the newest file in `migrations/versions`."""
SCHEMA_NEEDED = "0022"
"""The oldest one it works with: what follows it, if anything does, contracts and comes after the deploy."""


class Schema(Row):
    version: str | None


GET_SCHEMA: Query[Schema] = Query(
    one("SELECT (SELECT max(version_num) FROM public.alembic_version) AS version"), Schema
)
