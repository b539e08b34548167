"""Health: whether this process can serve, in words that tell an outsider nothing."""

from typing import Literal

from chalicelib.data.database import read
from chalicelib.data.health import GET_SCHEMA, SCHEMA_HEAD, SCHEMA_NEEDED
from chalicelib.data.rows import Row
from chalicelib.errors import Unavailable


class Health(Row):
    status: Literal["ok", "degraded"]
    database: Literal["ok", "unreachable"]
    migrations: Literal["current", "behind", "ahead", "unknown"]
    """The database's schema beside the one this code was written for"""
    migrations_head: str | None
    """The newest migration the database has"""


def check_health() -> Health:
    try:
        version = read(None, GET_SCHEMA).version
    except Unavailable:
        return Health(status="degraded", database="unreachable", migrations="unknown", migrations_head=None)
    migrations = _compare(version)
    # Migrations expand before they contract, so a newer schema serves older code.
    status: Literal["ok", "degraded"] = "ok" if version is not None and version >= SCHEMA_NEEDED else "degraded"
    return Health(status=status, database="ok", migrations=migrations, migrations_head=version)


def _compare(version: str | None) -> Literal["current", "behind", "ahead"]:
    if version == SCHEMA_HEAD:
        return "current"
    return "ahead" if version is not None and version > SCHEMA_HEAD else "behind"
