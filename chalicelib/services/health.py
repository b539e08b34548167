"""Health: whether this process can serve requests, without details that help an attacker."""

import logging
from typing import Literal
from uuid import UUID

from chalicelib import logs
from chalicelib.data.health import GET_SCHEMA, SCHEMA_HEAD, SCHEMA_NEEDED
from chalicelib.data.postgres.database import read
from chalicelib.data.postgres.rows import Row
from chalicelib.errors import SettingsError, Unavailable

NO_STUDIO = UUID(int=0)
"""No studio has this id, but its proof must be accepted by the database like any other."""


class Health(Row):
    """Whether this deployment can serve requests."""

    status: Literal["ok", "degraded"]
    """`ok`, or `degraded` when requests may fail."""
    database: Literal["ok", "unreachable", "misconfigured"]
    """`ok`; `unreachable`: it does not respond; `misconfigured`: it responds, but does not match this deployment's
    settings."""
    migrations: Literal["current", "behind", "ahead", "unknown"]
    """The database's schema compared with the one this release expects: `current`, `behind`, `ahead` or `unknown`."""
    migrations_head: str | None
    """The newest migration in the database; null if unknown."""


def check_health() -> Health:
    try:
        version = read(NO_STUDIO, GET_SCHEMA).version
    except Unavailable:
        return _degraded("unreachable")
    except SettingsError as error:
        logs.event("health.misconfigured", level=logging.ERROR, reason=str(error))
        return _degraded("misconfigured")
    migrations = _compare(version)
    # Migrations expand before they contract, so a newer schema serves older code.
    status: Literal["ok", "degraded"] = "ok" if version is not None and version >= SCHEMA_NEEDED else "degraded"
    return Health(status=status, database="ok", migrations=migrations, migrations_head=version)


def _degraded(database: Literal["unreachable", "misconfigured"]) -> Health:
    return Health(status="degraded", database=database, migrations="unknown", migrations_head=None)


def _compare(version: str | None) -> Literal["current", "behind", "ahead"]:
    if version == SCHEMA_HEAD:
        return "current"
    return "ahead" if version is not None and version > SCHEMA_HEAD else "behind"
