"""Health: what the check reports about the database and its schema."""

import pg8000.native
import pytest

from chalicelib.data.health import SCHEMA_HEAD, SCHEMA_NEEDED
from tests.conftest import Api


def test_health_is_ok_with_database_and_current_schema(api: Api) -> None:
    answer = api.get("/api/health")
    healthy = {"status": "ok", "database": "ok", "migrations": "current", "migrationsHead": SCHEMA_HEAD}
    assert (answer.status, answer.json) == (200, healthy)


AS_NEEDED = "behind" if SCHEMA_NEEDED < SCHEMA_HEAD else "current"


@pytest.mark.parametrize(
    ("version", "status", "health", "migrations"),
    [("0000", 503, "degraded", "behind"), (SCHEMA_NEEDED, 200, "ok", AS_NEEDED), ("9999", 200, "ok", "ahead")],
)
def test_older_code_runs_on_a_newer_schema_but_not_vice_versa(
    api: Api, superuser: pg8000.native.Connection, version: str, status: int, health: str, migrations: str
) -> None:
    superuser.run("UPDATE alembic_version SET version_num = :version", version=version)
    try:
        answer = api.get("/api/health")
    finally:
        superuser.run("UPDATE alembic_version SET version_num = :version", version=SCHEMA_HEAD)
    assert (answer.status, answer.json["status"], answer.json["migrations"]) == (status, health, migrations)


def test_health_is_public_and_reveals_no_secrets(api: Api) -> None:
    answer = api.get("/api/health", Authorization="")
    assert answer.status == 200
    assert "postgresql" not in answer.text
